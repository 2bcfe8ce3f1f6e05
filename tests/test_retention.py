"""What is over is forgotten, with its output: by number and by age."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gate_env import GateEnv, until
from taskgated import retention
from taskgated.paths import Layout


def outputs(gate: GateEnv) -> list[str]:
    return sorted(path.name for path in gate.layout.log.rglob("*") if path.is_file())


def test_by_number(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nretention: {count: 3}\n", start=False)  # so that they are over in this order
    gate.layout.spool.mkdir()
    gate.drop("a.tasks", "echo x\n" * 10)
    gate.start()
    gate.until_over(3)
    until(lambda: [job["id"] for job in gate.jobs()] == [8, 9, 10], "only the newest are remembered", 90)
    until(lambda: outputs(gate) == ["10.1.log", "8.1.log", "9.1.log"], "only their output is kept")


def test_by_age_and_nothing_is_left_of_a_directory(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\n")
    gate.drop("a.tasks", "echo x\n" * 5)
    gate.until_over(5)
    assert len(outputs(gate)) == 5
    gate.stop()
    gate.configure("workers: 2\nretention: {age: 1ms}\n")
    gate.start()
    until(lambda: gate.jobs() == [], "all are forgotten")
    until(lambda: os.listdir(gate.layout.log) == [], "so is their output")


def test_what_cannot_be_deleted_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For nobody would ever look for the output of a job that is not known any more."""
    for job in (1, 2, 10, 1001):
        path = Layout.under(tmp_path).output_file(job, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    some, other = (Layout.under(tmp_path).output_file(job, 1).parent for job in (1, 1001))
    assert retention._remove(some, {1, 2})
    assert os.listdir(some) == ["10.1.log"]
    assert retention._remove(other, {1001})
    assert not other.exists()
    assert retention._remove(other, {1002}), "there never was any"

    def fail(path: Path) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "listdir", fail)
    assert not retention._remove(some, {10})


def test_a_directory_holds_the_output_of_a_thousand_jobs() -> None:
    layout = Layout.under("/x")
    directories = {layout.output_file(job, 1).parent for job in range(1_000_000)}
    assert len(directories) == 1000
    assert layout.output_file(999_999, 2) == Path("/x/log/000999/999999.2.log")
