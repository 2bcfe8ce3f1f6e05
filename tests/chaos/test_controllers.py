"""A delegated group in which somebody enabled a controller: the next daemon must still find its place.

systemd 252 starts it in the group itself, where no process may be while a controller is enabled below. On a real
kernel: containers have no controllers to enable.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gate import Gate
from machine import UNIT, until
from packages_env import deb
from vm import Vm, unwanted

GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    if reason := unwanted():
        pytest.skip(reason)
    made = Vm(deb(), tmp_path_factory.mktemp("controllers") / "vm")
    try:
        made.boot()
        gate = Gate(made)
        gate.make_ready()
        gate.drop("long.yaml", "name: long\ncommand: sleep 1000\n")
        gate.until_state("long", "running")
        yield gate
    finally:
        made.close()


def enable(gate: Gate) -> None:
    """As a job may: the group is the user's own."""
    gate.machine.sh(f"echo +memory >{GROUP}/cgroup.subtree_control", user="taskgate")
    assert gate.machine.run("cat", f"{GROUP}/cgroup.subtree_control") == "memory"


def test_restart(gate: Gate) -> None:
    enable(gate)
    gate.machine.run("systemctl", "restart", UNIT)
    assert gate.until_state("long", "running")["attempt"] == 1


def test_kill(gate: Gate) -> None:
    enable(gate)
    gate.machine.run("kill", "-9", str(gate.daemon()))
    until(lambda: gate.machine.property("NRestarts") == "1", "systemd restarts it")
    until(lambda: gate.status()["ready"], "the gate is ready")
    assert gate.until_state("long", "running")["attempt"] == 1
