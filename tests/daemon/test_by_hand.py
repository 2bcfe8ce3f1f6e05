"""What people do with jobs by hand, on a gate that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.env.gate import GateEnv
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
        assert "job 2 (one): held by uid" in log and "job 2 (one): released by uid" in log

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
        assert done.stderr == b"taskgatectl: cannot hold a job that is running\ntaskgatectl: no job 99\n"
        again = gate.ctl("hold", "2")
        assert (again.returncode, again.stderr) == (1, b"taskgatectl: cannot hold a job that is held\n")
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
