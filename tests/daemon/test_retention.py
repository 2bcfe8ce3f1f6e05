"""What is over is forgotten, with its output: by number and by age."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from taskgated.core.job import Spec
from taskgated.daemon import retention
from taskgated.daemon.retention import Retention
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.language.config import from_values
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition, Filter
from taskgated.store.placement import claimed
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.until import until


def outputs_of(gate: GateEnv) -> list[str]:
    return sorted(path.name for path in gate.layout.log.rglob("*.log") if path.is_file())


def test_by_number(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nretention: {count: 3}\n", start=False)  # so that they are over in this order
    gate.layout.spool.mkdir()
    gate.drop("a.tasks", "echo x\n" * 10)
    gate.start()
    gate.until_over(3)
    until(lambda: [job["id"] for job in gate.jobs()] == [8, 9, 10], "only the newest are remembered", 90)
    until(lambda: outputs_of(gate) == ["10.1.log", "8.1.log", "9.1.log"], "only their output is kept")


def test_by_age_and_nothing_is_left_of_a_directory(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\n")
    gate.drop("a.tasks", "echo x\n" * 5)
    gate.until_over(5)
    assert len(outputs_of(gate)) == 5
    gate.stop()
    gate.configure("workers: 2\nretention: {age: 1ms}\n")
    gate.start()
    until(lambda: gate.jobs() == [], "all are forgotten")
    until(lambda: os.listdir(gate.layout.log) == [".last-id"], "so is their output")


def test_what_cannot_be_deleted_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For nobody would ever look for the output of a job that is not known any more."""
    for job in (1, 2, 10, 1001):
        path = Path(outputs.path(Layout.under(tmp_path).log, job, 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    some, other = (Path(outputs.path(Layout.under(tmp_path).log, job, 1)).parent for job in (1, 1001))
    layout = Layout.under(tmp_path)
    assert outputs.remove(layout.log, [1, 2]) == {}
    assert os.listdir(some) == ["10.1.log"]
    assert outputs.remove(layout.log, [1001]) == {}
    assert not other.exists()
    assert outputs.remove(layout.log, [1002]) == {}, "there never was any"

    def fail(path: Path) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "listdir", fail)
    assert outputs.remove(layout.log, [10]) == {10: f"{some}: Too many open files"}


def test_one_that_cannot_be_deleted_keeps_nobody_else(make_gate: Callable[..., GateEnv]) -> None:
    """A directory in the place of an output: its job stays, and it is said once; the others are forgotten."""
    gate = make_gate("workers: 1\n")
    gate.drop("a.tasks", "echo x\n" * 3)
    gate.until_over(3)
    gate.stop()
    in_the_way = Path(outputs.path(gate.layout.log, 1, 1)).with_name("1.x")
    in_the_way.mkdir()
    gate.configure("workers: 1\nretention: {count: 0}\n")
    gate.start()
    until(lambda: [job["id"] for job in gate.jobs()] == [1], "only the one that is stuck is remembered")
    until(lambda: "the output of job 1 cannot be removed" in gate.log(), "it is said, a moment later")
    assert gate.log().count("the output of job 1 cannot be removed") == 1
    assert f"{in_the_way}: Is a directory" in gate.log()
    assert outputs_of(gate) == []


def test_a_file_that_a_job_failed_on_is_kept_as_long_as_the_job(make_gate: Callable[..., GateEnv]) -> None:
    handler = "queues: {data: {handler: {command: [cat, '{file}', /no/such]}}}\n"
    gate = make_gate(handler)
    gate.drop("a.png", "pixels", "data")
    gate.until_over(1)
    kept = gate.layout.failed / "1"
    until((kept / "a.png").exists, "the file is kept")
    assert gate.call("Show", id=1)["kept"] == str(kept / "a.png")
    assert f"file  kept in {kept}/a.png\n" in gate.ctl("show", "1").stdout.decode()
    assert (kept / "a.png").read_text() == "pixels"
    reason = (kept / "a.png.reason").read_text()
    assert reason.startswith("a.png: job 1 failed, exit code 1") and "queue data, attempt 1" in reason
    assert "its file is kept in failed/1/" in gate.log()
    until(lambda: not any(files for *_, files in os.walk(gate.layout.claims)), "nothing is left in the claims")
    gate.drop("b.png", "pixels", "data")
    gate.until_over(2)
    until((gate.layout.failed / "2" / "b.png").exists, "the next one, too")
    gate.configure(f"retention: {{count: 1}}\n{handler}")
    gate.ctl("reload")
    gate.stop()
    gate.start()
    until(lambda: os.listdir(gate.layout.failed) == ["2"], "it goes with its job")
    until(lambda: [job["id"] for job in gate.jobs()] == [2], "only the newest is remembered")


def test_a_file_is_kept_also_if_the_daemon_dies_right_then(make_gate: Callable[..., GateEnv]) -> None:
    """The job was cancelled, which is on stable storage, and nobody has moved the file yet."""
    gate = make_gate("workers: 1\nqueues: {data: {defaults: {delay: 1h}, handler: {command: [cat, '{file}']}}}\n")
    gate.drop("a.png", "pixels", "data")
    until(gate.jobs, "it is taken in")
    gate.kill()
    store = SqliteStore(gate.layout.database)
    store.begin("", 1)
    store.cancel(1)
    store.commit()
    store.close()
    gate.start()
    until((gate.layout.failed / "1" / "a.png").exists, "the file is kept")
    assert "cancelled before it started" in (gate.layout.failed / "1" / "a.png.reason").read_text()


class Kept:
    """Retention over a real store with jobs that are over, on a loop that the test turns."""

    def __init__(self, root: Path, jobs: int) -> None:
        self.layout = Layout.under(root)
        self.layout.state.mkdir(parents=True)
        self.store = SqliteStore(self.layout.database)
        self.jobs = self.store.add([Addition(claimed("c"), 0, [Spec(command="true")] * jobs, "x", "root", 0)]).jobs
        for job in self.jobs:
            self.store.cancel(job)
        self.loop = Loop()
        self.thread = StoreClient(self.store, self.loop.wake)
        self.loop.on_wake(self.thread.deliver)
        self.loop.at_end_of_turn(self.thread.flush)
        self.helper = Helper(self.loop, "retention")
        self.told: list[str] = []
        journal = Journal(str(root / "none"))
        journal.event = lambda event, text, *_, **__: self.told.append(text)  # type: ignore[method-assign,assignment]
        config = from_values({"retention": {"age": 1000.0, "count": 0}})
        self.retention = Retention(
            self.layout, self.loop, self.thread, journal, self.helper, lambda: config.retention
        )
        for part in (self.thread, self.helper, self.retention):
            part.start()

    def block(self, job: int) -> Path:
        path = Path(outputs.path(self.layout.log, job, 1))
        path.mkdir(parents=True)
        return path

    def left(self) -> list[int]:
        self.loop.turn()
        with closing(SqliteQuestions(self.layout.database)) as reader:
            return [record.id for record in reader.list(0, 10_000, Filter()).records]

    def close(self) -> None:
        self.helper.stop(10)
        assert self.thread.stop(10)
        self.loop.close()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Kept]]:
    for name, seconds in (("EVERY", 0.05), ("PAUSE", 0.01), ("AGAIN", 0.5)):
        monkeypatch.setattr(retention, name, seconds)
    made: list[Kept] = []

    def make(jobs: int) -> Kept:
        made.append(Kept(tmp_path, jobs))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_what_is_stuck_is_tried_again_and_told_once(kept: Callable[[int], Kept]) -> None:
    env = kept(700)
    paths = [env.block(job) for job in env.jobs[:300]]  # more than a slice
    until(lambda: env.left() == env.jobs[:300], "all but those that are stuck are forgotten")
    listings: list[None] = []
    listdir = os.listdir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: listings.append(None) or listdir(path))
        until(lambda: env.left() and len(listings) > 5, "they are tried again")
    assert len(env.told) == 2, "once for a slice"
    for path in paths:
        path.rmdir()
    until(lambda: env.left() == [], "and when they can be, they are forgotten")
    assert len(env.told) == 2


def test_time_is_written_down_also_when_nothing_else_is(kept: Callable[[int], Kept]) -> None:
    """Or a host that is switched off at night would count no day."""
    env = kept(0)

    def last() -> int:
        env.loop.turn()
        with closing(sqlite3.connect(env.layout.database)) as db:
            (value,) = db.execute("SELECT value FROM meta WHERE key = 'uptime'").fetchone()
        return int(json.loads(value)["last"])

    before = last()
    until(lambda: last() > before, "it is written down how far the clock has come")


def test_a_disk_that_hangs_stops_nobody_and_is_told(
    kept: Callable[[int], Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()
    monkeypatch.setattr(retention, "SLOW", 0.1)
    monkeypatch.setattr(retention, "remove", lambda log, jobs: going.wait(60) and {})
    env = kept(1)
    until(lambda: env.left() and env.told, "it is said that it takes long, by a loop that goes on")
    assert "does its disk hang?" in env.told[0]
    going.set()
    until(lambda: env.left() == [], "it goes on when the disk does")


def test_a_directory_holds_the_output_of_a_thousand_jobs() -> None:
    layout = Layout.under("/x")
    directories = {Path(outputs.path(layout.log, job, 1)).parent for job in range(1_000_000)}
    assert len(directories) == 1000
    assert Path(outputs.path(layout.log, 999_999, 2)) == Path("/x/log/000999/999999.2.log")
