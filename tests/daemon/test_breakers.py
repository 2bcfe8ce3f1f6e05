"""A queue whose jobs fail is closed for a while; then one job is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskgated.control.reasons import ADVICE
from taskgated.core.kinds import Kind
from tests.env.gate import ME, GateEnv
from tests.env.until import until

JOB = "echo x >> {scratch}/ran; test -e {scratch}/mended\n"


def reason(gate: GateEnv, job: int) -> dict[str, Any]:
    """What its queue's breaker has to say of a job."""
    (found,) = (one for one in gate.ctl_json("why", str(job))["reasons"] if one["kind"] == "breaker")
    assert isinstance(found, dict)
    return found


def closed(make_gate: Callable[..., GateEnv], pause: str, number: int = 8) -> GateEnv:
    """A gate with a queue that is closed after 3 of so many jobs."""
    gate = make_gate(f"workers: 2\nqueues: {{etl: {{limit: 1, breaker: {{failures: 3, pause: {pause}}}}}}}\n")
    gate.drop("a.tasks", JOB.format(scratch=gate.scratch) * number, "etl")
    gate.until_over(3)
    until(lambda: "queue etl is closed for" in gate.log(), "the journal tells of it")
    return gate


def test_failures_in_a_row_close_it_and_one_job_opens_it(make_gate: Callable[..., GateEnv]) -> None:
    gate = closed(make_gate, "3s")
    gate.drop("b.yaml", "{name: other, command: 'true'}")
    gate.until_over(4)
    assert len(gate.lines("ran")) == 3
    found = reason(gate, 8)
    assert (found["queue"], found["failures"]) == ("etl", 3)
    assert 0 < found["left"] <= 3
    until(lambda: len(gate.lines("ran")) == 4, "one is tried")
    until(lambda: gate.log().count("queue etl is closed for") == 2, "it has failed, and closed it again")
    (gate.scratch / "mended").touch()
    gate.until_over(9)
    assert "queue etl is open again" in gate.log()
    assert len(gate.lines("ran")) == 8


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_it_is_closed_after_a_restart(make_gate: Callable[..., GateEnv], end: Callable[[GateEnv], object]) -> None:
    gate = closed(make_gate, "1h", 5)
    end(gate)
    gate.start()
    gate.drop("b.yaml", "{name: other, command: 'true'}")
    until(lambda: (gate.job("other") or {}).get("state") == "succeeded", "another queue goes on")
    assert len(gate.lines("ran")) == 3
    assert reason(gate, 5)["left"] > 3000


def test_a_canary_that_is_cancelled_says_nothing(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {limit: 2, breaker: {failures: 1, pause: 100ms}}}\n")
    gate.drop("a.yaml", "{name: a, command: 'false'}", "etl")
    gate.until_over(1)
    gate.drop("b.yaml", "- {name: b, command: sleep 600}\n- {name: c, command: sleep 600}\n", "etl")
    canary = gate.until_running("b")
    assert reason(gate, 3)["text"] == f"the jobs of queue etl failed; job {canary['id']} is tried first"
    gate.call("Cancel", id=canary["id"])
    gate.until_running("c")


def test_it_is_opened_by_hand_once_the_cause_is_mended(make_gate: Callable[..., GateEnv]) -> None:
    gate = closed(make_gate, "1h", 6)
    assert "taskgatectl resume" in ADVICE[Kind.BREAKER][1]
    assert gate.call("Resume")["opened"] == [], "all that were paused are another thing"
    assert reason(gate, 6)["left"] > 3000
    (gate.scratch / "mended").touch()
    said = gate.ctl("resume", "etl").stdout.decode().splitlines()
    assert said == ["queue etl is open again: its breaker had closed it", "nothing is paused"]
    gate.until_over(6)
    assert gate.log().count(f"queue etl is open again: resumed by {ME}") == 1
    assert gate.call("Resume", queues=["etl"]) == {"paused": [], "all": False, "opened": []}
    gate.kill()
    gate.start()
    gate.drop("b.tasks", "true\n", "etl")
    gate.until_over(7)


def test_the_pause_before_the_next_attempt_is_ended_by_hand(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\n")
    spec = {"name": "a", "command": f"test -e {gate.scratch}/mended", "retry": {"attempts": 3, "delay": "1h"}}
    gate.drop("a.json", json.dumps(spec))
    until(lambda: (gate.job("a") or {}).get("failures") == 1, "it has failed once")
    (gate.scratch / "mended").touch()
    job = str((gate.job("a") or {})["id"])
    assert gate.ctl("retry", job).returncode == 0
    (over,) = gate.until_over(1)
    assert (over["state"], over["attempt"], over["failures"]) == ("succeeded", 2, 1)
