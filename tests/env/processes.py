"""Processes for tests of how they are found and killed, and the proof that none of them is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from taskgated.host import kernel, processes
from taskgated.host.processes import Process
from tests.env.worker import reap, until_alone


@pytest.fixture
def nothing_left() -> Iterator[None]:
    kernel.become_subreaper()
    until_alone("what ran before this test is over")
    yield
    try:
        until_alone("the last process is gone")
    finally:
        while processes.kill_descendants():
            reap()
        kernel.become_subreaper(False)


def start(code: str, **options: object) -> subprocess.Popen[bytes]:
    """A Python that runs ``code``; returns once that has written a line."""
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]
    assert process.stdout.readline()
    process.stdout.close()
    return process  # type: ignore[no-any-return]


def identity(pid: int) -> Process:
    entry = processes.look(pid)
    assert entry is not None
    return entry.process


def named(root: int, name: str) -> list[int]:
    """The pids of what lives of the descendants of a process and has that name (``comm``, proc_pid_comm(5))."""
    found = []
    for pid, _ in processes.descendants([root]):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().rstrip("\n") == name:
                    found.append(pid)
        except OSError:  # gone
            continue
    return found
