"""How long something waits, or is over, is counted in time that has passed: no wrong clock makes anything old."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.host import clock
from taskgated.host.clock import MICROSECONDS
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite import database, questions
from taskgated.store.sqlite.sqlfiles import migrations
from taskgated.store.sqlite.store import SqliteStore

DAY = 86400
KEPT = 30 * DAY
MANY = 10**9


class Host:
    """One whose clocks, and whose boots, are the test's to choose."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.wall = 1_700_000_000.0
        self.up = 5.0
        self.boots = 0
        for module in (clock, questions):
            monkeypatch.setattr(module, "wall", lambda: int(self.wall * MICROSECONDS))
        monkeypatch.setattr(clock, "boottime", lambda: int(self.up * MICROSECONDS))
        monkeypatch.setattr(questions, "boot_id", lambda: f"boot {self.boots}")
        self.store = SqliteStore(path)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds

    def boot(self, off: float = 0, up: float = 5.0) -> None:
        """``off``: by how much the wall clock differs when it is up again, for whatever reason."""
        self.store.close()
        self.wall += off + up
        self.up = up
        self.boots += 1
        self.store = SqliteStore(self.path)

    def job(self, over: bool = True) -> int:
        (job,) = self.store.add(
            [Addition(claimed(f"{self.wall} {over}"), 0, [Spec(command="true")], "x", "root", 0)]
        ).jobs
        if over:
            self.store.start(job, 1, here("{}"))
            finished = int(self.wall * MICROSECONDS)
            self.store.finish(Outcome(job, 1, Result.SUCCEEDED, finished=finished), Verdict(Verb.SUCCEED))
        return job

    def old(self) -> list[int]:
        return list(self.store.prunable(KEPT, MANY, 10))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path / "db", monkeypatch)
    yield made
    made.store.close()


def ahead_for_a_moment(host: Host) -> None:
    host.wall += 40 * DAY


def boot_with_a_clock_that_is_ahead(host: Host) -> None:
    host.boot(off=40 * DAY)


def boot_without_a_clock(host: Host) -> None:
    """1973, and a moment later the time server's word."""
    now = host.wall
    host.boot(off=100_000_000 - now)
    host.job()
    host.wall = now + 60


def another_host(host: Host) -> None:
    """The database is copied to one that has been up for long."""
    host.boot(up=400 * DAY)


@pytest.mark.parametrize(
    "what", [ahead_for_a_moment, boot_with_a_clock_that_is_ahead, boot_without_a_clock, another_host]
)
def test_no_clock_makes_what_is_over_old(host: Host, what: Callable[[Host], None]) -> None:
    host.job()
    host.store.cancel(host.job(over=False))
    what(host)
    assert host.old() == []
    host.passes(KEPT + 1)
    assert len(host.old()) >= 2


def test_age_goes_on_from_boot_to_boot(host: Host) -> None:
    first = host.job()
    host.passes(20 * DAY)
    host.boot()
    second = host.job()
    host.passes(11 * DAY)
    assert host.old() == [first]
    host.passes(20 * DAY)
    assert host.old() == [first, second]


def test_what_a_crash_takes_from_it_is_what_was_not_written_down(host: Host) -> None:
    job = host.job()
    host.passes(29 * DAY)
    host.store.tick()
    host.passes(3600)
    host.store._db.close()  # the power went: nobody has closed it properly
    host.up, host.boots = 5.0, 1
    host.store = SqliteStore(host.path)
    assert host.store.uptime.now() == 29 * DAY * MICROSECONDS
    host.passes(DAY + 1)
    assert host.old() == [job]


def test_how_long_the_oldest_waits(host: Host) -> None:
    assert (host.store.backlog().oldest, host.store.backlog().waited) == (None, 0.0)
    host.job(over=False)
    submitted = int(host.wall * MICROSECONDS)
    for step in (40 * DAY, -80 * DAY):
        host.passes(60)
        host.wall += step
        assert host.store.backlog().oldest == submitted
    assert host.store.backlog().waited == 120.0


def test_a_migration_says_again_and_again_that_it_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OPERATIONS", 1000)
    with sqlite3.connect(tmp_path / "old") as db:
        db.executescript(migrations()[0][1])
        db.execute("PRAGMA user_version = 1")
        db.executemany(
            "INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, finished, spec)"
            " VALUES ('failed', 'default', 50, x'61', x'61', 0, 5, ?, '{}')",
            [(n,) for n in range(1000)],
        )
    db.close()
    said: list[int] = []
    store = SqliteStore(tmp_path / "old", at_work=lambda: said.append(1))
    assert len(said) > 10
    said.clear()
    store.prunable(0, 0, 1000)
    assert not said, "that is over"
    store.close()


def test_what_an_earlier_version_left_is_forgotten_in_its_order_but_not_for_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "old") as db:
        db.executescript(migrations()[0][1])
        db.execute("PRAGMA user_version = 1")
        for state, finished in (("failed", 30), ("succeeded", 10), ("queued", None), ("cancelled", 20)):
            db.execute(
                "INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, finished, spec)"
                " VALUES (?, 'default', 50, x'61', x'61', 0, 5, ?, '{}')",
                (state, finished),
            )
    db.close()
    host = Host(tmp_path / "old", monkeypatch)
    assert host.old() == []
    assert host.store.prunable(KEPT, 0, 10) == [2, 4, 1]
    host.passes(KEPT + 1)
    assert host.old() == [2, 4, 1]
    host.store.close()
