"""Spool and database that come back from a backup, both or one of them: no name ends intake, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = """\
workers: 2
stop_timeout: 100ms
queues:
  default: {limit: 2}
  data: {limit: 1, handler: {command: [sh, "SCRATCH/work", "{file}"]}}
"""
WORK = """\
cat "$1" >>SCRATCH/seen
while ! test -e SCRATCH/go; do sleep 0.05; done
"""


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    """Two jobs that work on files are done; the backup is from when one ran and one was queued."""
    gate = make_gate("", start=False)
    gate.configure(CONFIG.replace("SCRATCH", str(gate.scratch)))
    (gate.scratch / "work").write_text(WORK.replace("SCRATCH", str(gate.scratch)))
    gate.start()
    for name in ("first", "second"):
        gate.drop(name, f"{name}\n", "data")
        until(lambda name=name: gate.job(name), f"{name} is taken in")  # type: ignore[misc]
    until(lambda: gate.lines("seen"), "the first runs")
    gate.stop()
    for directory in (gate.layout.spool, gate.layout.state):
        shutil.copytree(directory, gate.root / f"{directory.name}.backup", symlinks=True)
    gate.start()
    (gate.scratch / "go").touch()
    gate.until_over(2)
    gate.stop()
    return gate


def restore(gate: GateEnv, *names: str) -> None:
    for name in names:
        shutil.rmtree(gate.root / name)
        shutil.copytree(gate.root / f"{name}.backup", gate.root / name, symlinks=True)


def well(gate: GateEnv) -> None:
    gate.drop("last.yaml", "name: last\ncommand: 'true'\n")
    until(lambda: (gate.job("last") or {}).get("state") == "succeeded", "an honest job runs")
    assert gate.status()["ready"]
    assert gate.stop() == 0
    gate.start()  # and what it left does not end the next one
    assert gate.stop() == 0
    claims = [path.name for path in gate.layout.claims.iterdir() if not path.name.startswith("done.")]
    assert claims == []


def test_a_spool_from_yesterday(gate: GateEnv) -> None:
    """The database knows that what was claimed then is done."""
    seen = gate.lines("seen")
    restore(gate, "spool")
    gate.start()
    well(gate)
    assert gate.lines("seen") == seen


def test_a_database_from_yesterday(gate: GateEnv) -> None:
    """What it believes to be queued runs, and fails for want of its file."""
    restore(gate, "state")
    gate.start()
    gate.until_over(2)
    well(gate)


def test_both_from_yesterday(gate: GateEnv) -> None:
    seen = gate.lines("seen")
    restore(gate, "spool", "state")
    gate.start()
    gate.until_over(2)
    well(gate)
    assert gate.lines("seen") == [*seen, "first", "second"]
