"""An outage is no storm of retries: so many of the starts of a queue may be such."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

SHARE = 0.2
FAILS = "echo $TASKGATE_ATTEMPT >> {scratch}/ran; test -e {scratch}/mended"


def jobs(gate: GateEnv, number: int) -> str:
    spec = {"command": FAILS.format(scratch=gate.scratch), "retry": {"attempts": 9, "delay": 0}}
    return json.dumps([spec] * number)


def retries(gate: GateEnv) -> tuple[int, int]:
    """How many starts there were, and how many were retries."""
    seen = [int(line) for line in gate.lines("ran")]
    return len(seen), sum(attempt > 1 for attempt in seen)


def reasons(gate: GateEnv) -> list[dict[str, Any]]:
    waiting = [job["id"] for job in gate.jobs() if job["state"] == "queued"]
    return [one for job in waiting for one in gate.ctl_json("why", str(job))["reasons"]]


def test_retries_wait_and_nothing_else_does(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(f"workers: 2\nqueues: {{etl: {{retry_budget: {SHARE}}}}}\n")
    gate.drop("a.json", jobs(gate, 20), "etl")
    until(lambda: retries(gate)[0] - retries(gate)[1] == 20, "each has had its first attempt")
    until(lambda: any(one["kind"] == "rate" for one in reasons(gate)), "those that failed wait, and say so")
    starts, again = retries(gate)
    assert 1 <= again <= SHARE * starts + 2
    gate.drop("b.yaml", "{name: fresh, command: 'true'}", "etl")
    until(lambda: (gate.job("fresh") or {}).get("state") == "succeeded", "what has not failed goes on")
    (gate.scratch / "mended").touch()
    gate.configure("workers: 2\n")
    gate.call("Reload")
    gate.until_over(21)


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_a_restart_saves_nothing_up(make_gate: Callable[..., GateEnv], end: Callable[[GateEnv], object]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {retry_budget: 0}}\n")
    gate.drop("a.json", jobs(gate, 3), "etl")
    until(lambda: retries(gate) == (4, 1), "one in a minute")
    end(gate)
    gate.start()
    gate.drop("b.yaml", "{name: fresh, command: 'true'}", "etl")
    until(lambda: (gate.job("fresh") or {}).get("state") == "succeeded", "what has not failed goes on")
    assert retries(gate) == (4, 1)
