"""The order in which a daemon starts jobs: told by what the jobs wrote."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until


def waiting(gate: GateEnv, needs: str = "") -> None:
    """One job runs until it is let go; behind it wait one of the least priority and, later, one of the highest, which
    both need that."""
    gate.drop("a.yaml", f"{{name: first, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}")
    gate.until_running("first")
    for name, priority in (("low", 0), ("high", 100)):
        writes = f"echo {name} >> {gate.scratch}/ran"
        gate.drop(f"{name}.yaml", f"{{name: {name}, priority: {priority}, {needs} command: '{writes}'}}")
        until(lambda name=name: gate.job(name), f"{name} is taken in")  # type: ignore[misc]


def ran(gate: GateEnv) -> list[str]:
    (gate.scratch / "go").touch()
    gate.until_over(3)
    return gate.lines("ran")


@pytest.mark.parametrize(
    ("ageing", "order"), [("1us", ["low", "high"]), ("0", ["high", "low"]), ("1min", ["high", "low"])]
)
def test_waiting_is_worth_what_the_configuration_says(
    make_gate: Callable[..., GateEnv], ageing: str, order: list[str]
) -> None:
    gate = make_gate(f"workers: 1\nageing: {ageing}\n")
    waiting(gate)
    assert ran(gate) == order


@pytest.mark.parametrize("needs", ["", "key: k,"])
@pytest.mark.parametrize("way", ["reload", "restart"])
@pytest.mark.parametrize(("before", "after", "order"), [("1us", "0", ["high", "low"]), ("0", "1us", ["low", "high"])])
def test_another_worth_holds_for_what_waits_already(
    make_gate: Callable[..., GateEnv], way: str, before: str, after: str, order: list[str], needs: str
) -> None:
    strict = "workers: 1\nqueues: {default: {strict: true}}\n"
    gate = make_gate(f"{strict}ageing: {before}\n")
    waiting(gate, needs)
    gate.configure(f"{strict}ageing: {after}\n")
    if way == "reload":
        gate.call("Reload")
    else:
        gate.kill()
        gate.start()
    best = gate.job(order[0])
    assert best is not None
    until(lambda: gate.status()["ready_queue"][:1] == [best["id"]], "another is the next")
    assert ran(gate) == order
