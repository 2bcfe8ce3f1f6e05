"""What takes the controllers of control groups, so on a real kernel: containers have none to enable. On each release.

A delegated group in which somebody enabled a controller: the next daemon must still find its place. systemd 252
starts it in the group itself, where no process may be while a controller is enabled below.

And the kernel kills for want of memory, a job or the daemon: nothing else ends, and the gate goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.vm import Vm, unwanted
from tests.env.packages import deb
from tests.env.until import until
from tests.system.gate import Gate
from tests.system.machine import SUITES, UNIT

GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
MEMORY = "256M"
"""Of the whole service: some times of what it takes by itself, and less than the greedy job wants."""
GREEDY = 'command: [python3, -c, "bytearray(600 << 20)"]\n'


@pytest.fixture(scope="module", params=SUITES)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    if reason := unwanted():
        pytest.skip(reason)
    made = Vm(deb(), tmp_path_factory.mktemp("controllers") / "vm", suite=request.param)
    try:
        made.boot()
        assert f"VERSION_CODENAME={request.param}" in made.read("/etc/os-release")
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


# -- out of memory -------------------------------------------------------------------------------


@pytest.fixture
def short(gate: Gate) -> Iterator[Gate]:
    """The service may take no more than ``MEMORY``."""
    gate.make_ready()
    gate.machine.run("systemctl", "set-property", "--runtime", UNIT, f"MemoryMax={MEMORY}")
    yield gate
    gate.machine.run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=infinity")


def oom_kills(gate: Gate) -> int:
    """How many processes of the service the kernel has killed for want of memory."""
    events = dict(line.split() for line in gate.machine.read(f"{GROUP}/memory.events").splitlines())
    return int(events["oom_kill"])


def sleeper(gate: Gate) -> list[int]:
    return gate.pids("sleep 1000")


def goes_on(gate: Gate, name: str, survivor: list[int]) -> None:
    """What ran still runs, and what comes now runs as well."""
    assert gate.until_state("long", "running")["attempt"] == 1
    assert sleeper(gate) == survivor
    gate.drop(f"{name}.yaml", f"name: {name}\ncommand: 'true'\n")
    gate.until_state(name, "succeeded")
    until(lambda: gate.status()["ready"], "the gate is ready")
    assert gate.active()


def test_a_job_that_takes_all_memory_is_killed_alone(short: Gate) -> None:
    daemon, survivor, kills = short.daemon(), sleeper(short), oom_kills(short)
    assert survivor
    short.drop("greedy.yaml", f"name: greedy\n{GREEDY}")
    job = short.until_state("greedy", "failed")
    assert oom_kills(short) == kills + 1
    assert "killed by signal 9" in "\n".join(short.machine.messages(f"TASKGATE_JOB_ID={job['id']}"))
    assert short.daemon() == daemon
    goes_on(short, "after-greedy", survivor)


def test_a_daemon_that_is_killed_for_want_of_memory_comes_back(short: Gate) -> None:
    daemon, survivor, kills = short.daemon(), sleeper(short), oom_kills(short)
    restarts = int(short.machine.property("NRestarts"))
    short.machine.sh(f"echo 1000 >/proc/{daemon}/oom_score_adj")  # so it is the first to go
    short.drop("greedier.yaml", f"name: greedier\n{GREEDY}")
    until(lambda: int(short.machine.property("NRestarts")) == restarts + 1, "systemd starts it again")
    assert short.daemon() != daemon
    short.until_state("greedier", "failed")
    assert oom_kills(short) == kills + 2
    goes_on(short, "after-greedier", survivor)
