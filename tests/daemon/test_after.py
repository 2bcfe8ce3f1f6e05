"""Jobs that run after others, with a daemon and real processes: whatever they wait for, each runs in its turn, or is
cancelled with a reason; also when the daemon is killed in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

Jobs = list[dict[str, Any]]


def file_of(jobs: Jobs) -> str:
    return json.dumps(jobs)


def said(gate: GateEnv, text: str) -> str:
    """A command that writes that down."""
    return f"echo {text} >> {gate.scratch}/said"


def states(jobs: Jobs) -> Mapping[str, str]:
    return {job["name"]: job["state"] for job in jobs}


def test_a_chain_and_a_diamond_run_in_their_order(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\n")
    chain: Jobs = [{"name": "c0", "command": said(gate, "c0")}]
    chain += [{"name": f"c{n}", "command": said(gate, f"c{n}"), "after": f"c{n - 1}"} for n in range(1, 20)]
    gate.drop("chain.json", file_of(chain[::-1]))
    gate.until_over(20)
    assert gate.lines("said") == [f"c{n}" for n in range(20)]
    gate.drop(
        "diamond.json",
        file_of(
            [
                {
                    "name": "bottom",
                    "command": said(gate, "bottom"),
                    "after": ["left", {"job": "right", "when": "over"}],
                },
                {"name": "left", "command": said(gate, "left"), "after": "top"},
                {"name": "right", "command": f"{said(gate, 'right')}; false", "after": ["top"]},
                {"name": "top", "command": f"sleep 0.2; {said(gate, 'top')}"},
            ]
        ),
    )
    gate.until_over(24)
    told = gate.lines("said")[20:]
    assert (told[0], sorted(told[1:3]), told[3:]) == ("top", ["left", "right"], ["bottom"])


def test_a_failure_cancels_what_waits_for_success_and_starts_what_waits_for_failure(
    make_gate: Callable[..., GateEnv],
) -> None:
    gate = make_gate("workers: 4\n")
    jobs: Jobs = [
        {"name": "extract", "command": "exit 3", "retry": {"attempts": 2, "delay": "100ms"}},
        {"name": "load", "command": "true", "after": "extract"},
        {"name": "report", "command": "true", "after": "load"},
        {"name": "tell", "command": said(gate, "tell"), "after": {"job": "extract", "when": "failed"}},
        {"name": "clean", "command": said(gate, "clean"), "after": [{"job": "report", "when": "over"}, "tell"]},
    ]
    gate.drop("night.json", file_of(jobs))
    done = gate.until_over(5)
    assert states(done) == {
        "extract": "failed", "load": "cancelled", "report": "cancelled", "tell": "succeeded", "clean": "succeeded",
    }  # fmt: skip
    reasons = {job["name"]: job["reason"] for job in done}
    ids = {job["name"]: job["id"] for job in done}
    load = f"job {ids['extract']} (extract) failed, and it was to run after that has succeeded"
    assert reasons["load"] == load
    assert reasons["report"] == f"job {ids['load']} (load) was cancelled, and it was to run after that has succeeded"
    assert f"job {ids['load']} (load): cancelled: {load}" in gate.log()
    assert gate.lines("said") == ["tell", "clean"]
    assert gate.ctl("wait", str(ids["report"])).returncode != 0, "who waits for it hears of its end"


def test_what_it_waits_for_can_be_asked_for(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\nafter_timeout: 1h\n")
    gate.drop("first.yaml", "name: first\ncommand: sleep 1000\n")
    first = gate.until_running("first")["id"]
    gate.drop("night", "#!/bin/sh\n#TASKGATE after: [first, {job: tomorrow, when: over}]\ntrue\n")
    job = until(lambda: gate.job("night"))
    assert job is not None
    text = f"job {first} (first) is running, and this one runs after that has succeeded"
    (known, unknown) = gate.call("Why", id=job["id"])["reasons"]
    assert known == {
        "kind": "after", "text": text, "job": first, "name": "first", "when": "succeeded", "state": "running",
        "array": False,
    }  # fmt: skip
    assert (unknown["kind"], unknown["name"], unknown["when"]) == ("after", "tomorrow", "over")
    assert 3000 < unknown["patience"] <= 3600
    assert gate.call("Show", id=job["id"])["waits_for"][0] == {"kind": "after", "text": text}
    assert text in gate.ctl("why", str(job["id"])).stdout.decode()
    gate.drop("tomorrow.yaml", "name: tomorrow\ncommand: exit 1\n")
    gate.until_over(1)
    assert [reason["text"] for reason in gate.call("Why", id=job["id"])["reasons"]] == [text]
    gate.ctl("cancel", str(first))
    assert states(gate.until_over(3)) == {"first": "cancelled", "night": "cancelled", "tomorrow": "failed"}


def test_what_nobody_drops_is_waited_for_so_long_and_no_longer(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {defaults: {after_timeout: 1s}}}\n")
    started = time.monotonic()
    gate.drop(
        "a.yaml", "- {name: a, command: 'true', after: nobody}\n- {name: b, command: 'true', after: 99}\n", "etl"
    )
    gate.drop("c.yaml", "{name: c, command: 'true', after: nobody}\n")
    done = states(gate.until_over(2))
    assert time.monotonic() - started > 1.0
    assert done == {"a": "cancelled", "b": "cancelled", "c": "queued"}
    assert (gate.job("a") or {})["reason"] == "no job nobody came within 1 s, and it was to run after one"
    assert (gate.job("b") or {})["reason"] == "it was to run after job 99, and there is none"


def test_an_array_after_an_array(make_gate: Callable[..., GateEnv]) -> None:
    """Taken in piece by piece, as the backlog has room for a part of it alone; the one that they wait for first,
    wherever it stands in the file."""
    gate = make_gate("workers: 4\nmax_backlog: 10\n")
    gate.drop(
        "arrays.json",
        file_of(
            [
                {"name": "use", "command": said(gate, "use"), "array": {"to": 30}, "after": "make"},
                {"name": "make", "command": said(gate, "make"), "array": {"to": 30, "at_most": 3}},
                {"name": "end", "command": said(gate, "end"), "after": "use"},
            ]
        ),
    )
    gate.until_over(61)
    assert gate.lines("said") == ["make"] * 30 + ["use"] * 30 + ["end"]


@pytest.mark.parametrize(("end", "number"), [("true", 2000), ("false", 10_000)])
def test_thousands_after_one(make_gate: Callable[..., GateEnv], end: str, number: int) -> None:
    gate = make_gate("workers: 4\n")
    jobs: Jobs = [{"name": "one", "command": f"until [ -e {gate.scratch}/go ]; do sleep 0.05; done; {end}"}]
    jobs += [{"name": f"n{n}", "command": ["true"], "after": "one"} for n in range(number)]
    gate.drop("many.json", file_of(jobs))
    until(lambda: gate.status()["counts"].get("queued") == number)
    (gate.scratch / "go").touch()
    done = gate.until_over(number + 1, timeout=120)
    assert {job["state"] for job in done[1:]} == {"succeeded" if end == "true" else "cancelled"}


def test_a_daemon_that_is_killed_again_and_again_leaves_nobody_waiting(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\n")
    width, depth = 8, 12
    jobs: Jobs = []
    for row in range(depth):
        for column in range(width):
            others = [] if row == 0 else [f"{row - 1}-{column}", f"{row - 1}-{(column + 1) % width}"]
            fails = row == 6 and column == 0
            command = f"sleep 0.03; {said(gate, f'{row}-{column}')}; {'false' if fails else 'true'}"
            jobs.append({"name": f"{row}-{column}", "command": command} | ({"after": others} if others else {}))
    gate.drop("grid.json", file_of(jobs[::-1]))
    for wanted in (5, 20, 40):
        until(lambda wanted=wanted: len(gate.lines("said")) >= wanted)
        gate.kill()
        gate.start()
    done = states(gate.until_over(width * depth))
    for row in range(depth):
        for column in range(width):
            others = [(row - 1, column), (row - 1, (column + 1) % width)] if row else []
            if (row, column) == (6, 0):
                expected = "failed"
            elif all(done[f"{a}-{b}"] == "succeeded" for a, b in others):
                expected = "succeeded"
            else:
                expected = "cancelled"
            assert done[f"{row}-{column}"] == expected
    told = gate.lines("said")
    assert sorted(told) == sorted(name for name, state in done.items() if state != "cancelled"), "each once"
    places = {name: place for place, name in enumerate(told)}
    for job in jobs:
        if job["name"] in places:
            assert all(places[other] < places[job["name"]] for other in job.get("after", []))


def test_what_a_job_still_waits_for_is_told_by_list_and_show_as_data(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\n")
    gate.ctl("pause")
    first = {"name": "first", "command": "true"}
    array = {"name": "array", "command": "true", "array": {"to": 2}}
    after = ["first", {"job": "array", "when": "over"}, *({"job": f"n{n}", "when": "failed"} for n in range(9))]
    gate.drop("a.json", file_of([first, array, {"name": "last", "command": "true", "after": after}]))
    until(lambda: len(gate.jobs()) == 4, "they are taken in")
    jobs = {job["name"]: job for job in gate.ctl_json("list")}
    known = [
        {"job": 1, "name": "first", "when": "succeeded", "state": "queued", "array": False, "left": None},
        {"job": 2, "name": "array", "when": "over", "state": "queued", "array": True, "left": None},
    ]
    last = jobs["last"]
    assert last["after"][:2] == known and len(last["after"]) == 5, "some of them, as there may be many in a listing"
    missing = last["after"][2]
    assert 86_000 < missing.pop("left") <= 86_400
    assert missing == {"job": None, "name": "n0", "when": "failed", "state": None, "array": False}
    assert jobs["first"]["after"] == []
    shown = gate.ctl_json("show", str(last["id"]))["job"]["after"]
    assert shown[:2] == known and [one["name"] for one in shown[2:]] == [f"n{n}" for n in range(9)]
    gate.ctl("cancel", "1")
    over = until(lambda: gate.job("last") if (gate.job("last") or {})["state"] == "cancelled" else None, "it is over")
    assert over["after"] == []
