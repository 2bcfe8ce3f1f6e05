"""A job that is due at a date."""

from __future__ import annotations

from taskgated.host.clock import MICROSECONDS, rfc3339, wall
from tests.env.gate import GateEnv


def test_it_runs_when_that_has_come_and_nothing_else_happens(gate: GateEnv) -> None:
    date = wall() + 3 * MICROSECONDS
    gate.drop("a.yaml", f"name: a\ncommand: 'true'\nnot_before: '{rfc3339(date)}'\n")
    (job,) = gate.until_over(1)
    assert job["state"] == "succeeded"
    assert job["started"] >= rfc3339(date)
