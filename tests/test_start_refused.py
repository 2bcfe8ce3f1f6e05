"""A start that the host has nothing for ends with words, and with a status after which it is tried again."""

from __future__ import annotations

import os
from collections.abc import Callable

from gate_env import GateEnv

MakeGate = Callable[..., GateEnv]


def test_a_start_without_a_place_for_its_sockets(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n", start=False)
    (gate.layout.worker_socket / "x").mkdir(parents=True)
    gate.launch()
    assert gate.wait() == os.EX_TEMPFAIL
    assert "cannot start: Is a directory: " in gate.log()
    assert str(gate.layout.worker_socket) in gate.log()
    assert "Traceback" not in gate.log()
