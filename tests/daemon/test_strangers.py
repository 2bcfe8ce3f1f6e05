"""Workers from before that run what the database knows nothing of: it was put back from a copy while they ran."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]

ONCE = """\
for pid in $(cat pids); do grep '^State:.[^ZX]' /proc/$pid/status >>twice; done
echo $$ >>pids
until test -e end; do sleep 0.05; done
"""


def copy_of(database: Path, target: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def put_back(gate: GateEnv, copy: Path) -> None:
    for path in gate.layout.state.glob("jobs.sqlite*"):
        path.unlink()
    copy.rename(gate.layout.database)


@pytest.fixture(params=[1, 2], ids=["on the worker that it knows", "on another"])
def behind(request: pytest.FixtureRequest, make_gate: MakeGate, tmp_path: Path) -> GateEnv:
    """No daemon is there, a worker has a job and cannot come back, and of that job the database knows only that it
    is queued. With one worker, it knows that one as busy with the job before."""
    gate = make_gate(f"workers: {request.param}\nqueues: {{shut: {{limit: 1}}}}\n")
    (gate.scratch / "pids").touch()
    jobs = [
        {"name": "before", "command": "until test -e go; do sleep 0.05; done"},
        {"name": "once", "command": ONCE},
    ]
    gate.drop("a.yaml", json.dumps([{**job, "queue": "shut", "cwd": str(gate.scratch)} for job in jobs]))
    gate.until_running("before")
    until(lambda: gate.job("once"), "both are taken in")
    copy_of(gate.layout.database, tmp_path / "copy")
    (gate.scratch / "go").touch()
    until(lambda: gate.lines("pids"), "the job runs")
    (worker,) = (worker["pid"] for worker in gate.status()["workers"] if worker["state"] == "running")
    os.kill(worker, signal.SIGSTOP)
    gate.kill()
    put_back(gate, tmp_path / "copy")
    return gate


def test_none_of_their_jobs_runs_twice(behind: GateEnv) -> None:
    behind.start()
    until(lambda: len(behind.lines("pids")) == 2, "what the database believes to be queued runs")
    assert behind.lines("twice") == []
    until(lambda: "runs job 2 (attempt 1), and the database does not know that" in behind.log(), "it is said")
    (behind.scratch / "end").touch()
    assert {job["state"] for job in behind.until_over(2)} <= {"succeeded", "failed"}
