"""Why a job does not start: every reason, and none of what is not so."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
NAMES = ("runs", "first", "second", "later")


def full(make_gate: MakeGate) -> tuple[GateEnv, dict[str, int]]:
    """One runs in a queue that lets no more run, two wait for it, and one for its time as well; their ids."""
    gate = make_gate("workers: 1\nqueues: {etl: {limit: 1}}\n")
    gate.drop("a.yaml", "name: runs\nqueue: etl\ncommand: [sleep, '600']\n")
    gate.until_running("runs")
    gate.drop(
        "b.yaml", "- {name: first, queue: etl, command: 'true'}\n- {name: second, queue: etl, command: 'true'}\n"
    )
    gate.drop("c.yaml", "name: later\nqueue: etl\ncommand: 'true'\ndelay: 1h\n")
    until(lambda: len(gate.jobs()) == 4, "all are taken in")
    return gate, {job["name"]: job["id"] for job in gate.jobs()}


def test_every_reason_is_told_with_its_numbers(make_gate: MakeGate) -> None:
    gate, ids = full(make_gate)
    why = {name: gate.call("Why", id=ids[name]) for name in NAMES}
    assert why["first"] == {
        "id": ids["first"],
        "state": "queued",
        "reasons": [
            {
                "kind": "queue_limit",
                "text": "queue etl runs 1 of at most 1",
                "queue": "etl",
                "running": 1,
                "limit": 1,
            },
            {"kind": "limit", "text": "1 job of at most 1 runs, over all queues", "running": 1, "limit": 1},
        ],
        "position": 1,
        "estimate": None,
        "note": "",
    }
    order = why["second"]["reasons"][-1]
    assert order == {"kind": "order", "text": "1 job of queue etl comes first", "queue": "etl", "before": 1}
    assert why["second"]["position"] == 2
    time = why["later"]["reasons"][0]
    assert time["kind"] == "time" and 3500 < time["left"] <= 3600
    assert why["later"]["estimate"] is None, "nobody knows how long others run"
    shown = gate.call("Show", id=ids["second"])["waits_for"]
    assert shown == [{"kind": one["kind"], "text": one["text"]} for one in why["second"]["reasons"]]


def test_each_reason_is_a_line(make_gate: MakeGate) -> None:
    gate, ids = full(make_gate)
    lines = gate.ctl("why", str(ids["second"])).stdout.decode().splitlines()
    assert lines == [
        "queue_limit: queue etl runs 1 of at most 1",
        "limit: 1 job of at most 1 runs, over all queues",
        "order: 1 job of queue etl comes first",
    ]
    assert gate.ctl_json("why", str(ids["second"])) == gate.call("Why", id=ids["second"])
    gate.ctl("cancel", str(ids["first"]))
    gate.ctl("cancel", str(ids["later"]))
    over = f"job {ids['first']} is over, it has been cancelled: cancelled before it started\n"
    assert gate.ctl("why", str(ids["first"])).stdout.decode() == over
    gate.drop("d.yaml", "name: array\ncommand: 'true'\narray: [7, 9]\n")
    until(lambda: gate.job("array"), "it is taken in")
    array = gate.job("array")
    assert array
    lines = gate.ctl("why", f"{array['id']}_9").stdout.decode().splitlines()
    assert lines == ["limit: 1 job of at most 1 runs, over all queues", "order: 1 job of queue default comes first"]
    none = gate.ctl("why", "99")
    assert (none.returncode, none.stderr) == (1, b"taskgatectl: no job 99\n")


def test_what_is_not_queued_says_so(gate: GateEnv) -> None:
    gate.drop("a.yaml", "- {name: bad, command: exit 3}\n- {name: good, command: 'true'}\n")
    gate.drop("b.yaml", "name: runs\ncommand: [sleep, '600']\n")
    gate.until_over(2)
    runs = gate.until_running("runs")
    ids = {job["name"]: str(job["id"]) for job in gate.jobs()}
    said = {name: gate.ctl("why", id_).stdout.decode() for name, id_ in ids.items()}
    assert said["runs"] == f"job {ids['runs']} is running\n"
    assert said["good"] == f"job {ids['good']} is over, it has succeeded\n"
    assert said["bad"].startswith(f"job {ids['bad']} is over, it has failed")
    reply = gate.call("Why", id=runs["id"])
    assert (reply["reasons"], reply["position"], reply["estimate"]) == ([], None, None)


def test_when_it_may_start_is_told_if_that_is_known(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: later\ncommand: 'true'\ndelay: 1h\n")
    until(gate.jobs, "it is taken in")
    until(lambda: any(worker["state"] == "idle" for worker in gate.status()["workers"]), "a worker is there")
    reply = json.loads(gate.ctl("--json", "why", "1").stdout)
    (reason,) = reply["reasons"]
    assert reason["kind"] == "time"
    assert reply["estimate"] == reason["left"] and 3500 < reply["estimate"] <= 3600
    assert reply["position"] == 1
