"""A queue that is shared fairly between its users: told by what the jobs wrote."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.daemon.test_user_limits import ANOTHER, NOBODY, drop
from tests.env.gate import GateEnv
from tests.env.until import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop files of several users")


def began(gate: GateEnv) -> list[str]:
    return [line.removeprefix("+ ") for line in gate.lines("log") if line.startswith("+")]


@pytest.mark.parametrize(("share", "late"), [("fair", False), ("fifo", True)])
def test_one_who_comes_later_has_a_share(make_gate: Callable[..., GateEnv], share: str, *, late: bool) -> None:
    gate = make_gate(f"workers: 1\nqueues: {{default: {{share: {share}}}}}\n")
    drop(gate, "mine", 14, ANOTHER)
    until(lambda: len(gate.lines("log")) >= 4, "some of them have run")
    drop(gate, "theirs", 3, NOBODY)
    gate.until_over(17)
    order = began(gate)
    assert (order.index("theirs") >= 14) is late
    last = len(order) - order[::-1].index("theirs")
    assert (last == 17) is late, order


@pytest.mark.parametrize(("share", "position"), [("fair", None), ("fifo", 5)])
def test_nobody_is_given_a_place_that_is_not_known(
    make_gate: Callable[..., GateEnv], share: str, position: int | None
) -> None:
    gate = make_gate(f"workers: 1\nqueues: {{default: {{share: {share}}}}}\n")
    gate.drop("first.yaml", f"{{name: first, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}")
    gate.until_running("first")
    drop(gate, "mine", 4, ANOTHER)
    until(lambda: gate.job("mine"), "they are taken in")
    drop(gate, "theirs", 1, NOBODY)
    until(lambda: gate.job("theirs"), "it is taken in")
    why = gate.ctl_json("why", str(gate.job("theirs")["id"]))
    assert why["position"] == position
    (order,) = (one for one in why["reasons"] if one["kind"] == "order")
    assert order["before"] == (None if position is None else position - 1)
    (gate.scratch / "go").touch()
    gate.until_over(6)


def test_a_weight_is_worth_so_much_more(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nusers: {nobody: {weight: 3}}\nqueues: {default: {share: fair}}\n")
    gate.drop("first.yaml", f"{{name: first, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}")
    gate.until_running("first")
    drop(gate, "mine", 12, ANOTHER)
    drop(gate, "theirs", 12, NOBODY)
    until(lambda: gate.job("theirs"), "they are taken in")
    (gate.scratch / "go").touch()
    gate.until_over(25)
    assert 7 <= began(gate)[:12].count("theirs") <= 11, began(gate)


def test_what_was_used_is_known_to_the_next_daemon(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nqueues: {default: {share: fair}}\n")
    drop(gate, "mine", 8, ANOTHER)
    gate.until_over(8)
    gate.kill()
    with closing(sqlite3.connect(gate.layout.database)) as db:
        (key,) = (key for (key,) in db.execute("SELECT key FROM memory"))
    assert key == f"use:{ANOTHER}:default"
    gate.start()
    gate.drop("first.yaml", f"{{name: first, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}")
    gate.until_running("first")
    drop(gate, "again", 2, ANOTHER)
    until(lambda: gate.job("again"), "they are taken in")
    drop(gate, "theirs", 2, NOBODY)
    until(lambda: gate.job("theirs"), "they are taken in")
    (gate.scratch / "go").touch()
    gate.until_over(13)
    assert began(gate)[8:] == ["theirs", "theirs", "again", "again"]


def test_what_cannot_be_read_and_what_no_queue_needs_is_forgotten(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nqueues: {default: {share: fair}}\n")
    drop(gate, "mine", 5, ANOTHER)
    gate.until_over(5)
    gate.stop()
    with closing(sqlite3.connect(gate.layout.database)) as db, db:
        db.executemany(
            "INSERT INTO memory VALUES (?, ?)", [("use:7:default", "x"), ("use::", "1"), ("use:7:q", "9e9")]
        )
    gate.start()

    def remembered() -> list[str]:
        with closing(sqlite3.connect(gate.layout.database)) as db:
            return [key for (key,) in db.execute("SELECT key FROM memory")]

    until(lambda: remembered() == [f"use:{ANOTHER}:default"], "the rest is gone")
