"""Trouble beside a file is no fault of the file: nothing is lost, it is told, and it is tried again."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskgated.errors import StoreClosed, StoreError
from taskgated.intake import read, troubled
from taskgated.intake.events import Accepted, Blind, FileLost, FileRefused, FileStuck, FileWaits
from taskgated.store.contract import Addition
from tests.env.intake import Gate, config, running
from tests.env.until import until

SPEC = "command: [/bin/true]\n"
BROKEN = "comand: x\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and become other users")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path, rescan_interval=0.3) as gate:
        yield gate


def mount(kind: str, directory: Path, *options: str) -> None:
    command = ["mount", "-t", kind, *options, "none", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")


# -- rejected/ cannot be used --------------------------------------------------------------------


@contextmanager
def dangling(rejected: Path) -> Iterator[None]:
    """As with a link to a disk that is not mounted."""
    away = rejected.parent.parent / "away"
    rejected.symlink_to(away)
    yield
    away.mkdir()


@contextmanager
def a_file(rejected: Path) -> Iterator[None]:
    rejected.write_text("in the way")
    yield
    rejected.unlink()


@contextmanager
def the_spool_itself(rejected: Path) -> Iterator[None]:
    """What is moved there would be refused again, under a longer name, for ever."""
    rejected.symlink_to(".")
    yield
    rejected.unlink()


@contextmanager
def a_queue(rejected: Path) -> Iterator[None]:
    rejected.with_name("etl").mkdir(exist_ok=True)
    rejected.symlink_to(rejected.with_name("etl"))
    yield
    rejected.unlink()


@contextmanager
def another_file_system(rejected: Path) -> Iterator[None]:
    rejected.mkdir()
    mount("tmpfs", rejected)
    try:
        yield
        assert os.listdir(rejected) == [], "no reason without a file"
    finally:
        subprocess.run(["umount", rejected], check=True)


@contextmanager
def read_only(rejected: Path) -> Iterator[None]:
    rejected.mkdir()
    mount("tmpfs", rejected, "-o", "ro")
    try:
        yield
    finally:
        subprocess.run(["umount", rejected], check=True)


@pytest.mark.parametrize("broken", [dangling, a_file, the_spool_itself, a_queue, another_file_system, read_only])
def test_what_is_refused_is_not_lost_without_a_place_for_it(
    gate: Gate, broken: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with broken(gate.layout.rejected):
        gate.drop("a.yaml", BROKEN)
        os.mkfifo(gate.spool / "fifo")
        until(lambda: {event.source for event in gate.told(FileStuck)} == {"a.yaml", "fifo"})
        told = next(event.reason for event in gate.told(FileStuck) if event.source == "a.yaml")
        assert "rejected/" in told
        assert "command" in told, "why it was to be moved there is told as well"
        assert [path.read_text() for path in gate.layout.claims.glob("*/a.yaml")] == [BROKEN]
        assert (gate.spool / "fifo").is_fifo()
        gate.drop("good.yaml", SPEC)
        until(lambda: gate.sink.sources == ["good.yaml"])
        assert not gate.told(FileRefused)
    until(lambda: {"a.yaml", "a.yaml.reason", "fifo", "fifo.reason"} <= set(gate.rejected()))
    assert (gate.layout.rejected / "a.yaml").read_text() == BROKEN
    until(gate.idle)
    assert len(gate.told(FileStuck)) == 2, "it is told once"


@pytest.mark.limit(120)
def test_a_pipe_where_the_reason_is_written(gate: Gate) -> None:
    """A job may have put it there. Nobody reads from it."""
    gate.layout.rejected.mkdir(exist_ok=True)
    os.mkfifo(gate.layout.rejected / ".reason.tmp")
    gate.drop("a.yaml", BROKEN)
    until(lambda: {"a.yaml", "a.yaml.reason"} <= set(gate.rejected()))
    assert "command" in (gate.layout.rejected / "a.yaml.reason").read_text()


def test_a_place_that_is_removed_while_a_file_is_moved_there(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two names of a rename the kernel does not say which was not there."""

    def remove(point: str) -> None:
        if point == "reject.reason":
            monkeypatch.setattr("taskgated.faultpoints.hook", None)
            for path in gate.layout.rejected.iterdir():
                path.unlink()
            gate.layout.rejected.rmdir()

    monkeypatch.setattr("taskgated.faultpoints.hook", remove)
    gate.drop("a.yaml", BROKEN)
    until(lambda: {"a.yaml", "a.yaml.reason"} <= set(gate.rejected()))
    until(gate.idle)


def test_what_is_taken_back_while_it_is_refused_is_no_event(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_back(point: str) -> None:
        if point == "reject.reason":
            (gate.spool / "fifo").unlink()

    monkeypatch.setattr("taskgated.faultpoints.hook", take_back)
    os.mkfifo(gate.spool / "fifo")
    until(lambda: gate.layout.rejected.exists() and not (gate.spool / "fifo").exists())
    gate.drop("good.yaml", SPEC)
    until(lambda: gate.sink.sources == ["good.yaml"])
    assert gate.rejected() == [], "and no reason without a file"
    assert not gate.told(FileStuck)
    assert not gate.told(FileRefused)


# -- the claims ----------------------------------------------------------------------------------


def test_a_claimed_file_that_somebody_removes_is_told_of(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    claim = gate.layout.claims / "0000000000000001-00000000.default"
    claim.mkdir(parents=True)
    try:
        with open(claim / "a.yaml", "w"):  # it waits, for it is being written
            gate.start()
            (claim / "a.yaml").unlink()
            until(lambda: gate.told(FileLost) == [FileLost("a.yaml", "default", claim.name, 0)])
        until(gate.idle)
    finally:
        gate.stop()


def test_claims_that_are_moved_away_are_missed(gate: Gate, tmp_path: Path) -> None:
    """What is claimed from then on would be where neither its job nor the next daemon looks for it."""
    gate.layout.claims.rename(tmp_path / "away")
    gate.check()
    until(lambda: gate.told(Blind))
    until(lambda: gate.intake.watching)
    gate.drop("data/picture", "pixels")
    until(lambda: gate.sink.kept)
    assert Path(gate.sink.commands[0].split("\0")[1]).read_text() == "pixels"


# -- a moment's trouble is no verdict ------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again soon."""
    monkeypatch.setattr(troubled, "FIRST", 0.05)
    monkeypatch.setattr(troubled, "MOST", 0.2)


class Failing:
    """Stands for a call of the system that fails while ``error`` is set, for what ``concerns`` it."""

    def __init__(self, real: Callable[..., Any], concerns: Callable[..., bool]) -> None:
        self.error: int | None = errno.EIO
        self.failed = 0
        self._real = real
        self._concerns = concerns

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.error is not None and self._concerns(*args):
            self.failed += 1
            raise OSError(self.error, os.strerror(self.error))
        return self._real(*args, **options)


def named(name: str) -> Callable[..., bool]:
    """Whether the descriptor that a call is about is that of a file of this name."""

    def concerns(fd: int, *_: Any) -> bool:
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) == name

    return concerns


@pytest.mark.parametrize(
    ("name", "content"),
    [("bad.yaml", SPEC), ("bad.tasks", "one\ntwo\n"), ("data/bad", "x"), ("bad.sh", "#!/bin/sh\n")],
)
def test_a_disk_that_fails_once_costs_no_file(
    gate: Gate, quick: None, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    failing = Failing(os.pread if "/" not in name else os.fsync, named(Path(name).name))
    monkeypatch.setattr(os, "pread" if "/" not in name else "fsync", failing)
    gate.drop(name, content)
    until(lambda: failing.failed >= 3)
    gate.drop("good.yaml", SPEC)
    until(lambda: "good.yaml" in gate.sink.sources)
    assert [event.source for event in gate.told(FileWaits)] == [Path(name).name], "it is told, once"
    assert "Input/output error" in gate.told(FileWaits)[0].reason
    assert not gate.told(Blind)
    failing.error = None
    until(lambda: gate.sink.sources.count(Path(name).name) == content.count("\n") or gate.sink.kept)
    assert not gate.rejected()


def test_a_file_in_the_spool_that_cannot_be_opened_waits_there(
    gate: Gate, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(os.open, lambda path, *_: path == b"bad.yaml")
    failing.error = errno.ESTALE
    monkeypatch.setattr(os, "open", failing)
    gate.drop("bad.yaml", SPEC)
    gate.drop("good.yaml", SPEC)
    until(lambda: "good.yaml" in gate.sink.sources and failing.failed >= 3)
    assert [event.source for event in gate.told(FileWaits)] == ["bad.yaml"]
    failing.error = None
    until(lambda: "bad.yaml" in gate.sink.sources)
    assert not gate.rejected()


@pytest.mark.parametrize(("name", "content"), [("a.tasks", "echo one\nrm -r /tmp/x\n"), ("a.yaml", SPEC)])
def test_a_read_that_fails_in_its_middle_gives_no_half_of_a_file(
    gate: Gate, quick: None, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    """The kernel returns what it has; that it failed, only the next call says (read(2))."""
    monkeypatch.setattr(read, "GRACE", 0.05)
    real, end, tries = os.pread, len(content) - 5, []

    def half(fd: int, size: int, offset: int) -> bytes:
        if named(name)(fd) and not mended:
            tries.append(offset)
            if offset >= end:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(fd, min(size, end - offset), offset)
        return real(fd, size, offset)

    mended: list[bool] = []
    monkeypatch.setattr(os, "pread", half)
    gate.drop(name, content)
    until(lambda: len(tries) > 10)
    assert gate.sink.commands == []
    mended.append(True)
    expected = content.splitlines() if name == "a.tasks" else ["/bin/true"]
    until(lambda: gate.sink.commands == expected)
    assert not gate.rejected()


def test_a_list_whose_disk_fails_later_loses_no_line(
    gate: Gate, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read piece by piece; a piece that was read is not forgotten when what follows it cannot be."""
    content = "".join(f"echo {number:0300d}\n" for number in range(3000))
    chance = random.Random(4711)
    failing = Failing(os.pread, lambda fd, *_: named("a.tasks")(fd) and chance.random() < 0.3)
    monkeypatch.setattr(os, "pread", failing)
    gate.drop("a.tasks", content)
    until(lambda: gate.sink.claims, timeout=60)
    until(gate.idle, timeout=60)
    assert failing.failed
    assert len(gate.told(FileWaits)) == 1
    assert gate.sink.commands == content.splitlines()


def test_want_of_memory_is_no_fault_of_a_file(gate: Gate, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("taskgated.language.jobfile.read_specs", fail)
    gate.drop("a.yaml", SPEC)
    until(lambda: gate.told(FileWaits))
    monkeypatch.undo()
    until(lambda: gate.sink.sources == ["a.yaml"])


# -- the store -----------------------------------------------------------------------------------


def test_what_the_store_can_never_keep_is_refused_by_itself(tmp_path: Path) -> None:
    """Whatever it is that a database does not take (a backup of it may know the same claim), the others go on."""
    gate = Gate(tmp_path, config())
    real = gate.sink.add

    def add(batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        if any("bad" in str(spec.command) for addition in batch for spec in addition.specs):
            raise StoreError("the store cannot add that: UNIQUE constraint failed: jobs.claim")
        real(batch, accepted)

    gate.sink.add = add  # type: ignore[method-assign]
    names = [f"{number}.yaml" for number in range(5)]
    for name in names:
        gate.drop(name, SPEC)
    gate.drop("bad.yaml", "command: [bad]\n")
    gate.drop("list.tasks", "one\ntwo\nbad\n")
    gate.drop("data/bad", "pixels")
    long = "".join(f"echo {number}\n" for number in range(2500)) + "bad\n" + "later\n" * 1500
    gate.drop("long.tasks", long)
    try:
        gate.start()
        until(
            lambda: (
                {"bad.yaml.reason", "bad.reason", "list.tasks.reason", "long.tasks.reason"} <= set(gate.rejected())
            )
        )
        until(gate.idle)
        assert sorted(source for source in gate.sink.sources if source != "long.tasks") == names
        assert "2000 jobs of this list" in (gate.layout.rejected / "long.tasks.reason").read_text()
        assert gate.sink.commands.count("later") == 0
        assert sum(event.jobs for event in gate.told(Accepted)) == len(gate.sink.commands)
        assert (gate.layout.rejected / "long.tasks").read_text() == long
        assert "UNIQUE" in (gate.layout.rejected / "bad.yaml.reason").read_text()
        assert not gate.told(FileLost)
        gate.drop("last.yaml", SPEC)
        until(lambda: "last.yaml" in gate.sink.sources)
    finally:
        gate.stop()


def test_a_store_that_is_closed_refuses_nothing(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())

    def add(batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        gate.intake.stop()
        raise StoreClosed("the store is closed")

    gate.sink.add = add  # type: ignore[method-assign]
    gate.drop("a.yaml", SPEC)
    gate.intake.start()
    gate.intake.join(10)
    assert not gate.intake.is_alive()
    assert not gate.rejected()
    gate.stop()
    gate = Gate(tmp_path, config())
    try:
        gate.start()
        until(lambda: gate.sink.sources == ["a.yaml"])
    finally:
        gate.stop()


def test_a_claim_that_cannot_be_taken_up_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it comes from a backup that was unpacked by somebody else, say, or with a row that cannot be read."""
    gate = Gate(tmp_path, config(rescan_interval=0.2))
    claims = {}
    for number, name in enumerate(("file", "row", "good")):
        claims[name] = gate.layout.claims / f"000000000000000{number}-00000000.default"
        claims[name].mkdir(parents=True)
        (claims[name] / f"{name}.yaml").write_text(f"command: [{name}]\n")
    real = gate.sink.known

    def known(claim: str) -> int | None:
        if claim == claims["row"].name and broken:
            raise StoreError("its row cannot be read")
        return real(claim)

    broken = [True]
    gate.sink.known = known  # type: ignore[method-assign]
    (claims["file"] / "file.yaml").rename(tmp_path / "file.yaml")
    claims["file"].rmdir()
    claims["file"].write_text("a file with the name of a claim")
    try:
        gate.start()
        until(lambda: gate.sink.sources == ["good.yaml"])
        until(lambda: {event.source for event in gate.told(FileStuck)} == {claims[n].name for n in ("file", "row")})
        broken.clear()
        claims["file"].unlink()
        claims["file"].mkdir()
        (tmp_path / "file.yaml").rename(claims["file"] / "file.yaml")
        until(lambda: sorted(gate.sink.sources) == ["file.yaml", "good.yaml", "row.yaml"])
        until(gate.idle)
        assert len(gate.told(FileStuck)) == 2
    finally:
        gate.stop()
