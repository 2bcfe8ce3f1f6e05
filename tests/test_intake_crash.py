"""Kill intake at every named point and start it again: the same jobs, once."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated import trace
from taskgated.core.job import Spec
from taskgated.intake import take
from taskgated.store.contract import Addition
from tests.intake_env import Gate, config, until

KILLED = 42
EXPECTED = Counter(
    {
        ("two.yaml", "/bin/one"): 1,
        ("two.yaml", "/bin/two"): 1,
        ("script", "#!/bin/sh\ntrue\n"): 1,
        ("a.tasks", "first"): 1,
        ("a.tasks", "second"): 1,
        ("a.tasks", "third"): 1,
        ("lines.txt", "/bin/consume\x001"): 1,
        ("lines.txt", "/bin/consume\x002"): 1,
        ("picture", "/bin/thumb"): 1,
    }
)
REJECTED = ["bad.tasks", "bad.tasks.reason", "bad.yaml", "bad.yaml.reason", "link", "link.reason"]


def fill(gate: Gate) -> None:
    gate.drop("two.yaml", "command: [/bin/one]\n---\ncommand: [/bin/two]\n")
    gate.drop("script", "#!/bin/sh\ntrue\n")
    gate.drop("a.tasks", "first\n# comment\nsecond\nthird")
    gate.drop("lines/lines.txt", "1\n2\n")
    gate.drop("data/picture", "pixels")
    gate.drop("bad.yaml", "nonsense")
    gate.drop("bad.tasks", b"good\nbad\0\n")
    os.symlink("/etc/passwd", gate.spool / "link")


def work(gate: Gate) -> None:
    """Until there is nothing left to do but to keep the picture."""
    gate.intake.start()
    until(lambda: gate.sink.kept and done(gate))


def done(gate: Gate) -> bool:
    try:
        left = [path for path in gate.spool.glob("[!.]*") if not path.is_dir() or path.is_symlink()]
        left += [*(gate.spool / "lines").iterdir(), *(gate.spool / "data").iterdir()]
        claims = [path for path in gate.layout.claims.iterdir() if any(path.iterdir())]
        return not left and [path.name for path in claims] == gate.sink.kept == gate.sink.claims
    except FileNotFoundError:
        return False


def killed_at(root: Path, number: int, do: Callable[[Gate], None] = work) -> bool:
    """Run intake in a process that dies at the point with that number; False if it came to the end."""
    child = os.fork()
    if child == 0:
        try:
            passed = iter(range(1_000_000))

            def die(name: str) -> None:
                if next(passed) == number:
                    os._exit(KILLED)

            trace.hook = die
            gate = Gate(root, config(settle_time=0.05))
            do(gate)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def check(root: Path) -> None:
    gate = Gate(root, config(settle_time=0.05))
    try:
        work(gate)
        found = Counter(
            (source, command.split("\0")[0] if source == "picture" else command)
            for source, command in zip(gate.sink.sources, gate.sink.commands, strict=True)
        )
        assert found == EXPECTED
        order = [command for command in gate.sink.commands if command in ("first", "second", "third")]
        assert order == ["first", "second", "third"]
        assert gate.rejected() == REJECTED
        kept = Path(next(c for c in gate.sink.commands if c.startswith("/bin/thumb")).split("\0")[1])
        assert kept.read_text() == "pixels"
        gate.intake.release(gate.sink.end_jobs())
        until(gate.idle)
    finally:
        gate.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take, "GRACE", 0.05)


def prepare(root: Path) -> Path:
    root.mkdir()
    gate = Gate(root, config())
    fill(gate)
    gate.sink.close()
    return root


def test_killed_at_every_point(tmp_path: Path) -> None:
    number = 0
    while killed_at(prepare(tmp_path / str(number)), number):
        check(tmp_path / str(number))
        number += 1
    check(tmp_path / str(number))
    assert number > 30, "there are more points than that on the way"


@pytest.mark.parametrize("files", [1, 2])
def test_killed_again_and_again_with_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Each run comes a little further than the one before, or dies in recovery."""
    monkeypatch.setattr(take, "FILES", files)
    monkeypatch.setattr(take, "SPECS", 1)
    root = prepare(tmp_path / "root")
    for number in range(60):
        if not killed_at(root, number % 7):
            break
    check(root)


def test_the_disk_is_synced_in_the_right_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would undo cannot be tried here; that nothing is done too early can be seen."""
    gate = Gate(tmp_path, config())
    steps: list[str] = []
    synced, add, settle = os.fsync, gate.sink.add, gate.sink.settle

    def fsync(fd: int) -> None:
        steps.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        synced(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    gate.sink.add = lambda batch, accepted=(): (steps.append("add"), add(batch, accepted))[1]  # type: ignore[method-assign]
    gate.sink.settle = lambda claims: (steps.append("settle"), settle(claims))[1]  # type: ignore[method-assign]
    monkeypatch.setattr(trace, "hook", steps.append)
    gate.drop("lines/list", "1\n")
    try:
        gate.start()
        until(lambda: "claims.settled" in steps and gate.idle())
        wanted = [
            "claim.taken",
            "sync lines",
            "add",
            "claim.done",
            "sync .claims",
            "settle",
            "claim.unlinked",
        ]
        places = [steps.index(step) for step in wanted]
        assert places == sorted(places)
    finally:
        gate.stop()


def test_jobs_that_ended_while_we_were_down_let_their_files_go(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    gate.drop("data/picture", "pixels")
    gate.intake.start()
    until(lambda: gate.sink.kept)
    gate.stop()
    gate = Gate(tmp_path, config())
    try:
        gate.sink.end_jobs()
        gate.start()
        until(gate.idle)
    finally:
        gate.stop()


def test_a_claim_that_is_still_written_to_is_not_read_after_a_crash(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    claim = gate.layout.claims / "0000000000000001-00000000.default"
    claim.mkdir(parents=True)
    try:
        with open(claim / "a.yaml", "w") as file:
            file.write("command: [/bin/f")
            file.flush()
            gate.start()
            gate.drop("b.yaml", "command: [/bin/true]\n")
            until(lambda: gate.sink.sources == ["b.yaml"])
            file.write("inished]\n")
        until(lambda: gate.sink.commands == ["/bin/true", "/bin/finished"])
        until(gate.idle)
    finally:
        gate.stop()


# -- what handlers leave behind ------------------------------------------------------------------


def litter(picture: Path, *, deep: bool) -> None:
    """What a job leaves beside its file, with names that come before that of any file, and behind."""
    for name in ("0", "a", "zz", "\u00ff"):
        (picture.parent / name).write_text("#!/bin/sh\nlitter\n")
    if deep:
        (picture.parent / "in" / "in").mkdir(parents=True)
        (picture.parent / "in" / "in" / "z.yaml").write_text("command: litter\n")


def job_over(root: Path, *, deep: bool) -> Path:
    """A gate whose handler has ended while the daemon was down; what it left is still there."""
    root.mkdir()
    gate = Gate(root, config())
    gate.drop("data/picture", "pixels")
    gate.intake.start()
    until(lambda: gate.sink.kept)
    litter(Path(gate.sink.commands[0].split("\0")[1]), deep=deep)
    gate.sink.end_jobs()
    gate.stop()
    (gate.spool / "two.yaml").write_text("command: [/bin/one]\n---\ncommand: [/bin/two]\n")
    return root


def taken_and_gone(gate: Gate) -> None:
    gate.intake.start()
    until(lambda: len(gate.sink.commands) == 3 and gate.idle())


@pytest.mark.parametrize("deep", [False, True])
def test_what_handlers_leave_never_passes_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    """Killed at every point while it goes away and the next file comes, and soon again while that is taken up."""
    monkeypatch.setattr(take, "SETTLE", 1)  # it is gone before that file is claimed, into the same directory perhaps
    number, died = 0, True
    while died:
        root = job_over(tmp_path / str(number), deep=deep)
        died = killed_at(root, number, taken_and_gone)
        killed_at(root, number % 5, taken_and_gone)
        gate = Gate(root, config(settle_time=0.05))
        try:
            gate.start()
            until(lambda gate=gate: not (gate.spool / "two.yaml").exists() and gate.idle())  # type: ignore[misc]
            assert gate.sink.commands[1:] == ["/bin/one", "/bin/two"]
            assert not gate.rejected()
        finally:
            gate.stop()
        number += 1
    assert number > 15, "there are more points than that on the way"


def test_claims_of_the_version_before_in_which_handlers_worked(tmp_path: Path) -> None:
    """The store knows on which files jobs work. Where nobody can say which file was dropped, none runs or is lost."""
    gate = Gate(tmp_path, config())
    kept, over, mixed, alone = (f"000000000000000{n}-00000000.{'data' if n < 3 else 'default'}" for n in range(1, 5))
    for claim in (kept, over, mixed, alone):
        (gate.layout.claims / claim).mkdir(parents=True)
    for claim in (kept, over, mixed):
        litter(gate.layout.claims / claim / "x.yaml", deep=claim != mixed)
    for claim in (kept, over, mixed, alone):
        (gate.layout.claims / claim / "x.yaml").write_text("command: [/bin/one]\n")
    spec = Spec(command=("/bin/thumb",), file="x")
    gate.sink.add([Addition(over, 0, [spec], "x.yaml", 0, True)])
    gate.sink.end_jobs()
    gate.sink.add([Addition(kept, 0, [spec], "x.yaml", 0, True)])
    try:
        gate.start()
        until(lambda: [path.name for path in gate.layout.claims.iterdir() if any(path.iterdir())] == [kept])
        assert gate.sink.commands == ["/bin/thumb", "/bin/thumb", "/bin/one"]
        names = ["0", "a", "x.yaml", "zz", "\u00ff"]
        assert gate.rejected() == sorted([*names, *(f"{name}.reason" for name in names)])
        assert "version 0.2.0" in (gate.layout.rejected / "x.yaml.reason").read_text()
        assert (gate.layout.claims / kept / "x.yaml").exists()
        gate.intake.release(gate.sink.end_jobs())
        until(gate.idle)
    finally:
        gate.stop()


def test_what_is_no_claim_is_left_alone(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    (gate.layout.claims / "notes").mkdir(parents=True)
    try:
        gate.start()
        assert gate.intake.watching
        assert (gate.layout.claims / "notes").is_dir()
    finally:
        gate.stop()
