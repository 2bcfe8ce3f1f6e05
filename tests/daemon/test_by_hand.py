"""What people do with jobs by hand, on a gate that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskgated.ctl.client import CallError
from tests.env.gate import ME, GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def busy(make_gate: MakeGate, config: str = "") -> GateEnv:
    """A gate of one worker, which runs job 1 until it is cancelled."""
    gate = make_gate(f"workers: 1\n{config}")
    gate.drop("busy.yaml", "name: busy\ncommand: [sleep, '600']\n")
    gate.until_running("busy")
    return gate


def drop(gate: GateEnv, *names: str, keys: str = "") -> dict[str, int]:
    """Jobs of these names, which leave them in the file ``ran``; their ids."""
    before = len(gate.jobs())
    for name in names:
        gate.drop(f"{name}.yaml", f"name: {name}\ncommand: echo {name} >> {gate.scratch}/ran\n{keys}")
        before += 1
        until(lambda: len(gate.jobs()) == before, f"{name} is taken in")  # noqa: B023
    return {job["name"]: job["id"] for job in gate.jobs()}


def shown(gate: GateEnv, job: int) -> dict[str, Any]:
    found: dict[str, Any] = gate.call("Show", id=job)["job"]
    return found


class TestHold:
    def test_what_is_held_lets_others_go_first_until_it_is_released(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate)
        ids = drop(gate, "one", "two", "three")
        done = gate.ctl("hold", str(ids["one"]), str(ids["two"]))
        assert (done.returncode, done.stdout) == (0, b"job 2 is held\njob 3 is held\n")
        assert gate.ctl("why", "2").stdout == (
            b"held: it is held until it is released\nlimit: 1 job of at most 1 runs, over all queues\n"
        )
        gate.ctl("cancel", "1")
        gate.until_over(2)
        assert gate.lines("ran") == ["three"]
        assert gate.ctl("release", "3").stdout == b"job 3 is released\n"
        gate.until_over(3)
        gate.ctl("release", "2")
        gate.until_over(4)
        assert gate.lines("ran") == ["three", "two", "one"]
        log = gate.log()
        assert f"job 2 (one): held by {ME}" in log and f"job 2 (one): released by {ME}" in log

    def test_it_is_so_after_a_crash(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate, "on_stop: requeue\n")
        ids = drop(gate, "one")
        gate.call("Hold", id=ids["one"])
        gate.kill()
        gate.start()
        assert shown(gate, ids["one"])["state"] == "held"
        gate.ctl("cancel", "1")
        gate.call("Release", id=ids["one"])
        gate.until_over(2)
        assert gate.lines("ran") == ["one"]

    def test_a_job_whose_time_comes_later_waits_for_it_again(self, gate: GateEnv) -> None:
        ids = drop(gate, "later", keys="delay: 1s\n")
        gate.call("Hold", id=ids["later"])
        gate.call("Release", id=ids["later"])
        gate.until_over(1)
        assert gate.lines("ran") == ["later"]

    def test_what_cannot_be_is_said_of_each(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate)
        ids = drop(gate, "one")
        done = gate.ctl("hold", "1", str(ids["one"]), "99")
        assert (done.returncode, done.stdout) == (1, b"job 2 is held\n")
        assert done.stderr == b"taskgatectl: job 1: cannot hold a job that is running\ntaskgatectl: no job 99\n"
        again = gate.ctl("hold", "2")
        assert (again.returncode, again.stderr) == (1, b"taskgatectl: job 2: cannot hold a job that is held\n")
        assert gate.ctl("hold").returncode == gate.ctl("release", "2", "--array", "2").returncode == 2
        assert [job["id"] for job in json.loads(gate.ctl("--json", "release", "2", "1").stdout)] == [2]

    def test_an_array_is_held_and_released_as_a_whole(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate)
        gate.drop("a.yaml", f"command: echo {{index}} >> {gate.scratch}/ran\narray: [7, 8, 9]\n")
        until(lambda: len(gate.jobs()) == 4, "it is taken in")
        gate.ctl("cancel", "2_8")
        assert gate.ctl("hold", "--array", "2").stdout == b"job 2 is held\njob 4 is held\n"
        none = gate.ctl("hold", "--array", "2")
        assert (none.returncode, none.stderr) == (1, b"taskgatectl: array 2: no job of it is queued\n")
        gate.ctl("cancel", "1")
        assert gate.ctl("release", "2_9").stdout == b"job 4 is released\n"
        gate.until_over(3)
        assert gate.lines("ran") == ["9"]
        released = gate.ctl("--json", "release", "--array", "2")
        assert [job["id"] for job in json.loads(released.stdout)] == [2]
        gate.until_over(4)


class TestRetry:
    def test_what_failed_runs_again_with_all_its_attempts(self, gate: GateEnv) -> None:
        once = f"test -e {gate.scratch}/mended || exit 3"
        gate.drop("a.yaml", f"name: a\ncommand: {once}\nretry: {{attempts: 2, delay: 10ms}}\n")
        gate.until_over(1)
        assert shown(gate, 1)["failures"] == 2
        (gate.scratch / "mended").touch()
        done = gate.ctl("retry", "1")
        assert (done.returncode, done.stdout) == (0, b"job 1 is to run again\n"), done
        assert gate.ctl("wait", "1").returncode == 0
        assert (shown(gate, 1)["state"], shown(gate, 1)["attempt"]) == ("succeeded", 3)
        again = gate.ctl("retry", "1")
        text = b"taskgatectl: job 1: cannot retry by hand a job that is succeeded\n"
        assert (again.returncode, again.stderr) == (1, text)
        assert f"job 1 (a): to run again, by {ME}" in gate.log()

    def test_it_may_fail_as_often_as_before(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: a\ncommand: exit 3\nretry: {attempts: 2, delay: 10ms}\n")
        gate.until_over(1)
        gate.ctl("retry", "1")
        assert gate.ctl("wait", "1").returncode == 3
        assert (shown(gate, 1)["attempt"], shown(gate, 1)["failures"]) == (4, 2)

    def test_one_whose_file_was_let_go_says_where_that_is(self, make_gate: MakeGate) -> None:
        gate = make_gate("queues: {thumbs: {handler: {command: ['false', '{file}']}}}\n")
        gate.drop("x.png", "data", queue="thumbs")
        gate.until_over(1)
        none = gate.ctl("retry", "1")
        assert none.returncode == 1 and b"drop that again, from failed/1/" in none.stderr
        assert shown(gate, 1)["state"] == "failed"

    def test_the_failed_ones_of_an_array_run_again(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: test {index} != 2 || exit 1\narray: [1, 2, 3]\n")
        gate.until_over(3)
        assert gate.ctl("retry", "--array", "1").stdout == b"job 2 is to run again\n"
        gate.until_over(3)
        until(lambda: shown(gate, 2)["attempt"] == 2, "it was tried again")


class TestMove:
    def test_the_limits_of_the_other_queue_count(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 2\nqueues: {etl: {limit: 1}, other: {}}\n")
        gate.drop("busy.yaml", "name: busy\nqueue: etl\ncommand: [sleep, '600']\n")
        gate.until_running("busy")
        env = "echo $TASKGATE_QUEUE >>"
        gate.drop("a.yaml", f"name: a\nqueue: etl\ncommand: {env} {gate.scratch}/ran\n")
        gate.drop("b.yaml", f"name: b\nqueue: etl\ncommand: {env} {gate.scratch}/ran\ndelay: 1h\n")
        until(lambda: len(gate.jobs()) == 3, "both are taken in")
        done = gate.ctl("move", "2", "3", "other")
        assert (done.returncode, done.stdout) == (0, b"job 2 is in queue other\njob 3 is in queue other\n"), done
        gate.until_over(1)
        assert gate.lines("ran") == ["other"]
        assert [queue["queued"] for queue in gate.status()["queues"] if queue["name"] in ("etl", "other")] == [0, 1]
        assert gate.ctl("move", "3", "etl").returncode == 0
        kinds = [reason["kind"] for reason in gate.call("Why", id=3)["reasons"]]
        assert kinds == ["time", "queue_limit"]
        nowhere = gate.ctl("move", "3", "nowhere")
        assert nowhere.returncode == 1 and b"no queue nowhere" in nowhere.stderr
        running = gate.ctl("move", "1", "other")
        assert running.stderr == b"taskgatectl: job 1: cannot move a job that is running\n"
        assert f"job 2 (a): moved from queue etl to other by {ME}" in gate.log()

    def test_it_is_there_after_a_crash(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate, "on_stop: requeue\nqueues: {etl: {limit: 1}}\n")
        ids = drop(gate, "one")
        gate.call("Move", id=ids["one"], queue="etl")
        gate.kill()
        gate.start()
        assert shown(gate, ids["one"])["queue"] == "etl"
        gate.ctl("cancel", "1")
        gate.until_over(2)


class TestPrioritize:
    def test_the_higher_goes_first(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate)
        ids = drop(gate, "one", "two", "three")
        done = gate.ctl("prioritize", str(ids["three"]), "90")
        assert (done.returncode, done.stdout) == (0, b"job 4 has priority 90\n"), done
        assert gate.ctl("prioritize", str(ids["one"]), "0").returncode == 0
        assert [gate.call("Why", id=ids[name])["position"] for name in ("three", "two", "one")] == [1, 2, 3]
        gate.ctl("cancel", "1")
        gate.until_over(4)
        assert gate.lines("ran") == ["three", "two", "one"]
        assert f"job 4 (three): priority 90, before 50, by {ME}" in gate.log()

    def test_there_is_no_higher_one_than_the_highest(self, make_gate: MakeGate) -> None:
        gate = busy(make_gate)
        wrong = gate.ctl("prioritize", "1", "101")
        assert (wrong.returncode, wrong.stderr.splitlines()[-1].endswith(b"must be at most 100")) == (2, True)
        with pytest.raises(CallError) as caught:
            gate.call("Prioritize", id=1, priority=101)
        assert caught.value.kind == "InvalidParameter"
        wrong = gate.ctl("prioritize", "1", "9")
        assert wrong.stderr == b"taskgatectl: job 1: cannot prioritize a job that is running\n"
