"""What a job puts in the places of outcomes and scripts is waited for by nobody, and is no outcome."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.attempts.outcomes import Outcomes
from taskgated.core.job import Outcome, Result
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
ENDED = Outcome(1, 1, Result.SUCCEEDED, exit_code=0)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


PUT: dict[str, Callable[[Path], object]] = {
    "a fifo": os.mkfifo,
    "a directory": os.mkdir,
    "a socket": bind,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to a fifo": lambda path: (os.mkfifo(path.with_name("fifo")), path.symlink_to("fifo")),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "what may not be read": lambda path: path.touch(0o200),
    "too deep": lambda path: path.write_text("[" * 500_000),
    "too long": lambda path: path.write_bytes(b" " * 2_000_000 + json.dumps(ENDED.to_json()).encode()),
}


@pytest.mark.parametrize("what", PUT)
@pytest.mark.limit(60)
def test_what_no_worker_has_put_down_is_none(tmp_path: Path, what: str) -> None:
    PUT[what](tmp_path / "1.1.json")
    assert Outcomes(tmp_path).read(1, 1) is None


@pytest.mark.parametrize("what", [what for what in PUT if what != "a directory"])
@pytest.mark.limit(60)
def test_what_is_in_the_way_of_one_goes(tmp_path: Path, what: str) -> None:
    PUT[what](tmp_path / "1.1.tmp")
    Outcomes(tmp_path).write(ENDED)
    assert Outcomes(tmp_path).read(1, 1) == ENDED


@pytest.mark.limit(120)
def test_a_job_and_its_outcome(gate: GateEnv) -> None:
    """It puts a pipe in its place, and its worker dies."""
    place = gate.layout.outcomes / "1.1.json"
    gate.drop("a.json", json.dumps({"name": "a", "command": f"mkfifo {place}; sleep 600", "interrupted": "fail"}))
    until(place.exists, "it is there")
    (worker,) = (worker["pid"] for worker in gate.status()["workers"] if worker["job"] == 1)
    os.kill(worker, signal.SIGKILL)
    (job,) = gate.until_over(1)
    assert job["state"] == "failed"


@pytest.mark.limit(120)
def test_a_script(make_gate: MakeGate) -> None:
    """A pipe is where the copy of a script is to be; its worker can hear that it shall end."""
    gate = make_gate("workers: 1\n", start=False)
    gate.layout.scripts.mkdir(parents=True)
    gate.start()
    os.mkfifo(gate.layout.scripts / "1.1")
    gate.drop("a.sh", "#!/bin/sh\nexit 0\n")
    (job,) = gate.until_over(1)
    assert job["state"] == "succeeded"


def test_outcomes_are_whole_or_not_there(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path)
    kept = Outcome(4, 2, Result.FAILED, exit_code=3, message="x\udcff")
    outcomes.write(kept)
    assert outcomes.read(4, 2) == replace(kept, message="x\\xff"), "what no store could keep is spelled out"
    assert outcomes.read(4, 3) is None
    (tmp_path / "4.2.json").write_text('{"job": 4')
    assert outcomes.read(4, 2) is None
    outcomes.forget(4, 2)
    outcomes.forget(4, 2)
    assert list(tmp_path.iterdir()) == []
    assert replace(kept, job=5) != kept
