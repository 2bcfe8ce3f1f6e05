"""Processes and threads as the kernel shows them; any of them may be gone at any moment."""

from __future__ import annotations

import os
from pathlib import Path


def threads(pid: int) -> list[int]:
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def traced(pid: int) -> bool:
    """Whether a thread has a tracer, or is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    return "\nTracerPid:\t0\n" not in status


def gone(pid: int) -> bool:
    """Whether a process is dead, be it reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def signal_to(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
