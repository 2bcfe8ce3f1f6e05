"""Finding and killing processes: the parts. That nothing escapes is shown in the tests of workers."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from taskgated.host import processes
from taskgated.host.processes import Process
from tests.env.processes import identity, nothing_left, start  # noqa: F401
from tests.env.until import until
from tests.env.worker import alive

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen(["true"])
    until(lambda: processes.look(process.pid) is None, "true to end")
    assert processes.children(os.getpid()) == [process.pid]  # but it is there until it is reaped
    process.wait()
    assert processes.children(os.getpid()) == []


def test_a_process_whose_first_thread_has_ended_lives() -> None:
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "print(1, flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    process = start(code)
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: ") Z " in stat.read_text(), "the first thread to end")
    assert alive(process.pid)
    processes.kill_descendants()
    assert process.wait(10) == -signal.SIGKILL


def test_a_signal_is_for_exactly_that_process() -> None:
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    real = identity(process.pid)
    processes.send(Process(real.pid, real.start + 1), signal.SIGUSR1)  # would end it, before the other does
    processes.send(Process(2**22 + 1, 1), signal.SIGUSR1)  # beyond the largest pid
    processes.send(real, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
