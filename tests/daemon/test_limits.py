"""Limits are set by hand: they hold in place of what is configured, whatever becomes of the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.env.gate import ME, GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
CONFIG = "workers: 3\nqueues: {etl: {limit: 2}}\n"


def many(gate: GateEnv, number: int = 4) -> None:
    """So many jobs in one queue, each of which runs until its file is there."""
    command = f"until [ -e {gate.scratch}/go ]; do sleep 0.05; done"
    gate.drop("a.yaml", f"- {{name: j, queue: etl, command: '{command}'}}\n" * number)
    until(lambda: len(gate.jobs()) == number, "they are taken in")


def running(gate: GateEnv) -> int:
    return int(gate.status()["counts"]["running"])


def limit_of(gate: GateEnv, queue: str) -> int | None:
    (found,) = (one["limit"] for one in gate.status()["queues"] if one["name"] == queue)
    return None if found is None else int(found)


def test_it_holds_at_once_and_until_it_is_reset(make_gate: MakeGate) -> None:
    gate = make_gate(CONFIG)
    assert gate.ctl("limit", "etl", "1").stdout == b"queue etl: limit 1, by hand; configured: limit 2\n"
    many(gate)
    until(lambda: running(gate) == 1, "one runs")
    (reason, *_) = gate.call("Why", id=4)["reasons"]
    assert (reason["kind"], reason["limit"]) == ("queue_limit", 1)
    assert limit_of(gate, "etl") == 1
    (override,) = gate.status()["overrides"]
    assert (override["kind"], override["of"], override["value"]) == ("limit", "etl", 1)
    assert (override["by"], override["text"]) == (os.getuid(), "queue etl has limit 1")
    said = {"limit": 3, "configured": 2, "auto": None, "by_hand": 3, "notes": []}
    assert gate.ctl_json("limit", "etl", "3") == said
    until(lambda: running(gate) == 3, "more run")
    assert gate.ctl("limit", "etl", "--reset").stdout == b"queue etl: limit 2, as configured\n"
    assert (gate.status()["overrides"], limit_of(gate, "etl")) == ([], 2)
    assert running(gate) == 3, "what runs is left alone"
    log = gate.log()
    assert f"limit of queue etl: 1, by {ME}" in log and f"limit of queue etl: as configured again, by {ME}" in log
    (gate.scratch / "go").touch()
    gate.until_over(4)


def test_it_is_about_all_queues_together_as_well(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 3\nqueues: {etl: {}}\n")
    assert gate.ctl("limit", "all", "1").stdout == b"all queues together: limit 1, by hand; configured: no limit\n"
    many(gate)
    until(lambda: running(gate) == 1, "one runs")
    kinds = [reason["kind"] for reason in gate.call("Why", id=2)["reasons"]]
    assert "limit" in kinds and "queue_limit" not in kinds
    (override,) = gate.status()["overrides"]
    assert (override["of"], override["text"]) == (None, "at most 1 job at once over all queues")
    gate.ctl("limit", "all", "--reset")
    until(lambda: running(gate) == 3, "as many as there are workers")
    (gate.scratch / "go").touch()
    gate.until_over(4)


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_it_outlives_the_daemon_and_ends_when_the_configuration_agrees(
    make_gate: MakeGate, end: Callable[[GateEnv], object]
) -> None:
    gate = make_gate(CONFIG)
    gate.ctl("limit", "etl", "1")
    end(gate)
    gate.start()
    many(gate)
    until(lambda: running(gate) == 1, "one runs")
    gate.call("Reload")
    assert limit_of(gate, "etl") == 1, "the configuration says another, as before"
    gate.configure("workers: 3\nqueues: {etl: {limit: 1}}\n")
    gate.call("Reload")
    until(lambda: not gate.status()["overrides"], "it says the same")
    gate.configure("workers: 3\nqueues: {etl: {limit: 2}}\n")
    gate.call("Reload")
    until(lambda: running(gate) == 2, "it is the configuration that counts")
    assert "configured as they were set by hand: limit of queue etl" in gate.log()
    (gate.scratch / "go").touch()
    gate.until_over(4)


def test_what_is_configured_anyway_is_not_set_by_hand(make_gate: MakeGate) -> None:
    gate = make_gate(CONFIG)
    gate.ctl("limit", "etl", "1")
    assert gate.ctl("limit", "etl", "2").stdout == b"queue etl: limit 2, as configured\n"
    assert gate.status()["overrides"] == []


def test_the_lower_one_counts_where_a_limit_adjusts_itself(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 3\nqueues: {etl: {limit: {auto: {min: 2, max: 3}}}}\n")
    assert limit_of(gate, "etl") == 2
    gate.ctl("limit", "etl", "1")
    assert limit_of(gate, "etl") == 1
    many(gate)
    until(lambda: running(gate) == 1, "one runs")
    gate.ctl("limit", "etl", "3")
    until(lambda: running(gate) == 2, "its own counts")
    assert limit_of(gate, "etl") == 2
    (gate.scratch / "go").touch()
    gate.until_over(4)


def test_of_one_that_adjusts_itself_it_says_so(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 3\nqueues: {etl: {limit: {auto: {min: 2, max: 3}}}}\n")
    by_hand = b"queue etl: limit %d, by hand; configured: auto, which is at 2; the lower one counts\n"
    assert gate.ctl("limit", "etl", "1").stdout == by_hand % 1
    assert gate.ctl("limit", "etl", "3").stdout == by_hand % 3
    said = {"limit": 1, "configured": None, "auto": 2, "by_hand": 1, "notes": []}
    assert gate.ctl_json("limit", "etl", "1") == said
    assert gate.ctl_json("limit", "etl", "3") == {**said, "limit": 2, "by_hand": 3}
    assert gate.ctl("limit", "etl", "--reset").stdout == b"queue etl: limit 2, which adjusts itself, as configured\n"
    assert gate.ctl_json("limit", "etl", "--reset") == {**said, "limit": 2, "by_hand": None}


def test_more_than_there_are_workers_has_the_note_of_a_reload(make_gate: MakeGate) -> None:
    gate = make_gate(CONFIG)
    note = b"note: %s is 9, but no more than 3 jobs run at once in all (workers: 3)"
    assert gate.ctl("limit", "all", "9").stdout.splitlines()[1:] == [note % b"the limit of all jobs"]
    assert gate.ctl("limit", "etl", "9").stdout.splitlines()[1:] == [note % b"queue etl: its limit"]
    assert gate.ctl("limit", "etl", "3").stdout.splitlines()[1:] == []


def test_what_is_no_limit_is_refused_with_the_ways_to_lift_one(gate: GateEnv) -> None:
    for argv in (["default", "none"], ["all", "0"]):
        refused = gate.ctl("limit", *argv).stderr
        assert b"--reset takes back" in refused and b"a high number lifts a limit" in refused


def test_a_wrong_command_line_is_said(gate: GateEnv) -> None:
    none = gate.ctl("limit", "nowhere", "1")
    assert none.returncode == 1 and b"no queue nowhere" in none.stderr
    for argv in (["default"], ["default", "1", "--reset"], ["default", "0"], ["default", "x"]):
        assert gate.ctl("limit", *argv).returncode == 2
