"""Starts: signals in the moment in which the daemon is not yet one, and a host that has nothing for it.

A signal that ends it ends it cleanly, and no other does. A start that fails ends with words, and with a status after
which it is tried again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
Moment = Callable[[GateEnv], bool]


def minds(gate: GateEnv) -> bool:
    """It holds signals back, or handles them: the interpreter is up, and has begun with our code."""
    assert gate.process is not None
    words = Path(f"/proc/{gate.process.pid}/status").read_text().split()
    blocked, caught = (int(words[words.index(name) + 1], 16) for name in ("SigBlk:", "SigCgt:"))
    return bool((blocked | caught) >> signal.SIGHUP - 1 & 1)


MOMENTS: dict[str, Moment] = {
    "first": lambda gate: True,
    "lock": lambda gate: gate.layout.lock_file.exists(),
    "database": lambda gate: gate.layout.database.exists(),
    "workers' socket": lambda gate: gate.layout.worker_socket.exists(),
    "control socket": lambda gate: gate.layout.control_socket.exists(),
}


def at(moment: str, make_gate: MakeGate) -> GateEnv:
    gate = make_gate("workers: 1\n", start=False)
    gate.launch()
    until(lambda: minds(gate), "it minds signals")
    until(lambda: MOMENTS[moment](gate), f"it has got to: {moment}")
    return gate


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_reload_that_comes_early_is_neither_fatal_nor_lost(make_gate: MakeGate, moment: str) -> None:
    gate = at(moment, make_gate)
    gate.signal(signal.SIGHUP)
    gate._until(lambda: gate.status()["ready"], "it is ready")
    until(lambda: "configuration reloaded" in gate.log(), "it has reloaded")
    assert gate.stop() == 0


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_comes_early_ends_it(make_gate: MakeGate, moment: str, number: signal.Signals) -> None:
    gate = at(moment, make_gate)
    gate.signal(number)
    assert gate.wait() in (0, -number)
    assert "Traceback" not in gate.log()
    gate.start()
    gate.drop("a.yaml", "command: exit 0\n")
    assert gate.until_over(1)[0]["state"] == "succeeded"


@pytest.mark.parametrize("moment", MOMENTS)
def test_signals_that_mean_nothing(make_gate: MakeGate, moment: str) -> None:
    gate = at(moment, make_gate)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        gate.signal(number)
    gate._until(lambda: gate.status()["ready"], "it is ready")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        gate.signal(number)
    gate.drop("a.yaml", "name: a\ncommand: grep -E 'Sig(Blk|Ign)' /proc/self/status\n")
    (job,) = gate.until_over(1)
    said = Path(outputs.path(gate.layout.log, job["id"], 1)).read_text().split()
    assert said == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16], "a job is born with what nobody has changed"


def test_a_start_without_a_place_for_its_sockets(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n", start=False)
    (gate.layout.worker_socket / "x").mkdir(parents=True)
    gate.launch()
    assert gate.wait() == os.EX_TEMPFAIL
    assert "cannot start: Is a directory: " in gate.log()
    assert str(gate.layout.worker_socket) in gate.log()
    assert "Traceback" not in gate.log()
