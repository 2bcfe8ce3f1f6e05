"""An attempt of which no worker has heard did not begin, also when the daemon died right after it was recorded."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.env.gate import GateEnv
from tests.env.unsaid import NAME
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
UNHEARD = ("killed", "the daemon died before its worker heard of it")


def job(gate: GateEnv, name: str, command: str = "true") -> dict[str, Any]:
    return {"name": name, "command": f"echo {name} >>{gate.scratch}/ran; {command}", "interrupted": "fail"}


def attempts(gate: GateEnv, id_: int) -> list[tuple[str, str]]:
    return [(one["result"], one["message"]) for one in gate.call("Show", id=id_)["attempts"]]


def crashes(gate: GateEnv) -> list[int]:
    with closing(sqlite3.connect(gate.layout.database)) as db:
        return [number for (number,) in db.execute("SELECT crashes FROM jobs")]


def dies(gate: GateEnv, *specs: dict[str, Any]) -> None:
    """Drop the jobs, of which the last is that at which the daemon dies."""
    gate.drop("jobs.json", json.dumps(list(specs)))
    gate.wait()
    gate.module = "taskgated"


def test_of_an_idle_worker(make_gate: MakeGate) -> None:
    """It has left by the time of the next daemon, and so has its server."""
    gate = make_gate("workers: 1\n", module="tests.env.unsaid")
    dies(gate, job(gate, NAME))
    until(lambda: not gate.processes(), "nobody is left")
    gate.start()
    (unsaid,) = gate.until_over(1)
    assert (unsaid["state"], attempts(gate, 1)) == ("succeeded", [UNHEARD, ("succeeded", "")])
    assert (gate.lines("ran"), crashes(gate)) == ([NAME], [0])
    gate.stop()
    gate.start()
    assert len(list((gate.layout.state / "partings").iterdir())) <= 1  # what the last one has left, not the first


@pytest.mark.parametrize("comes", [True, False], ids=["that-comes-back", "that-has-left"])
def test_of_a_worker_that_has_just_ended_another(make_gate: MakeGate, comes: bool) -> None:
    gate = make_gate("workers: 1\n", module="tests.env.unsaid")
    dies(gate, job(gate, "first"), job(gate, NAME))
    if not comes:
        until(lambda: not gate.processes(), "nobody is left")
    gate.start()
    first, unsaid = gate.until_over(2)
    assert (first["state"], attempts(gate, 1)) == ("succeeded", [("succeeded", "")])
    assert (unsaid["state"], attempts(gate, 2)) == ("succeeded", [UNHEARD, ("succeeded", "")])
    assert (gate.lines("ran"), crashes(gate)) == (["first", NAME], [0, 0])


def test_not_of_one_that_has_left_it_behind(make_gate: MakeGate) -> None:
    """The database is from a time when it ran: its worker has had another one since, and that is unknown there."""
    gate = make_gate("workers: 1\n")
    go = gate.scratch / "go"
    gate.drop("a.json", json.dumps(job(gate, "old", f"until test -e {go}; do sleep 0.05; done")))
    until(lambda: gate.lines("ran"), "it runs")
    copy = gate.root / "copy"
    with closing(sqlite3.connect(gate.layout.database)) as db, closing(sqlite3.connect(copy)) as to:
        db.backup(to)
    go.touch()
    gate.drop("b.json", json.dumps(job(gate, "later")))
    gate.until_over(2)
    gate.kill()
    until(lambda: not gate.processes(), "nobody is left")
    for suffix in ("-wal", "-shm"):
        gate.layout.database.with_name(gate.layout.database.name + suffix).unlink(missing_ok=True)
    os.replace(copy, gate.layout.database)
    gate.start()
    (old,) = gate.until_over(1)
    assert (old["state"], attempts(gate, 1)) == ("failed", [("lost", "its worker died")])
    assert gate.lines("ran") == ["old", "later"]
