"""``expires`` is about the first start alone: what started in time does not expire, however often it comes back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.host import clock
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.sqlfiles import migrations
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.until import until
from tests.store.jobs import fetch


def test_a_retry_does_not_expire(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\n")
    retry = "retry: {attempts: 2, delay: 3s, jitter: 0}"
    gate.drop("a.yaml", f"name: retried\ncommand: test $TASKGATE_ATTEMPT = 2\nexpires: 2s\n{retry}\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 2), job


def test_what_was_put_back_does_not_expire(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nstop_timeout: 0s\n")
    gate.drop("a.yaml", "name: again\ncommand: test $TASKGATE_ATTEMPT = 2 || exec sleep 600\nexpires: 2s\n")
    gate.until_running("again")
    dropped = time.monotonic()
    gate.stop()
    until(lambda: time.monotonic() > dropped + 2, "its time has passed")
    gate.start()
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 2), job


def limbo(path: Path) -> SqliteStore:
    """A database of before that, with jobs that started and came back; the last one never started."""
    with sqlite3.connect(path) as db:
        db.executescript(migrations()[0][1])
        db.execute("PRAGMA user_version = 1")
        spec = '{"command": "true", "expires": 5}'
        for state, attempt in (("queued", 1), ("held", 2), ("running", 1), ("queued", 0)):
            values = (state, attempt, spec)
            db.execute(
                "INSERT INTO jobs (state, queue, priority, name, source, owner, attempt, submitted, expires, spec)"
                " VALUES (?, 'default', 50, x'61', x'61', 0, ?, 5, 5, ?)",
                values,
            )
    db.close()
    return SqliteStore(path)


def test_what_an_earlier_version_kept_in_limbo_runs(tmp_path: Path) -> None:
    store = limbo(tmp_path / "db")
    assert [job.id for job in fetch(store, {"default": 9})] == [1]
    assert [id_ for id_, _, _ in store.wake().expired] == [4]
    store.release(2)
    store.finish(Outcome(3, 1, Result.KILLED), Verdict(Verb.REQUEUE))
    assert [job.id for job in fetch(store, {"default": 9})] == [1, 2, 3]
    store.close()


def test_what_has_expired_starts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was fetched in time, and nobody has noticed yet, as after the host was suspended."""
    store = SqliteStore(tmp_path / "db")
    store.add([Addition(claimed("c"), 0, [Spec(command="true", expires=60.0)], "x", "root", 0)])
    (job,) = fetch(store, {"default": 1})
    boottime = clock.boottime
    monkeypatch.setattr(clock, "boottime", lambda: boottime() + 61 * clock.MICROSECONDS)
    with pytest.raises(IllegalTransition, match="has expired"):
        store.start(job.id, 1, here("{}"))
    assert store.show(job.id).record.state is State.QUEUED
    assert [id_ for id_, _, _ in store.wake().expired] == [job.id]
    store.close()
