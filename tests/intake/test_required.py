"""``require:``: a file is taken only when what says that it is whole is there, a marker or its sum."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.errors import Refused
from taskgated.intake import drain, required
from taskgated.intake.drain import Drain
from taskgated.intake.events import FileWaits
from taskgated.intake.inlet import Inlet
from taskgated.intake.later import Later
from taskgated.intake.pulse import Pulse
from taskgated.intake.required import Required, remove_after_crash
from taskgated.intake.settle import Opened
from taskgated.language.config import Config, QueueConfig, Require
from taskgated.language.sums import stated
from tests.env.intake import QUEUES, Gate, config
from tests.env.killed import killed_at, points
from tests.env.until import until

WITH = QUEUES | {
    "default": QueueConfig("default", require=Require(marker=".ok")),
    "marked": QueueConfig("marked", require=Require(marker=".done")),
    "pictures": QueueConfig(
        "pictures", handler=("/bin/thumb", "{file}"), match=("*.png",), require=Require(marker=".done")
    ),
    "summed": QueueConfig("summed", handler=("/bin/thumb", "{file}"), require=Require(sha256=".sha256")),
}
SLOW = 3600.0


def settings(**changes: object) -> Config:
    return config(**{"queues": WITH, "settle_time": 0.02, "rescan_interval": SLOW} | changes)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path, settings())
    try:
        gate.start()
        yield gate
    finally:
        gate.stop()


def sum_of(data: str | bytes) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def passed(gate: Gate) -> None:
    """All that was dropped before this was looked at."""
    for number in (1, 2):
        name = f"mark{number}-{len(gate.sink.sources)}"
        gate.drop(f"lines/{name}", "x\n")
        until(lambda name=name: name in gate.sink.sources)  # type: ignore[misc]


def names(gate: Gate, queue: str) -> list[str]:
    return sorted(os.listdir(gate.spool / queue))


def refused(gate: Gate, name: str) -> str:
    until(lambda: {name, f"{name}.reason"} <= set(gate.rejected()))
    return (gate.layout.rejected / f"{name}.reason").read_text()


# -- a marker ------------------------------------------------------------------------------------


def test_a_file_waits_for_its_marker_and_both_go(gate: Gate) -> None:
    gate.drop("marked/a.tasks", "first\n")
    passed(gate)
    assert "first" not in gate.sink.commands and names(gate, "marked") == ["a.tasks"]
    (gate.spool / "marked" / "a.tasks.done").touch()
    until(lambda: "first" in gate.sink.commands)
    until(lambda: names(gate, "marked") == [])
    assert "a.tasks.done" not in gate.sink.sources and not gate.rejected()


def test_a_marker_may_come_first_and_opens_for_one_file(gate: Gate) -> None:
    (gate.spool / "marked" / "a.tasks.done").write_text("anything")
    passed(gate)
    assert names(gate, "marked") == ["a.tasks.done"], "it is no job"
    gate.drop("marked/a.tasks", "first\n")
    until(lambda: "first" in gate.sink.commands)
    until(lambda: names(gate, "marked") == [])
    gate.drop("marked/a.tasks", "second\n")
    passed(gate)
    assert "second" not in gate.sink.commands


def test_a_file_with_a_marker_that_is_still_written_is_not_taken(gate: Gate) -> None:
    with open(gate.spool / "marked" / "a.tasks", "w") as file:
        file.write("first\n")
        file.flush()
        (gate.spool / "marked" / "a.tasks.done").touch()
        passed(gate)
        assert "first" not in gate.sink.commands
    until(lambda: "first" in gate.sink.commands)


def test_the_spool_itself_may_require_one(gate: Gate) -> None:
    gate.drop("a.tasks", "first\n")
    passed(gate)
    assert "first" not in gate.sink.commands
    gate.drop("a.tasks.ok", "")
    until(lambda: "first" in gate.sink.commands)
    until(lambda: not list(gate.spool.glob("a*")))


def test_what_is_there_at_the_start_is_found(tmp_path: Path) -> None:
    gate = Gate(tmp_path, settings())
    for name in ("a.tasks", "a.tasks.done", "b.tasks", "c.tasks.done"):
        (gate.spool / "marked" / name).write_text(f"{name}\n")
    try:
        gate.start()
        until(lambda: gate.sink.commands == ["a.tasks"])
        passed(gate)
        assert names(gate, "marked") == ["b.tasks", "c.tasks.done"]
    finally:
        gate.stop()


def test_a_rescan_finds_a_pair_that_nobody_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(tmp_path, settings(rescan_interval=0.5))
    (gate.spool / "marked" / "a.tasks").write_text("first\n")
    try:
        gate.start()
        passed(gate)
        monkeypatch.setattr(gate.intake._watch.hints, "names", lambda key, names: None)
        (gate.spool / "marked" / "a.tasks.done").touch()
        until(lambda: "first" in gate.sink.commands)
    finally:
        gate.stop()


def test_what_is_no_file_is_refused_as_ever(gate: Gate) -> None:
    os.symlink("/etc/passwd", gate.spool / "marked" / "link")
    os.mkfifo(gate.spool / "marked" / "x.done")
    assert "symbolic link" in refused(gate, "link")
    assert "FIFO" in refused(gate, "x.done")


def test_a_name_too_long_for_a_marker_is_refused(gate: Gate) -> None:
    gate.drop(b"marked/" + b"x" * 251, "first\n")
    until(lambda: any(name.endswith(".reason") for name in gate.rejected()))
    (reason,) = (name for name in gate.rejected() if name.endswith(".reason"))
    assert "too long a name" in (gate.layout.rejected / reason).read_text()


def test_a_marker_that_no_file_comes_to_is_put_aside(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "STRAY", 0.3)
    (gate.spool / "marked" / "a.tasks.done").touch()
    assert "a.tasks is whole, and no such file has come" in refused(gate, "a.tasks.done")


def test_that_a_file_waits_for_long_is_told_once(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "PATIENCE", 0.2)
    gate.drop("marked/a.tasks", "first\n")
    until(lambda: gate.told(FileWaits))
    passed(gate)
    (event,) = gate.told(FileWaits)
    assert (event.source, event.queue) == ("a.tasks", "marked") and "a.tasks.done is not there" in event.reason
    (gate.spool / "marked" / "a.tasks.done").touch()
    until(lambda: "first" in gate.sink.commands)


def test_a_configuration_without_it_takes_what_waits(gate: Gate) -> None:
    gate.drop("marked/a.tasks", "first\n")
    passed(gate)
    gate.intake.reload(settings(queues=WITH | {"marked": QueueConfig("marked")}))
    until(lambda: "first" in gate.sink.commands)
    gate.intake.reload(settings())
    passed(gate)
    gate.drop("marked/b.tasks", "second\n")
    passed(gate)
    assert "second" not in gate.sink.commands


def test_a_marker_need_not_match_what_its_queue_takes(gate: Gate) -> None:
    gate.drop("pictures/a.png.done", "")
    passed(gate)
    gate.drop("pictures/a.png", "pixels")
    until(lambda: "a.png" in gate.sink.sources)
    until(lambda: names(gate, "pictures") == [])
    gate.drop("pictures/b.png", "pixels")
    passed(gate)
    gate.drop("pictures/b.png.done", "")
    until(lambda: "b.png" in gate.sink.sources)
    assert not gate.rejected()


def test_what_its_queue_never_takes_is_refused_without_a_marker(gate: Gate) -> None:
    gate.drop("pictures/a.txt", "words")
    assert "queue pictures takes only *.png (match)" in refused(gate, "a.txt")
    gate.drop("pictures/b.txt.done", "")
    gate.drop("pictures/b.txt", "words")
    assert "queue pictures takes only *.png (match)" in refused(gate, "b.txt")
    until(lambda: names(gate, "pictures") == [])


@pytest.mark.parametrize("where", ["the gate", "the queue"])
def test_a_marker_counts_whatever_is_left_alone_by_its_own_name(tmp_path: Path, where: str) -> None:
    globs = ("*.done", "*.sha256", "raw*")
    queues = {name: replace(queue, ignore=globs if where == "the queue" else ()) for name, queue in WITH.items()}
    gate = Gate(tmp_path, settings(queues=queues, ignore=globs if where == "the gate" else ()))
    try:
        gate.start()
        gate.drop("marked/a.tasks", "first\n")
        gate.drop("summed/a.png", "pixels")
        passed(gate)
        assert "first" not in gate.sink.commands
        gate.drop("marked/a.tasks.done", "")
        gate.drop("summed/a.png.sha256", sum_of("pixels"))
        until(lambda: "first" in gate.sink.commands and "a.png" in gate.sink.sources)
        until(lambda: names(gate, "marked") == [] == names(gate, "summed"))
    finally:
        gate.stop()


def test_the_marker_of_a_file_that_is_left_alone_is_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "STRAY", 0.1)
    gate = Gate(tmp_path, settings(ignore=("*.log",)))
    try:
        gate.start()
        gate.drop("marked/a.log", "text\n")
        gate.drop("marked/a.log.done", "")
        gate.drop("marked/b.log.done", "")  # its file was never there
        gate.drop("marked/c.done", "")
        assert "no such file has come" in refused(gate, "c.done")
        passed(gate)
        assert names(gate, "marked") == ["a.log", "a.log.done", "b.log.done"]
        assert gate.rejected() == ["c.done", "c.done.reason"]
    finally:
        gate.stop()


# -- a sum ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["file", "sum"])
@pytest.mark.parametrize(
    "form",
    ["{}", "{}\n", "{}  a.png\n", "{} *a.png\n", "{}  /tmp/x/a.png\r\n", "{}  other\n", "SHA256 (a.png) = {}\n",
     "SHA2-256(a.png)= {}\n", "SHA256(/tmp/a.png)= {}\n", "SHA2-256(stdin)= {}\n", "(stdin)= {}\n"],
)  # fmt: skip
def test_a_file_is_taken_when_its_sum_fits(gate: Gate, first: str, form: str) -> None:
    pieces = [("summed/a.png", "pixels"), ("summed/a.png.sha256", form.format(sum_of("pixels")))]
    for name, content in pieces if first == "file" else reversed(pieces):
        passed(gate)
        assert "a.png" not in gate.sink.sources
        gate.drop(name, content)
    until(lambda: "a.png" in gate.sink.sources)
    until(lambda: names(gate, "summed") == [])
    assert not gate.rejected()


def test_half_a_file_waits_for_the_rest(tmp_path: Path) -> None:
    """Its connection broke, and the sender goes on from there."""
    gate = Gate(tmp_path, settings(settle_time=60.0))
    path = gate.spool / "summed" / "a.png"
    try:
        gate.start()
        gate.drop("summed/a.png.sha256", sum_of("pixels"))
        path.write_text("pix")
        passed(gate)
        assert gate.sink.sources.count("a.png") == 0 and not gate.rejected()
        with open(path, "a") as file:
            file.write("els")
        until(lambda: "a.png" in gate.sink.sources)
        until(lambda: names(gate, "summed") == [])
    finally:
        gate.stop()


def test_another_sum_is_refused_with_both_when_nothing_changes_any_more(gate: Gate) -> None:
    gate.drop("summed/a.png", "pix")
    gate.drop("summed/a.png.sha256", f"{sum_of('pixels')}  a.png\n")
    reason = refused(gate, "a.png")
    assert f"its SHA-256 sum is {sum_of('pix')}, and a.png.sha256 says {sum_of('pixels')}" in reason
    assert "cut off" in reason
    until(lambda: names(gate, "summed") == [])
    assert "a.png" not in gate.sink.sources


def test_what_is_no_sum_is_refused(gate: Gate) -> None:
    gate.drop("summed/a.png", "pix")
    gate.drop("summed/a.png.sha256", "d41d8cd98f00b204e9800998ecf8427e  a.png\n")
    assert "a.png.sha256 has no SHA-256 sum of it" in refused(gate, "a.png")


def test_a_large_file_is_summed_up_piece_by_piece(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "PIECE", 7)
    monkeypatch.setattr(required, "AT_ONCE", 2)
    data = os.urandom(1000)
    gate.drop("summed/a.png.sha256", sum_of(data).upper())
    gate.drop("summed/a.png", data)
    until(lambda: "a.png" in gate.sink.sources)
    assert gate.intake._pulse.steps > 1000 / 7


class Alone:
    """A directory, and what sums up the files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY)
        self.later = Later()
        self.required = Required(self._look, Pulse(lambda: None))

    def _look(self, directory: int, name: bytes, later: Later) -> Opened:
        fd = os.open(name, os.O_RDONLY, dir_fd=directory)
        return Opened(fd, os.fstat(fd), leased=False)

    def make(self, name: str, size: int, said: str | None = None) -> None:
        (self.path / name).touch()
        os.truncate(self.path / name, size)
        (self.path / f"{name}.sha256").write_text(said or sum_of(bytes(size)))

    def fits(self, name: str) -> float:
        opened = self._look(self.fd, name.encode(), self.later)
        try:
            return self.required.fits(
                self.fd, name.encode(), opened, Require(sha256=".sha256"), self.later, settle_time=100.0
            )
        finally:
            opened.close()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alone]:
    monkeypatch.setattr(required, "PIECE", 10)
    monkeypatch.setattr(required, "AT_ONCE", 1)
    alone = Alone(tmp_path)
    yield alone
    os.close(alone.fd)


def test_large_files_are_summed_up_one_after_the_other(alone: Alone) -> None:
    alone.make("a", 25)
    alone.make("b", 15)
    alone.make("small", 10)
    assert alone.fits("a") < required.OTHERS
    assert alone.fits("b") == required.OTHERS == alone.fits("b")
    assert alone.fits("small") == 0.0  # that is done at once
    assert 0 < alone.fits("a") < required.OTHERS
    assert alone.fits("a") == 0.0
    assert 0 < alone.fits("b") < required.OTHERS
    assert alone.fits("b") == 0.0


def test_a_large_file_that_is_gone_is_not_waited_for(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.make("a", 25)
    alone.make("b", 15)
    assert alone.fits("a") < required.OTHERS
    assert alone.fits("b") == required.OTHERS
    monkeypatch.setattr(required, "TURN", 0.0)
    assert alone.fits("b") < required.OTHERS
    assert alone.fits("b") == 0.0


def test_a_large_file_with_another_sum_lets_the_next_have_its_turn(alone: Alone) -> None:
    alone.make("a", 15, said="0" * 64)
    alone.make("b", 15)
    assert 0 < alone.fits("a") < required.OTHERS
    assert alone.fits("a") > required.OTHERS  # it stays for a while
    assert 0 < alone.fits("b") < required.OTHERS
    assert alone.fits("a") > required.OTHERS  # and is not summed up again
    assert alone.fits("b") == 0.0


def test_small_files_do_not_make_a_large_one_begin_anew(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "SUMS", 2)
    alone.make("a", 25)
    assert alone.fits("a") < required.OTHERS
    for number in range(4):
        alone.make(f"small{number}", 5, said="0" * 64)
        assert alone.fits(f"small{number}") > required.OTHERS
    assert 0 < alone.fits("a") < required.OTHERS
    assert alone.fits("a") == 0.0


def test_of_more_wrong_files_than_sums_are_kept_each_is_summed_up_a_few_times_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums: Counter[tuple[object, ...]] = Counter()

    class Counted(required._Sum):
        def __init__(self, signatures: tuple[required.Signature, required.Signature]) -> None:
            super().__init__(signatures)
            sums[signatures] += 1

    monkeypatch.setattr(required, "_Sum", Counted)
    monkeypatch.setattr(required, "SUMS", 2)
    monkeypatch.setattr(Later.__init__, "__defaults__", (16, *Later.__init__.__defaults__[1:]))  # type: ignore[misc,index]
    gate = Gate(tmp_path, settings(settle_time=0.05))
    number = 60
    try:
        gate.start()
        for file in range(number):
            gate.drop(f"summed/{file:02}.sha256", "0" * 64)
            gate.drop(f"summed/{file:02}", "data")
            time.sleep(0.01)
        until(lambda: len(gate.rejected()) == 2 * number, timeout=30)
        assert len(sums) == number
        assert max(sums.values()) == 1
        until(lambda: names(gate, "summed") == [])
    finally:
        gate.stop()


def test_wrong_files_that_fill_the_memory_do_not_throw_each_other_out(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(required, "WRONG", 2)
    for number in range(4):
        alone.make(f"wrong{number}", 5, said="0" * 64)
        assert alone.fits(f"wrong{number}") > required.OTHERS
    alone.make("right", 5)
    assert alone.fits("right") == 0.0
    pieces = alone.required.pieces
    assert alone.fits("wrong0") > required.OTHERS and alone.required.pieces == pieces, "it is remembered"
    # One that is not remembered is refused all the same: its change time says for how long it has been so.
    made = time.time()
    monkeypatch.setattr(time, "time", lambda: made + 3001)
    with pytest.raises(Refused):
        alone.fits("wrong2")


def test_what_is_too_large_is_not_summed_up(tmp_path: Path) -> None:
    gate = Gate(tmp_path, settings(max_list_size=1000))
    try:
        gate.start()
        gate.drop("summed/big.sha256", "0" * 64)
        gate.drop("summed/big", "x" * 1001)
        assert "is too large: 1001 bytes, the limit is 1000" in refused(gate, "big")
        until(lambda: names(gate, "summed") == [])
    finally:
        gate.stop()


def test_files_that_wait_do_not_hold_up_another_queue(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LONG", 0.0)
    looked: list[int] = []
    empty, decide = Drain.empty, Drain._decide

    def counted(self: Drain, inlet: Inlet) -> None:
        looked.append(0)
        empty(self, inlet)

    def one(self: Drain, inlet: Inlet, name: bytes) -> None:
        looked[-1] += 1
        decide(self, inlet, name)

    monkeypatch.setattr(Drain, "empty", counted)
    monkeypatch.setattr(Drain, "_decide", one)
    for number in range(20):
        gate.drop(f"marked/{number}.tasks", "never\n")
    gate.drop("lines/x", "x\n")
    until(lambda: "x" in gate.sink.sources and sum(looked) >= 20)
    assert max(looked) == 1


def test_among_many_that_wait_one_that_rests_is_not_forgotten() -> None:
    later = Later(limit=2)
    for name in (b"a", b"b", b"c"):
        later.again(name, required.PATIENCE)
    later.again(b"rests", 0.0)
    assert later.due() == ([b"rests"], False)  # and not all of the directory again


def test_many_that_rest_are_bounded() -> None:
    later = Later(limit=2)
    for name in (b"a", b"b", b"c"):
        later.again(name, 0.0)
    assert later.due() == ([b"a", b"b"], True)


def test_sums_of_one_queue_do_not_hold_up_another(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "PIECE", 4)
    monkeypatch.setattr(required, "AT_ONCE", 1)
    summed: list[int] = []
    empty = Drain.empty

    def counted(self: Drain, inlet: Inlet) -> None:
        before = self._required.pieces
        empty(self, inlet)
        summed.append(self._required.pieces - before)

    monkeypatch.setattr(Drain, "empty", counted)
    for number in range(20):
        gate.drop(f"summed/{number}.sha256", "0" * 64)
    for number in range(20):
        gate.drop(f"summed/{number}", "data")
    until(lambda: sum(summed) >= 20)
    assert max(summed) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{'a' * 64}  x\n{'b' * 64}  a\n", "b" * 64), (f"{'a' * 64}  x\n{'b' * 64}  y\n", None), ("", None),
        (f"{'A' * 64}\n\n", "a" * 64), ("a" * 63, None), ("a" * 65, None), (f"\\{'a' * 64}  a\\nb\n", "a" * 64),
        (f"{'a' * 64}  a\n{'b' * 64}  a\n", None), (f"{'a' * 64}  a\nrubbish\n", None),
    ],
)  # fmt: skip
def test_the_formats_of_a_sum(text: str, says: str | None) -> None:
    assert stated(text.encode(), b"a") == says


# -- crashes -------------------------------------------------------------------------------------


def marked(gate: Gate) -> None:
    gate.intake.start()
    until(lambda: gate.intake.watching and "first" in gate.sink.commands and names(gate, "marked") == [])


def summed(gate: Gate) -> None:
    gate.intake.start()
    until(lambda: gate.intake.watching and gate.sink.kept and names(gate, "summed") == [])
    until(lambda: len(gate.sink.claims) == 1)


def trials(
    tmp_path: Path, files: Mapping[str, str], work: Callable[[Gate], None], again: Callable[[Gate], None]
) -> set[tuple[str, ...]]:
    """Take these in and be killed, at each point once, and then once more from there on; what each crash left."""
    directory = next(iter(files)).partition("/")[0]
    numbers = itertools.count()
    left = set()

    def fresh() -> Path:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        gate = Gate(root, settings())
        for name, content in files.items():
            gate.drop(name, content)
        gate.sink.close()
        return root

    passed_by = points(fresh(), work, settings())
    assert len(passed_by) > 10
    for where in passed_by:
        root = fresh()
        killed_at(root, where, work, settings())  # now and then another run does not come by there
        gate = Gate(root, settings())
        left.add(tuple(names(gate, directory)))
        try:
            again(gate)
        finally:
            gate.stop()
    return left


def test_killed_at_every_point_it_is_taken_once_and_the_marker_opens_for_no_other(tmp_path: Path) -> None:
    def again(gate: Gate) -> None:
        if not names(gate, "marked") or names(gate, "marked") == ["a.tasks.done"]:
            gate.drop("marked/a.tasks", "second\n")
        gate.intake.start()
        until(lambda: gate.intake.watching and "first" in gate.sink.commands)
        passed(gate)
        until(lambda: "a.tasks.done" not in names(gate, "marked"))
        assert gate.sink.commands.count("first") == 1 and not gate.rejected()
        assert "second" not in gate.sink.commands, "it has no marker"

    left = trials(tmp_path, {"marked/a.tasks": "first\n", "marked/a.tasks.done": ""}, marked, again)
    assert ("a.tasks.done",) in left, "a crash between the claim and the end of the marker was tried"


def test_killed_at_every_point_it_is_taken_once_with_its_sum(tmp_path: Path) -> None:
    def again(gate: Gate) -> None:
        gate.intake.start()
        until(lambda: gate.intake.watching and gate.sink.kept)
        passed(gate)
        until(lambda: names(gate, "summed") == [])
        assert gate.sink.sources.count("a.png") == 1 and not gate.rejected()

    left = trials(tmp_path, {"summed/a.png": "pixels", "summed/a.png.sha256": sum_of("pixels")}, summed, again)
    assert ("a.png.sha256",) in left, "a crash between the claim and the end of the sum was tried"


def test_a_marker_that_came_after_a_crash_is_of_the_next_file(tmp_path: Path) -> None:
    gate = Gate(tmp_path, settings())
    gate.drop("marked/a.tasks", "first\n")
    gate.drop("marked/a.tasks.done", "")
    gate.sink.close()
    assert killed_at(tmp_path, ("claim.taken", 1), marked, settings())
    assert names(gate, "marked") == ["a.tasks.done"], "the crash was right after the claim"
    gate = Gate(tmp_path, settings())
    gate.drop("marked/a.tasks", "second\n")
    gate.drop("marked/a.tasks.done", "")
    try:
        gate.start()
        until(lambda: gate.sink.commands == ["first", "second"])
        until(lambda: names(gate, "marked") == [])
    finally:
        gate.stop()


def test_after_a_crash_the_end_of_a_marker_is_put_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could bring it back, when the jobs of its file are in the store, and it opens for the next."""
    queue = tmp_path / "q"
    queue.mkdir()
    (queue / "a.done").touch()
    (queue / "a").touch()
    os.rename(queue / "a", tmp_path / "claimed")
    synced: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, os.listdir(queue))))
    remove_after_crash(os.fsencode(queue), b"a", Require(marker=".done"), os.stat(tmp_path / "claimed"))
    assert synced == [(queue.stat().st_ino, [])]
