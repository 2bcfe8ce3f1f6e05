"""So many jobs of a queue start within a time, whatever becomes of the daemon: told by what the jobs wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

STARTED = "cat /proc/uptime >> {scratch}/started"
LATE = 0.35
"""Seconds by which one job may be slower to begin than another, on a busy machine."""


def moments(gate: GateEnv) -> list[float]:
    return sorted(float(line.split()[0]) for line in gate.lines("started"))


def kept(gate: GateEnv, starts: int, per: float) -> None:
    """No span of that length had more starts."""
    seen = moments(gate)
    for first, last in zip(seen, seen[starts:], strict=False):
        assert last - first > per - LATE, f"{starts + 1} starts in {last - first:.2f} s: {seen}"


def test_no_more_start_within_the_time_than_may_and_as_many_do(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\nqueues: {etl: {rate: {starts: 3, per: 2s}}}\n")
    gate.drop("a.tasks", (STARTED.format(scratch=gate.scratch) + "\n") * 8, "etl")
    gate.until_over(8)
    kept(gate, 3, 2.0)
    assert moments(gate)[-1] - moments(gate)[0] < 10, "it takes no longer than it has to"


def test_it_says_why_a_job_waits_and_others_go(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {rate: {starts: 1, per: 1h}}}\n")
    gate.drop("a.tasks", "true\ntrue\n", "etl")
    gate.drop("b.yaml", "{name: other, command: 'true'}")
    gate.until_over(2)
    (waiting,) = (job["id"] for job in gate.jobs() if job["state"] == "queued")
    (reason,) = gate.ctl_json("why", str(waiting))["reasons"]
    assert (reason["kind"], reason["queue"], reason["starts"], reason["per"]) == ("rate", "etl", 1, 3600.0)
    assert 3500 < reason["left"] <= 3600
    gate.configure("workers: 2\n")
    gate.call("Reload")
    gate.until_over(3)
    until(lambda: memory(gate) == {}, "what was remembered for it is forgotten")


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_a_restart_forgets_no_start(make_gate: Callable[..., GateEnv], end: Callable[[GateEnv], object]) -> None:
    gate = make_gate("workers: 3\nqueues: {etl: {rate: {starts: 2, per: 6s}}}\n")
    gate.drop("a.tasks", (STARTED.format(scratch=gate.scratch) + "\n") * 4, "etl")
    gate.until_over(2)
    end(gate)
    gate.start()
    gate.until_over(4)
    kept(gate, 2, 6.0)


def test_what_cannot_be_read_counts_as_used_up_and_is_told_once(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 3\nqueues: {etl: {rate: {starts: 2, per: 1h}}}\n")
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    gate.until_over(1)
    gate.stop()
    with closing(sqlite3.connect(gate.layout.database)) as db, db:
        assert db.execute("UPDATE memory SET value = '{\"begun\": 7}'").rowcount == 1
    gate.start()
    gate.drop("b.yaml", "{name: b, command: 'true'}", "etl")
    until(lambda: gate.job("b"), "it is taken in")
    (reason,) = gate.call("Show", id=2)["waits_for"]
    assert reason["kind"] == "rate"
    assert gate.log().count("what was remembered for the rate of queue etl cannot be read") == 1


def memory(gate: GateEnv) -> dict[str, str]:
    with closing(sqlite3.connect(gate.layout.database)) as db:
        return dict(db.execute("SELECT key, value FROM memory"))
