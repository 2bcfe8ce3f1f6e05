"""What stays in the spool is told, by how many and since when, and is told to be gone when it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from taskgated.intake import listing, tally
from taskgated.intake.events import MisnamedQueues, Staying, Stays
from taskgated.intake.standing import misnamed
from taskgated.intake.tally import Tally
from taskgated.language.config import QueueConfig
from tests.env.intake import Gate, config, running
from tests.env.until import until
from tests.intake.test_required import WITH

SPEC = "command: [echo]\n"


def told(gate: Gate) -> dict[str, Stays]:
    return {stays.queue: stays for event in gate.told(Staying)[-1:] for stays in event.queues}


def waiting(gate: Gate, queue: str) -> int:
    return told(gate)[queue].waiting if queue in told(gate) else 0


def alone(gate: Gate, queue: str) -> int:
    return told(gate)[queue].alone if queue in told(gate) else 0


def rescan(gate: Gate) -> None:
    gate.intake._rescan_at = 0.0
    gate.intake.poke()


def test_files_without_their_companion_are_told_until_it_is_there(tmp_path: Path) -> None:
    before = time.time()
    with running(tmp_path, queues=WITH, settle_time=0.02) as gate:
        gate.drop("marked/a.yaml", SPEC)
        gate.drop("marked/b.yaml", SPEC)
        until(lambda: waiting(gate, "marked") == 2)
        stays = told(gate)["marked"]
        assert (stays.ending, stays.hint, stays.alone) == (".done", "", 0)
        assert stays.oldest is not None and before - 1 < stays.oldest / 1e6 < time.time() + 1
        rescan(gate)
        gate.drop("marked/a.yaml.done", "")
        until(lambda: gate.sink.sources == ["a.yaml"])
        until(lambda: waiting(gate, "marked") == 1)
        (gate.spool / "marked" / "b.yaml").unlink()
        rescan(gate)
        until(lambda: "marked" not in told(gate))


def test_a_marker_by_a_wrong_name_is_hinted(tmp_path: Path) -> None:
    with running(tmp_path, queues=WITH, settle_time=0.02) as gate:
        gate.drop("marked/j4.done", "")
        gate.drop("marked/j4.yaml", SPEC)
        until(lambda: waiting(gate, "marked") == 1)
        assert told(gate)["marked"].hint == "j4.done is there, but j4.yaml needs j4.yaml.done"
        (gate.spool / "marked" / "j4.done").rename(gate.spool / "marked" / "j4.yaml.done")
        until(lambda: gate.sink.sources == ["j4.yaml"])
        until(lambda: not told(gate))


def test_names_that_are_left_alone_are_counted_and_gone_when_they_are(tmp_path: Path) -> None:
    with running(tmp_path, ignore=("*.log",), settle_time=0.02) as gate:
        names = [".hidden", "a.tmp", "#auto#", "a~", "a.sh.bak", "x.log"]
        for name in names:
            (gate.spool / name).write_text("x")
        (gate.spool / ".git").mkdir()  # a directory is no file, and neither is what is ours
        (gate.spool / "data" / "y.log").write_text("x")
        rescan(gate)
        until(lambda: alone(gate, "default") == len(names) and alone(gate, "data") == 1)
        assert told(gate)["default"].oldest is None
        (gate.spool / "a.tmp").unlink()
        (gate.spool / "x.log").rename(gate.spool / "x.sh")
        rescan(gate)
        until(lambda: alone(gate, "default") == len(names) - 2)
        for name in names:
            (gate.spool / name).unlink(missing_ok=True)
        (gate.spool / "data" / "y.log").unlink()
        rescan(gate)
        until(lambda: not told(gate))


def test_nothing_is_told_while_nothing_changes(tmp_path: Path) -> None:
    with running(tmp_path, queues=WITH, settle_time=0.02) as gate:
        gate.drop("marked/a.yaml", SPEC)
        until(lambda: waiting(gate, "marked") == 1)
        number = len(gate.told(Staying))
        for _ in range(3):
            rescan(gate)
            gate.check()
        assert len(gate.told(Staying)) == number


def test_memory_is_bounded_and_a_look_at_everything_counts_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "KEPT", 3)
    names = Tally()
    for number in range(10):
        names.add(b"%d" % number, 100 - number)
    assert names.count == 3 and len(names._known) == 3
    for _ in range(2):  # each look has the same
        names.begin()
        for number in range(10):
            names.add(b"%d" % number, 100 - number)
        names.end()
        assert (names.count, names.oldest, len(names._known)) == (10, 91, 3)
    names.begin()
    names.end()
    assert (names.count, names.oldest) == (0, None)


def test_the_file_of_a_hint_takes_it_along() -> None:
    names = Tally()
    names.add(b"a.yaml", 1)
    names.is_near(b"a.yaml", b"a.done")
    names.discard(b"b.yaml")
    assert names.near == (b"a.yaml", b"a.done")
    names.discard(b"a.yaml")
    assert names.near is None and names.count == 0


def test_a_listing_tells_of_the_files_that_it_passes_over(tmp_path: Path) -> None:
    (tmp_path / ".x").touch()
    (tmp_path / ".d").mkdir()
    seen: list[bytes] = []
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        assert listing.oldest(directory, passed=seen.append) == []
    finally:
        os.close(directory)
    assert seen == [b".x"]


@pytest.mark.parametrize(
    ("queue", "near"),
    [
        ("etll", "etl"), ("Etl", "etl"), ("tel", ""), ("thumbnial", "thumbnails"), ("thumbnails2", ""), ("etl", ""),
        ("reports", ""), ("lane7", ""), ("alne1", "lane1"), ("default", ""), ("defualt", "default"),
    ],
)  # fmt: skip
def test_a_slip_for_a_queue_is_found(queue: str, near: str) -> None:
    queues = {name: QueueConfig(name) for name in ("default", "etl", "thumbnails", "lane1", "lane2")}
    said = misnamed(queue, config(queues=queues))
    assert f"the directory {queue} is a queue of its own, which has nothing of queue {near}:" in said or not near
    assert bool(said) == bool(near)


def test_a_slip_for_a_queue_is_told_until_it_is_gone(tmp_path: Path) -> None:
    with running(tmp_path, settle_time=0.02) as gate:
        (gate.spool / "datta").mkdir()
        until(lambda: gate.told(MisnamedQueues))
        rescan(gate)
        gate.drop("datta/a.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml"])  # a queue it is all the same
        assert [len(event.notes) for event in gate.told(MisnamedQueues)] == [1]
        (gate.spool / "datta").rmdir()
        gate.check()
        until(lambda: [len(event.notes) for event in gate.told(MisnamedQueues)] == [1, 0])
