"""What status says of queues that are closed, and of those that are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from taskgated.control.reasons import closed
from taskgated.core.reasons import DoorReason, MachineUnread, OutsideWindows, Reason, RetriesUsedUp
from tests.control.test_reasons import sample
from tests.env.gate import GateEnv
from tests.env.until import until

OTHERS = (MachineUnread, RetriesUsedUp)
"""The first closes nothing, the second not a whole queue."""
MakeGate = Callable[..., GateEnv]


@pytest.mark.parametrize("cls", [one for one in get_args(DoorReason) if one not in OTHERS])
def test_what_closes_a_queue_names_it(cls: type[Reason]) -> None:
    reason = sample(cls)
    text = closed(getattr(reason, "queue", "etl"), reason)["text"]
    assert f"queue {getattr(reason, 'queue', 'etl')}" in text or text == "all queues are paused"
    assert not text.startswith("it ")


def test_of_windows_it_says_when_the_next_opens() -> None:
    assert closed("etl", OutsideWindows("etl", None, None))["text"] == (
        "queue etl: none of its windows is open, and none of them opens any more"
    )
    assert (
        "the next opens on Fri 2027-01-15" in closed("etl", OutsideWindows("etl", 1_800_000_000_000_000, 5))["text"]
    )


def test_queues_with_one_probe_have_lines_of_their_own(make_gate: MakeGate) -> None:
    gate = make_gate("probes: {p: {command: 'exit 1'}}\nqueues: {a: {probe: p}, b: {probe: p}}\n")
    gate.drop("a.yaml", "[{queue: a, command: 'true'}, {queue: b, command: 'true'}]")
    until(lambda: len(gate.status()["closed"]) == 2, "it says closed")
    lines = [line for line in gate.ctl("status").stdout.decode().splitlines() if line.startswith("  closed: ")]
    assert [line.split(":")[1] for line in lines] == [" queue a", " queue b"]


def test_queues_that_are_gone_from_the_configuration_are_marked(make_gate: MakeGate) -> None:
    gate = make_gate("queues: {old: {}, new: {}}\n")
    gate.drop("a.yaml", "[{queue: old, command: 'true'}, {queue: default, command: 'true'}]")
    gate.until_over(2)
    gate.configure("queues: {new: {}}\n")
    gate.call("Reload")
    there = {queue["name"]: queue["configured"] for queue in gate.status()["queues"]}
    assert there == {"old": False, "new": True, "default": True}
    shown = gate.ctl("status").stdout.decode()
    assert "\nold (not configured)  " in shown and "new (" not in shown and "default (" not in shown
