"""What was dropped for a handler is never lost: the file of a job that did not succeed is kept in failed/."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.host import acl, directories
from taskgated.host.paths import Layout
from taskgated.intake import failed as failed_module
from taskgated.intake.events import FileStuck
from taskgated.intake.failed import Failed, remove
from tests.env.intake import Gate, config, running
from tests.env.killed import killed_everywhere
from tests.env.until import until

OWNER = 4711


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path, rescan_interval=0.3) as gate:
        yield gate


def kept(layout: Layout) -> dict[str, bytes]:
    """All files below failed/."""
    found = layout.failed.rglob("*") if layout.failed.exists() else iter(())
    return {str(path.relative_to(layout.failed)): path.read_bytes() for path in found if path.is_file()}


def work_of(gate: Gate, command: str) -> Path:
    return Path(command.split("\0")[1]).parent


def fail(gate: Gate, files: int = 1) -> None:
    until(lambda: len(gate.sink.kept) == files)
    gate.intake.let_go(gate.sink.fail_jobs(), True)


def test_a_file_whose_job_failed_or_was_cancelled_is_kept_with_the_reason(gate: Gate) -> None:
    gate.drop("data/a.png", b"\xff\x00")
    until(lambda: len(gate.sink.kept) == 1)
    gate.drop("data/b.png", "b")
    fail(gate, 2)
    until(gate.idle)
    found = kept(gate.layout)
    assert sorted(found) == ["1/a.png", "1/a.png.reason", "2/b.png", "2/b.png.reason"]
    assert (found["1/a.png"], found["2/b.png"]) == (b"\xff\x00", b"b")
    assert found["1/a.png.reason"].startswith(b"a.png: job 1 failed, exit code 3")
    assert found["2/b.png.reason"].startswith(b"b.png: job 2 cancelled: cancelled before it started\n")
    assert not gate.rejected()
    assert gate.sink.store.prunable(-1.0, 0, 10) == [1, 2]


def test_nothing_is_kept_of_what_succeeded(gate: Gate) -> None:
    gate.drop("data/a.png", "a")
    until(lambda: gate.sink.kept)
    gate.intake.let_go(gate.sink.end_jobs())
    until(gate.idle)
    assert kept(gate.layout) == {}


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"x" * 255, b"y" * 248 + b".reason", b"a.reason", b"new\nline", b"-rf"]
)
def test_any_name(gate: Gate, name: bytes) -> None:
    gate.drop(b"data/" + name, "content")
    fail(gate)
    until(gate.idle)
    place = os.fsencode(gate.layout.failed) + b"/1"
    file, reason = sorted(os.listdir(place), key=len)
    assert name.startswith(file) and (file == name or len(name) > 248)
    assert reason == file + b".reason"
    with open(place + b"/" + file) as opened:
        assert opened.read() == "content"


class TestWhatAHandlerDid:
    def test_it_closed_its_directory(self, gate: Gate) -> None:
        gate.drop("data/a", "a")
        until(lambda: gate.sink.kept)
        work = work_of(gate, gate.sink.commands[0])
        (work / "more").write_text("left behind")
        work.chmod(0)
        fail(gate)
        until(gate.idle)
        assert sorted(kept(gate.layout)) == ["1/a", "1/a.reason"], "the file alone is kept"

    @pytest.mark.parametrize("how", [os.unlink, lambda path: (os.unlink(path), os.mkdir(path))])
    def test_it_took_the_file_away(self, gate: Gate, how: Callable[[Path], object]) -> None:
        gate.drop("data/a", "a")
        until(lambda: gate.sink.kept)
        how(work_of(gate, gate.sink.commands[0]) / "a")
        fail(gate)
        until(gate.idle)
        assert kept(gate.layout) == {}

    def test_it_put_a_link_in_its_place(self, gate: Gate, tmp_path: Path) -> None:
        gate.drop("data/a", "a")
        until(lambda: gate.sink.kept)
        path = work_of(gate, gate.sink.commands[0]) / "a"
        path.unlink()
        path.symlink_to("/etc/passwd")
        fail(gate)
        until(gate.idle)
        assert kept(gate.layout) == {}


# -- crashes -------------------------------------------------------------------------------------


def work(gate: Gate) -> None:
    """The job of the picture fails, if it is not over."""
    gate.intake.start()
    until(lambda: gate.intake.watching and (gate.sink.kept or kept(gate.layout)))
    gate.intake.let_go(gate.sink.fail_jobs(), True)
    until(gate.idle)


def test_killed_at_every_point_it_is_kept_once(tmp_path: Path) -> None:
    moved = set()

    def prepare(root: Path) -> None:
        gate = Gate(root, config())
        gate.drop("data/picture", "pixels")
        gate.sink.close()

    def check(gate: Gate) -> None:
        moved.add((gate.layout.failed / "1" / "picture").exists())
        work(gate)
        found = kept(gate.layout)
        assert sorted(found) == ["1/picture", "1/picture.reason"]
        assert found["1/picture"] == b"pixels"
        assert len(gate.sink.sources) == 1

    killed_everywhere(tmp_path, prepare, work, check, least=12)
    assert moved == {False, True}


# -- failed/ cannot be used ----------------------------------------------------------------------


def test_what_cannot_be_moved_stays_and_is_told_once(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk. No job is forgotten meanwhile; then all are kept, those too many to remember as well."""
    monkeypatch.setattr(failed_module, "LIMIT", 2)
    for number in range(5):
        gate.drop(f"data/{number}", str(number))
    until(lambda: len(gate.sink.kept) == 5)
    gate.layout.failed.write_text("in the way")
    fail(gate, 5)
    until(lambda: len(gate.told(FileStuck)) == 5)
    reason = gate.told(FileStuck)[0].reason
    assert "failed/" in reason and "stays in .claims/" in reason
    assert gate.sink.store.prunable(-1.0, 0, 10) == []
    gate.drop("a.tasks", "true\n")
    until(lambda: "true" in gate.sink.commands)
    gate.layout.failed.unlink()
    until(lambda: len(kept(gate.layout)) == 10)
    until(gate.idle)
    assert len(gate.told(FileStuck)) == 5
    assert gate.sink.store.prunable(-1.0, 0, 10) == [1, 2, 3, 4, 5]


def test_what_is_tried_again_was_not_forgotten(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of the spool would be looked through again for it, also where as many wait as are remembered."""
    monkeypatch.setattr(failed_module, "LIMIT", 2)
    seen: list[Failed] = []
    try_again = Failed.waiting
    monkeypatch.setattr(Failed, "waiting", lambda self: (seen.append(self), try_again(self))[1])
    for number in range(2):
        gate.drop(f"data/{number}", str(number))
    until(lambda: len(gate.sink.kept) == 2)
    gate.layout.failed.write_text("in the way")
    fail(gate, 2)
    until(lambda: len(gate.told(FileStuck)) == 2)
    tried = len(seen)
    until(lambda: len(seen) > tried + 2)
    gate.layout.failed.unlink()
    until(lambda: len(kept(gate.layout)) == 4)
    tried = len(seen)
    until(lambda: len(seen) > tried + 1)
    assert len({id(failed) for failed in seen}) == 1, "it goes on in the same session"


@pytest.mark.parametrize("to", [".", "data"])
def test_a_link_into_the_spool_is_not_followed(gate: Gate, to: str) -> None:
    gate.drop("data/a", "a")
    until(lambda: gate.sink.kept)
    gate.layout.failed.symlink_to(to)
    fail(gate)
    until(lambda: gate.told(FileStuck))
    gate.layout.failed.unlink()
    until(lambda: kept(gate.layout).get("1/a") == b"a")


@pytest.mark.skipif(os.geteuid() != 0, reason="may not give files away")
def test_what_another_put_in_its_place_gets_nothing(gate: Gate) -> None:
    """A queue of that name from before may hold directories of others."""
    (gate.layout.failed / "1").mkdir(parents=True)
    os.chown(gate.layout.failed / "1", OWNER, OWNER)
    gate.drop("data/a", "a")
    fail(gate)
    until(lambda: kept(gate.layout).get("1/a") == b"a")
    assert (gate.layout.failed / "1").stat().st_uid == os.geteuid()


# -- who may read it -----------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="may not give files away")
def test_its_owner_may_look_and_nobody_else(gate: Gate) -> None:
    hidden = gate.spool / ".a"
    hidden.write_text("a")
    hidden.chmod(0o666)
    os.chown(hidden, OWNER, OWNER)
    hidden.rename(gate.spool / "data" / "a")
    fail(gate)
    until(lambda: "1/a" in kept(gate.layout))
    place = gate.layout.failed / "1"
    assert stat.S_IMODE(gate.layout.failed.stat().st_mode) == 0o2750
    assert stat.S_IMODE(place.stat().st_mode) & 0o007 == 0
    assert place.stat().st_uid == os.geteuid()
    entries = list(acl._entries(place))
    if not entries:
        pytest.skip("no access control lists here")
    assert [(tag, mode) for tag, mode, id_ in entries if id_ == OWNER] == [(acl._USER, 0o5)], "he may not write"
    assert [mode for tag, mode, _ in entries if tag in (acl._GROUP_OWNER, acl._OTHER)] == [0, 0]
    assert not acl.may_enter(place, OWNER)


# -- retention, and a queue of that name ---------------------------------------------------------


def test_what_is_kept_of_a_job_is_removed_with_it(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path)
    for job in (1, 12, 2):
        (tmp_path / str(job)).mkdir()
        (tmp_path / str(job) / "a").touch()
    (tmp_path / "3").symlink_to(tmp_path / "2")
    (tmp_path / "12" / "inner").mkdir()
    assert remove(top, [1]) == {}
    assert sorted(os.listdir(tmp_path)) == ["12", "2", "3"]
    assert list(remove(top, [3, 12, 7])) == [3, 12]
    assert (tmp_path / "2" / "a").exists(), "no link is followed"


def test_a_queue_of_that_name_from_before_is_closed(tmp_path: Path) -> None:
    layout = Layout.under(tmp_path)
    layout.failed.mkdir(parents=True)
    layout.failed.chmod(0o3730)
    (layout.failed / "dropped").write_text("x")
    directories.make_shared(layout.failed)
    assert stat.S_IMODE(layout.failed.stat().st_mode) == 0o2750
    assert (layout.failed / "dropped").read_text() == "x"
    layout.failed.chmod(0o700)
    directories.make_shared(layout.failed)
    assert stat.S_IMODE(layout.failed.stat().st_mode) == 0o700, "what an administrator has set stays"
    shutil.rmtree(layout.failed)


def test_it_is_no_queue(gate: Gate) -> None:
    gate.layout.failed.mkdir(exist_ok=True)
    (gate.layout.failed / "a.tasks").write_text("true\n")
    gate.drop("b.tasks", "true\n")
    until(lambda: gate.sink.sources == ["b.tasks"])
    until(gate.idle)
    assert (gate.layout.failed / "a.tasks").exists() and gate.sink.sources == ["b.tasks"]
