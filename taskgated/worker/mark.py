"""A mark that every process of a worker bears, whatever becomes of it: a resource limit that nobody needs.

What a job starts may drop its environment, leave its session, be another user's (set-user-ID), or not let itself be
looked into (prctl(2), PR_SET_DUMPABLE: a program that may be run but not read, or ssh-agent(1)). When its worker and
the worker server are dead, and there is no control group, nothing of that tells whose it is. Resource limits do: they
are inherited over fork(2) and execve(2), only privilege can raise them again (setrlimit(2)), and the kernel shows
them to everybody (proc_pid_limits(5)).

The limit is RLIMIT_RTTIME: how long a process with a real-time schedule may compute without a pause. The mark is
more than a hundred thousand years of that; its lower digits name the worker, by pid and start time. The worker sets
it before it runs anything, so there is no moment in which a process of an attempt does not bear it.
"""

from __future__ import annotations

import resource

from taskgated.host.processes import ProcessId

_LEAST = 1 << 62
_START_BITS = 40  # of clock ticks since boot; a pid has at most 22 (proc_sys_kernel(5), pid_max)
_LINE = b"Max realtime timeout"


def of(worker: ProcessId) -> int:
    """The mark of what that worker runs; within one boot no other worker has it."""
    return _LEAST | worker.pid << _START_BITS | worker.start & ((1 << _START_BITS) - 1)


def bearer(value: int) -> tuple[int, int] | None:
    """Pid and start time of the worker whose mark that is; None if it is none."""
    if not _LEAST <= value < 2 * _LEAST:
        return None
    return (value & (_LEAST - 1)) >> _START_BITS, value & ((1 << _START_BITS) - 1)


def bear(worker: ProcessId) -> None:
    """Mark this process and all that it will start. Where the limit is lower already, everything works without."""
    value = of(worker)
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (value, value))
    except (OSError, ValueError):
        pass


def borne_by(pid: int) -> int | None:
    """The hard limit of a process; None if it has none. Raises ``OSError`` when there is no such process."""
    with open(f"/proc/{pid}/limits", "rb", buffering=0) as file:
        for line in file.readall().splitlines():
            if line.startswith(_LINE):
                hard = line.removeprefix(_LINE).split()[1]
                return int(hard) if hard.isdigit() else None
    return None
