"""A job that is not done by its deadline is over then, wherever it is; retries are for the failures that it names."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskgated.ctl.client import Client
from tests.env.gate import GateEnv
from tests.env.until import until

Make = Callable[..., GateEnv]
LATE = "deadline: it was not done in time"


def over(gate: GateEnv, name: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        job = gate.job(name)
        return job if job and job["state"] in ("succeeded", "failed", "cancelled") else None

    job = until(found, f"{name} is over")
    assert job is not None
    return job


@pytest.fixture
def gate(make_gate: Make) -> GateEnv:
    return make_gate("workers: 2\nqueues: {narrow: {limit: 1}}\n")


def test_what_runs_then_times_out_and_is_not_tried_again(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: a\ncommand: exec sleep 1000\ndeadline: 3s\nretry: {attempts: 9, delay: 0s}\n")
    job = over(gate, "a")
    assert (job["state"], job["result"], job["attempt"], job["reason"]) == ("failed", "timed_out", 1, LATE)
    until(lambda: f"job {job['id']} (a, attempt 1): timed out after" in gate.log() and LATE in gate.log())


def test_what_waits_then_is_cancelled(gate: GateEnv) -> None:
    gate.drop("first.yaml", "name: first\ncommand: exec sleep 1000\n", "narrow")
    gate.until_running("first")
    gate.drop("a.yaml", "name: a\ncommand: 'true'\ndeadline: 1s\n", "narrow")
    job = over(gate, "a")
    assert (job["state"], job["attempt"], job["reason"]) == ("cancelled", 0, LATE)
    until(lambda: f"job {job['id']} (a): {LATE}" in gate.log())


def test_attempts_share_it(gate: GateEnv) -> None:
    """It counts from the submission, through failures and pauses, and through every attempt."""
    text = "test $TASKGATE_ATTEMPT -lt 3 || exec sleep 1000; exit 1"
    retry = "{attempts: 9, delay: 300ms, factor: 1, jitter: 0}"
    gate.drop("a.yaml", f"name: a\ncommand: {text}\ntimeout: 60s\ndeadline: 4s\nretry: {retry}\n")
    job = over(gate, "a")
    assert (job["state"], job["result"], job["attempt"], job["reason"]) == ("failed", "timed_out", 3, LATE)


def test_an_attempt_that_would_come_too_late_is_not_waited_for(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: a\ncommand: exit 3\ndeadline: 1h\nretry: {attempts: 9, delay: 2h, jitter: 0}\n")
    job = over(gate, "a")
    assert (job["state"], job["exit_code"], job["attempt"]) == ("failed", 3, 1)
    assert "\n  deadline  1h after it was submitted\n" in gate.ctl("show", str(job["id"])).stdout.decode()
    assert job["reason"] == "not tried again: in 7200.0 s its deadline will have passed"


def test_no_daemon_need_be_there(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: a\ncommand: 'echo $$ > $HOME_OF_IT; exec sleep 1000'\ndeadline: 3s\n"
              f"env: {{HOME_OF_IT: {gate.scratch}/pid}}\n")  # fmt: skip
    pid = int(until(lambda: gate.lines("pid"), "it runs")[0])
    gate.kill()
    until(lambda: not Path(f"/proc/{pid}").exists(), "its worker has ended it")
    gate.start()
    job = over(gate, "a")
    assert (job["state"], job["result"], job["reason"]) == ("failed", "timed_out", LATE)


def test_what_was_put_back_is_cancelled_then(make_gate: Make) -> None:
    gate = make_gate("workers: 1\nstop_timeout: 0s\n")
    gate.drop("a.yaml", "name: a\ncommand: exec sleep 1000\ndeadline: 3s\n")
    gate.until_running("a")
    gate.stop()
    gate.drop("b.yaml", "name: b\ncommand: 'true'\npriority: 100\n")
    gate.start()
    over(gate, "b")
    job = over(gate, "a")
    assert job["state"] in ("failed", "cancelled") and job["reason"] == LATE


def test_a_worker_that_was_stopped_sees_it_when_it_goes_on(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: a\ncommand: exec sleep 1000\ndeadline: 3s\n")
    gate.until_running("a")
    began = time.monotonic()
    workers = [pid for pid, command in gate.processes().items() if "taskgated.worker" in command]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: time.monotonic() > began + 3, "its time has passed")
        assert gate.call("Show", id=1)["job"]["state"] == "running", "nothing is known of its end"
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert over(gate, "a")["reason"] == LATE


def test_what_is_done_in_time_has_no_harm_of_it(gate: GateEnv) -> None:
    gate.drop(
        "a.yaml", "name: a\ncommand: test $TASKGATE_ATTEMPT = 2\ndeadline: 10min\nretry: {attempts: 2, delay: 0s}\n"
    )
    job = over(gate, "a")
    assert (job["state"], job["attempt"]) == ("succeeded", 2)


# -- after which failures --------------------------------------------------------------------------

CLASSES = {
    "on a code": ("exit 75", "on: [75, SIGKILL]", 2, "", 75, None),
    "on another": ("exit 3", "on: [75, SIGKILL]", 1, "not tried again after exit code 3", 3, None),
    "on a signal": ("kill -9 $$", "on: [75, SIGKILL]", 2, "", None, 9),
    "not on a signal": ("kill -9 $$", "not_on: [SIGKILL]", 1, "not tried again after SIGKILL", None, 9),
    "but on others": ("exit 3", "not_on: [SIGKILL]", 2, "", 3, None),
    "on a timeout": ("exec sleep 1000", "on: [timeout]", 2, "", None, 15),
    "not on a timeout": ("exec sleep 1000", "not_on: [timeout]", 1, "not tried again after a timeout", None, 15),
    "what never ran": ("[/nowhere/at/all]", "not_on: [127]", 1, "not tried again after exit code 127", 127, None),
}


def test_retries_are_for_the_failures_that_are_named(make_gate: Make) -> None:
    gate = make_gate("workers: 4\n")
    for name, (command, classes, *_) in CLASSES.items():
        retry = f"{{attempts: 2, delay: 0s, {classes}}}"
        gate.drop("a.yaml", f"name: {name}\ncommand: {command}\ntimeout: 500ms\nkill_after: 1min\nretry: {retry}\n")
        until(lambda: not (gate.layout.spool / "a.yaml").exists(), "it is taken")
    for name, (_, _, attempts, reason, exit_code, number) in CLASSES.items():
        job = over(gate, name)
        if "timeout" not in CLASSES[name][1] and job["result"] == "timed_out":
            continue  # a machine that had no time for half a second: it says nothing of classes
        seen = job["state"], job["attempt"], job["exit_code"], job["signal"]
        assert seen == ("failed", attempts, exit_code, number), (name, job)
        assert job["reason"] == reason, name


def test_a_queue_says_it_for_its_jobs(make_gate: Make) -> None:
    retry = "{attempts: 3, delay: 0s, on: [75]}"
    gate = make_gate(f"workers: 2\nqueues: {{etl: {{defaults: {{retry: {retry}, deadline: 1h}}}}}}\n")
    gate.drop("a.yaml", "name: a\ncommand: exit 75\n", "etl")
    gate.drop("b.yaml", "name: b\ncommand: exit 1\n", "etl")
    gate.drop("c.yaml", "name: c\ncommand: exit 1\nretry: {on: [1], attempts: 2}\ndeadline: infinity\n", "etl")
    assert [over(gate, name)["attempt"] for name in "abc"] == [3, 1, 2]
    with Client(gate.layout.control_socket) as client:
        shown = client.call("Show", id=over(gate, "c")["id"])["spec"]
    assert shown["retry"]["on"] == [1] and "deadline" not in shown
