"""Kill intake at every named point and start it again: the same jobs, once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from taskgated import faultpoints
from taskgated.core.job import Spec
from taskgated.intake import batch, read
from taskgated.intake import done as done_module
from taskgated.intake.done import Done
from taskgated.intake.events import FileRefused
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed
from tests.env.intake import Gate, config
from tests.env.killed import killed_at, killed_everywhere
from tests.env.until import until

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


def check(gate: Gate) -> None:
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
    gate.intake.let_go(gate.sink.end_jobs())
    until(gate.idle)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "GRACE", 0.05)


def prepare(root: Path) -> None:
    gate = Gate(root, config())
    fill(gate)
    gate.sink.close()


def test_killed_at_every_point(tmp_path: Path) -> None:
    killed_everywhere(tmp_path, prepare, work, check, least=30)


@pytest.mark.parametrize("files", [1, 2])
def test_killed_again_and_again_with_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Each run comes a little further than the one before, or dies in recovery."""
    monkeypatch.setattr(batch, "FILES", files)
    monkeypatch.setattr(batch, "SPECS", 1)
    prepare(tmp_path)
    for number in range(60):
        if not killed_at(tmp_path, number % 7, work):
            break
    gate = Gate(tmp_path, config(settle_time=0.05))
    try:
        check(gate)
    finally:
        gate.stop()


def test_the_disk_is_synced_in_the_right_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would undo cannot be tried here; that nothing is done too early can be seen."""
    gate = Gate(tmp_path, config())
    steps: list[str] = []
    synced, add, forget = os.fsync, gate.sink.add, gate.sink.forget_claims

    def fsync(fd: int) -> None:
        steps.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        synced(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    gate.sink.add = lambda batch, accepted=(): (steps.append("add"), add(batch, accepted))[1]  # type: ignore[method-assign]
    gate.sink.forget_claims = lambda claims: (steps.append("forget"), forget(claims))[1]  # type: ignore[method-assign]
    monkeypatch.setattr(faultpoints, "hook", steps.append)
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
            "forget",
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


def job_over(root: Path, *, deep: bool) -> None:
    """A gate whose handler has ended while the daemon was down; what it left is still there."""
    gate = Gate(root, config())
    gate.drop("data/picture", "pixels")
    gate.intake.start()
    until(lambda: gate.sink.kept)
    litter(Path(gate.sink.commands[0].split("\0")[1]), deep=deep)
    gate.sink.end_jobs()
    gate.stop()
    (gate.spool / "two.yaml").write_text("command: [/bin/one]\n---\ncommand: [/bin/two]\n")


def taken_and_gone(gate: Gate) -> None:
    gate.intake.start()
    until(lambda: len(gate.sink.commands) == 3 and gate.idle())


@pytest.mark.parametrize("deep", [False, True])
def test_what_handlers_leave_never_passes_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    """Killed at every point while it goes away and the next file comes, and soon again while that is taken up."""
    # It is gone before that file is claimed, into the same directory perhaps.
    monkeypatch.setattr(done_module, "FORGET", 1)

    def check(gate: Gate) -> None:
        gate.start()
        until(lambda: not (gate.spool / "two.yaml").exists() and gate.idle())
        assert gate.sink.commands[1:] == ["/bin/one", "/bin/two"]
        assert not gate.rejected()

    killed_everywhere(tmp_path, partial(job_over, deep=deep), taken_and_gone, check, soon=range(5), least=15)


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
    gate.sink.add([Addition(claimed(over), 0, [spec], "x.yaml", "root", 0, True)])
    gate.sink.end_jobs()
    gate.sink.add([Addition(claimed(kept), 0, [spec], "x.yaml", "root", 0, True)])
    try:
        gate.start()
        until(lambda: [path.name for path in gate.layout.claims.iterdir() if any(path.iterdir())] == [kept])
        assert gate.sink.commands == ["/bin/thumb", "/bin/thumb", "/bin/one"]
        names = ["0", "a", "x.yaml", "zz", "\u00ff"]
        assert gate.rejected() == sorted([*names, *(f"{name}.reason" for name in names)])
        assert "version 0.2.0" in (gate.layout.rejected / "x.yaml.reason").read_text()
        assert (gate.layout.claims / kept / "x.yaml").exists()
        gate.intake.let_go(gate.sink.end_jobs())
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


def test_what_was_left_is_taken_up_without_room_for_more(tmp_path: Path) -> None:
    """The daemon is ready only after that, and no job need end before."""
    spec = Spec(command=("/bin/thumb",), file="x")
    gate = Gate(tmp_path, config(), capacity=1)
    claim = "0123456789abcdef-01234567-file.data"
    (gate.layout.claims / claim / "work").mkdir(parents=True)
    gate.sink.add([Addition(claimed(claim), 0, [spec], "x", "root", 0, True)])
    assert gate.sink.room() == 0
    try:
        gate.start()
        assert gate.sink.kept == [claim]
    finally:
        gate.stop()


# -- arrays --------------------------------------------------------------------------------------

ARRAYS = "command: [/bin/a, '{index}']\narray: {to: 5, at_most: 2}\n---\ncommand: [/bin/b]\n---\n"
ARRAYS += "command: [/bin/c, '{index}']\narray: [9, 7, 8]\n"
IN_ORDER = [*(f"/bin/a\0{index}" for index in range(1, 6)), "/bin/b", *(f"/bin/c\0{index}" for index in (9, 7, 8))]


@pytest.mark.parametrize("soon", [(), (3,)])
def test_killed_at_every_point_of_an_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: Sequence[int]
) -> None:
    """Each index once, in order, and known by the first: in pieces, and killed soon after once more."""
    monkeypatch.setattr(batch, "SPECS", 2)

    def prepare(root: Path) -> None:
        gate = Gate(root, config(settle_time=0.05))
        gate.drop("arrays.yaml", ARRAYS)
        gate.sink.close()

    def taken(gate: Gate) -> None:
        gate.intake.start()
        until(lambda: len(gate.sink.commands) == len(IN_ORDER) and gate.idle())

    def check(gate: Gate) -> None:
        taken(gate)
        assert gate.sink.commands == IN_ORDER
        arrays = [gate.sink.store.show(job).record.array for job in range(1, 10)]
        assert arrays == [1] * 5 + [None] + [7] * 3
        assert not gate.rejected()

    killed_everywhere(tmp_path, prepare, taken, check, soon=soon, least=15)


def test_an_array_goes_on_as_there_is_room(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config(settle_time=0.05), capacity=3)
    gate.drop("arrays.yaml", "command: [/bin/a, '{index}']\narray: {to: 8}\n")
    try:
        gate.start()
        until(lambda: len(gate.sink.commands) == 3)
        while len(gate.sink.commands) < 8:
            had = len(gate.sink.commands)
            gate.sink.end_jobs(2)
            gate.intake.poke()
            until(lambda had=had: len(gate.sink.commands) > had)  # type: ignore[misc]
            assert gate.sink.room() >= 0
        until(gate.idle)
        assert gate.sink.commands == [f"/bin/a\0{index}" for index in range(1, 9)]
    finally:
        gate.stop()


@pytest.mark.parametrize("directive", ["#SBATCH -a 1-8", "#PBS -J 1-8", "#$ -t 1-8", "#TASKGATE array: {to: 8}"])
def test_the_array_of_a_script_goes_on_after_a_restart(tmp_path: Path, directive: str) -> None:
    """However it is written: what is left of the file is read again."""
    dialects = config(settle_time=0.05, foreign_directives=("slurm", "pbs", "sge"))
    gate = Gate(tmp_path, dialects, capacity=3)
    gate.drop("script", f"#!/bin/sh\n{directive}\n")
    try:
        gate.start()
        until(lambda: len(gate.sink.commands) == 3)
    finally:
        gate.stop()
    gate = Gate(tmp_path, dialects)
    try:
        gate.start()
        until(lambda: len(gate.sink.commands) == 8 and gate.idle())
        assert [gate.sink.store.show(job).job.spec.array.index for job in range(1, 9)] == list(range(1, 9))
    finally:
        gate.stop()


def _begin(gate: Gate, script: str, jobs: int) -> None:
    """Take in what there is room for of a script, and stop."""
    gate.drop("script", script)
    try:
        gate.start()
        until(lambda: len(gate.sink.commands) == jobs)
    finally:
        gate.stop()


@pytest.mark.parametrize(
    "script, before, after, said",
    [
        ("#SBATCH -a 1-8", ("slurm",), (), "made 8 jobs when it was taken in, and makes 1 job as it is read now"),
        (
            "#SBATCH -a 1-8\n#PBS -J 11-18",
            ("slurm", "pbs"),
            ("pbs",),
            "made 8 jobs when it was taken in, and makes 8 jobs with other indices as it is read now",
        ),
        (
            "#SBATCH -a 1-8\n#PBS -J 1-4",
            ("slurm", "pbs"),
            ("pbs",),
            "made 8 jobs when it was taken in, and makes 4 jobs as it is read now",
        ),
    ],
)
def test_an_array_that_is_read_otherwise_is_not_dropped_in_silence(
    tmp_path: Path, script: str, before: tuple[str, ...], after: tuple[str, ...], said: str
) -> None:
    """The configuration was changed while it was half taken in: what is missing is for a person to say."""
    script = f"#!/bin/sh\n{script}\n"
    _begin(Gate(tmp_path, config(settle_time=0.05, foreign_directives=before), capacity=3), script, 3)
    gate = Gate(tmp_path, config(settle_time=0.05, foreign_directives=after))
    try:
        gate.start()
        until(lambda: gate.idle() and gate.told(FileRefused))
        assert [gate.sink.store.show(job).job.spec.array.index for job in range(1, 4)] == [1, 2, 3]
        assert len(gate.sink.commands) == 3
        assert (gate.layout.rejected / "script").read_text() == script
        reason = (gate.layout.rejected / "script.reason").read_text()
        assert (
            said in reason and "foreign_directives" in reason and "3 of its jobs, the first, were taken in" in reason
        )
    finally:
        gate.stop()


@pytest.mark.parametrize("plan", [True, False])
def test_a_script_that_is_in_the_store_becomes_no_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: bool
) -> None:
    """It was taken in while nobody read its directives, perhaps by an earlier version, and its claim was left."""
    with monkeypatch.context() as crash:
        crash.setattr(Done, "put_by", lambda *_: None)
        gate = Gate(tmp_path, config(settle_time=0.05, foreign_directives=()))
        if not plan:
            crash.setattr(read, "plan_of", lambda specs: "")
        _begin(gate, "#!/bin/sh\n#SBATCH -a 1-8\n", 1)
    gate = Gate(tmp_path, config(settle_time=0.05, foreign_directives=("slurm",)))
    try:
        gate.start()
        until(gate.idle)
        assert len(gate.sink.commands) == 1
        assert not gate.told(FileRefused)
    finally:
        gate.stop()
