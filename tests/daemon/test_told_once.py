"""What is told is told once, and in the order in which it happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from taskgated.host.clock import boot_id
from taskgated.host.processes import ProcessId, start_time
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until


@pytest.mark.parametrize(
    ("name", "content", "jobs"),
    [("a.yaml", "name: x\ncommand: exit 0\n", 1), ("a", "#!/bin/sh\n", 1), ("a.tasks", "true\ntrue\n", 2)],
)
def test_a_file_is_accepted_before_its_jobs_start(gate: GateEnv, name: str, content: str, jobs: int) -> None:
    for number in range(5):
        gate.drop(f"{number}{name}", content)
        gate.until_over((number + 1) * jobs)
        until(lambda number=number: f" job {(number + 1) * jobs} (" in gate.log(), "its end is told")  # type: ignore[misc]
        log = gate.log()
        assert log.index(f" {number}{name}: ") < log.index(f" job {number * jobs + 1} ("), log


def test_a_list_is_told_of_once(gate: GateEnv) -> None:
    """Also one that is taken in with several pieces."""
    gate.drop("long.tasks", "true\n" * 1200)
    gate.until_over(1200, 120)
    until(lambda: "long.tasks: " in gate.log(), "it is told of")
    assert gate.log().count("long.tasks: ") == 1
    assert "long.tasks: 1200 jobs for queue default" in gate.log()


class TestReload:
    @staticmethod
    def reload(gate: GateEnv, **env: str) -> int:
        """As ExecReload= of the unit does it: what it writes goes where the daemon writes."""
        with open(gate.root / "daemon.log", "ab") as log:
            status = os.fstat(log.fileno())
            stream = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            command = [sys.executable, "-m", "taskgated.ctl", "--root", str(gate.root), "reload"]
            environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), **stream, **env}
            return subprocess.run(command, env=environ, stdout=log, stderr=log, timeout=60, check=False).returncode

    def test_what_systemd_reloads_is_told_by_the_daemon_alone(self, gate: GateEnv) -> None:
        assert self.reload(gate, MAINPID="1") == 0
        until(lambda: "reloaded" in gate.log(), "it is told")
        assert gate.log().count("configuration reloaded") == 1
        gate.configure("wrokers: 2\n")
        assert self.reload(gate, MAINPID="1") == 1
        until(lambda: "wrokers" in gate.log(), "it is told")
        assert gate.log().count("unknown key 'wrokers'") == 1

    def test_whoever_reloads_otherwise_is_answered(self, gate: GateEnv) -> None:
        assert self.reload(gate) == 0
        until(lambda: gate.log().count("configuration reloaded") == 2, "it is told by both")
        assert gate.ctl("reload").stdout == b"configuration reloaded\n"


def test_the_daemon_ends_after_its_idle_workers(gate: GateEnv) -> None:
    """systemd has two lines for each process that a service leaves behind at a restart."""
    pids = [worker["pid"] for worker in gate.status()["workers"]]
    workers = [ProcessId(pid, start_time(pid) or 0, boot_id()) for pid in pids]
    slow = pids[0]
    os.kill(slow, signal.SIGSTOP)
    gate.signal(signal.SIGTERM)
    until(lambda: not gate.layout.worker_socket.exists(), "it is ending")
    threading.Timer(0.3, lambda: os.kill(slow, signal.SIGCONT)).start()
    assert gate.wait() == 0
    assert not any(worker.alive() for worker in workers)


def test_a_worker_that_never_leaves_does_not_keep_the_daemon(gate: GateEnv) -> None:
    slow = gate.status()["workers"][0]["pid"]
    os.kill(slow, signal.SIGSTOP)
    try:
        assert gate.stop() == 0
    finally:
        os.kill(slow, signal.SIGCONT)
