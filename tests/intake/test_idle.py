"""An intake that has nothing to do sleeps, whatever lies in the spool: its rounds are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.intake.intake import Intake
from taskgated.intake.session import Session
from tests.env.intake import Gate, running
from tests.env.until import until
from tests.intake.test_required import WITH

SECONDS = 3.0
MOST = 8
"""Rounds in that time: what is open for writing is looked at once a second (``settle.BUSY``); the rest is room for
what was dropped and is still heard of."""
SPEC = "command: [echo]\n"


def companion_missing(gate: Gate) -> None:
    for number in range(20):
        gate.drop(f"marked/{number}.yaml", SPEC)
    gate.drop("marked/stray.done", "")


def left_alone(gate: Gate) -> None:
    for name in (".a", "a.tmp", "a~", "#a#", "a.bak", "a.log"):
        gate.drop(name, SPEC)


def array_half_taken_in(gate: Gate) -> None:
    gate.drop("array.yaml", f"{SPEC}array: {{from: 1, to: 200}}\n")
    gate.drop("after.yaml", SPEC)
    until(lambda: gate.sink.room() <= 0)


def list_half_taken_in(gate: Gate) -> None:
    gate.drop("list.tasks", "echo\n" * 200)
    until(lambda: gate.sink.room() <= 0)


def files_beyond_the_backlog(gate: Gate) -> None:
    for number in range(40):
        gate.drop(f"{number}.sh", "#!/bin/sh\n")
    until(lambda: gate.sink.room() <= 0)


def being_written(gate: Gate) -> None:
    file = open(gate.spool / "w.yaml", "w", encoding="utf-8")  # noqa: SIM115 (it is closed with the test)
    file.write("x")
    file.flush()
    gate.writer = file  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "drop",
    [
        companion_missing, left_alone, array_half_taken_in, list_half_taken_in, files_beyond_the_backlog,
        being_written,
    ],
)  # fmt: skip
def test_it_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drop: Callable[[Gate], None]) -> None:
    rounds = 0
    whole = Intake._round

    def counted(self: Intake, session: Session) -> None:
        nonlocal rounds
        rounds += 1
        whole(self, session)

    monkeypatch.setattr(Intake, "_round", counted)
    queues = {name: queue for name, queue in WITH.items() if name != "default"}
    with running(tmp_path, 20, queues=queues, ignore=("*.log",), settle_time=0.02, max_backlog=20) as gate:
        drop(gate)
        time.sleep(1.0)
        before = rounds
        time.sleep(SECONDS)
        assert rounds - before <= MOST
