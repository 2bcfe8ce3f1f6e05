"""Jobs that can never start as the gate is configured: status tells of them until they can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
CONFIG = "workers: 2\ntokens: {{{tokens}}}\nqueues:\n  default: {{}}\n  etl: {{{etl}}}\n"


def config(tokens: str = "yarn: 3, db: 1", etl: str = "") -> str:
    return CONFIG.format(tokens=tokens, etl=etl)


def never(gate: GateEnv) -> list[dict[str, Any]]:
    return list(gate.status()["never"])


@pytest.fixture
def gate(make_gate: MakeGate) -> GateEnv:
    """Nothing starts, so that it does not matter which job has been looked at."""
    gate = make_gate(config())
    gate.ctl("pause")
    for takes in ("yarn: 3", "yarn: 2", "yarn: 3, db: 1"):
        queued = len(gate.jobs())
        gate.drop(f"{queued}.yaml", f"command: 'true'\ntokens: {{{takes}}}\n")
        until(lambda before=queued: len(gate.jobs()) > before, "it is taken in")
    return gate


def test_what_a_reload_has_made_impossible_is_told_with_the_reason(gate: GateEnv) -> None:
    assert never(gate) == []
    gate.configure(config("yarn: 2, db: 1"))
    gate.call("Reload")
    (found,) = never(gate)
    assert found == {
        "kind": "token",
        "of": "yarn",
        "jobs": 2,
        "more": False,
        "text": "2 queued jobs take more of the tokens yarn than there are in all (2)",
        "some": [
            {"id": job, "text": "it takes 3 of the tokens yarn, and there are 2 in all now: it cannot start as it is"}
            for job in (1, 3)
        ],
    }
    lines = gate.ctl("status").stdout.decode().splitlines()
    assert [line.strip() for line in lines if line.startswith("  never: ")] == [
        "never: 2 queued jobs take more of the tokens yarn than there are in all (2)",
        "never: job 1: it takes 3 of the tokens yarn, and there are 2 in all now: it cannot start as it is",
        "never: job 3: it takes 3 of the tokens yarn, and there are 2 in all now: it cannot start as it is",
    ]
    gate.configure(config())
    gate.call("Reload")
    assert never(gate) == [], "there are enough again"
    gate.ctl("resume")
    gate.until_over(3)


def test_also_of_a_token_that_is_not_configured_any_more(gate: GateEnv) -> None:
    gate.configure(config("yarn: 3"))
    gate.call("Reload")
    assert [(one["of"], one["jobs"], [job["id"] for job in one["some"]]) for one in never(gate)] == [("db", 1, [3])]
    gate.ctl("cancel", "3")
    assert never(gate) == []


def test_a_total_that_is_set_by_hand_counts_over_a_restart(gate: GateEnv) -> None:
    gate.ctl("tokens", "yarn", "1")
    expected = [("yarn", 3, [2, 1, 3])]
    assert [(one["of"], one["jobs"], [job["id"] for job in one["some"]]) for one in never(gate)] == expected
    gate.kill()
    gate.start()
    assert [(one["of"], one["jobs"], [job["id"] for job in one["some"]]) for one in never(gate)] == expected
    gate.ctl("hold", "1")
    assert never(gate)[0]["jobs"] == 2, "one that is held waits for that"
    gate.ctl("tokens", "yarn", "--reset")
    assert never(gate) == []


def test_a_queue_whose_windows_are_over_for_good_counts_its_jobs(make_gate: MakeGate) -> None:
    gate = make_gate(config())
    gate.ctl("pause")
    gate.drop("a.yaml", "[{command: 'true'}, {command: 'true'}]", queue="etl")
    until(lambda: len(gate.jobs()) == 2, "they are taken in")
    gate.configure(config(etl="windows: {opens: '2020-01-01 10:00', closes: '2020-01-01 11:00'}"))
    gate.call("Reload")
    (found,) = never(gate)
    assert (found["kind"], found["of"], found["jobs"]) == ("window", "etl", 2)
    assert found["text"] == "2 queued jobs of queue etl never start: none of its windows opens any more"
    gate.configure(config(etl="windows: {opens: '10:00', closes: '09:59'}"))
    gate.call("Reload")
    assert never(gate) == []


def test_so_does_one_for_which_the_machine_is_too_small(make_gate: MakeGate) -> None:
    gate = make_gate(config(etl="machine: {memory: 900T}"))
    gate.drop("a.yaml", "command: 'true'\n", queue="etl")
    (found,) = until(lambda: never(gate), "the machine is looked at")
    assert (found["kind"], found["of"], found["jobs"]) == ("machine", "etl", 1)
    assert found["text"].startswith("1 queued job of queue etl never starts: the machine has ")
    gate.configure(config(etl="machine: {memory: 1M}"))
    gate.call("Reload")
    gate.until_over(1)
