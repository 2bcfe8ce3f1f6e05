"""Processes: each named for good, found, and killed so that none is left. The one place that reads what the kernel
says of them.

A process that forks while it is being looked for escapes a simple "list, then kill". So: stop what is
found, look again until nothing new turns up, and only then kill. And as a pid may belong to another
process by the time of the signal, every process is named by pid and start time and is signalled through a
descriptor (pidfd_open(2)).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from taskgated.host.clock import boot_id

# A fork bomb can keep up with us for long; callers come back anyway until nothing is left.
_ROUNDS = 25

_CONDITIONS = {
    b"D": "it waits for a device or a file system",
    b"T": "it is stopped",
    b"t": "it is stopped by a debugger",
}


class Process(NamedTuple):
    """One process for good, within this boot: ``start`` in clock ticks since boot.

    A ``ProcessId`` without its boot, which is that of every process that can be seen: a search through thousands of
    them need not ask for it, nor compare it.
    """

    pid: int
    start: int


class Entry(NamedTuple):
    """What the kernel says of a process: its parent's pid, its state, a letter of proc_pid_stat(5), and how many
    threads it has."""

    process: Process
    parent: int
    state: bytes
    threads: int


def look(pid: int) -> Entry | None:
    """What there is to say of a process; None if it does not live.

    A zombie does not, unless only its first thread has ended.
    """
    seen = _stat(pid)
    if seen is None or (seen.state in b"ZX" and seen.threads <= 1):
        return None
    return seen


def lives(process: Process, states: bytes | None = None) -> bool:
    """Whether that very process lives, and is in one of ``states``."""
    entry = look(process.pid)
    return entry is not None and entry.process == process and (states is None or entry.state in states)


def _stat(pid: int) -> Entry | None:
    """``/proc/PID/stat`` (proc_pid_stat(5)), also of a zombie; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the command in field 2 may hold blanks and brackets
    return Entry(Process(pid, int(fields[19])), int(fields[1]), fields[0], int(fields[17]))


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when none with that pid lives."""
    entry = look(pid)
    return None if entry is None else entry.process.start


def children(pid: int) -> list[int]:
    """The children of a process, zombies included; empty if there is no such process.

    proc_pid_task(5) warns that a list may lack some while others are being reaped. So it is complete for
    the calling process, which reaps none meanwhile, and for a stopped one: a new child, one adopted from a
    dying process as well, comes at its end.
    """
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += [int(child) for child in file.readall().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(roots: Iterable[int]) -> set[Process]:
    """All that live of the children, children's children and so on of ``roots``, without the roots."""
    found: set[Process] = set()
    ahead = list(roots)
    while ahead:
        parent = ahead.pop()
        for child in children(parent):
            entry = look(child)
            # With another parent it is another process by now, or will be found with that one.
            if entry and entry.parent == parent and entry.process not in found:
                found.add(entry.process)
                ahead.append(child)
    return found


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good, also after the host was started again."""

    pid: int
    start: int
    boot: str

    @classmethod
    def own(cls) -> ProcessId:
        pid = os.getpid()
        return cls(pid, start_time(pid) or 0, boot_id())

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has that pid now, if only a zombie that its parent has not collected; None: none has."""
        seen = _stat(pid)
        return None if seen is None else cls(pid, seen.process.start, boot_id())

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> ProcessId:
        """Raises ``ValueError`` when ``data`` names no process."""
        match data:
            case {"pid": int(pid), "start": int(start), "boot": str(boot)}:
                return cls(pid, start, boot)
        raise ValueError(f"not a process: {dict(data)!r}")

    @property
    def process(self) -> Process:
        """The same within its boot."""
        return Process(self.pid, self.start)

    def to_json(self) -> dict[str, int | str]:
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    def alive(self) -> bool:
        """Whether that very process still lives (a zombie does not)."""
        return self.boot == boot_id() and lives(self.process)


# -- signals -------------------------------------------------------------------------------------


def send(process: Process, number: int) -> None:
    """Signal exactly that process; if it is gone, or not ours to signal, nothing happens."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        # The descriptor is held first: if the start time still fits, it is that process' descriptor.
        if lives(process):
            signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def describe(process: Process) -> str:
    """A process that has been killed and lives on, with why that may be. Without its name: these words are for
    everybody who may ask for the status, and a job chooses its processes' names."""
    why = condition(process.pid)
    try:
        os.kill(process.pid, 0)
    except PermissionError:
        why = "it is another user's"
    except ProcessLookupError:
        pass
    return f"{process.pid} ({why})" if why else str(process.pid)


def condition(pid: int) -> str:
    """What keeps a process from doing anything, in words; empty if nothing does, as far as can be seen."""
    entry = look(pid)
    return "" if entry is None else _CONDITIONS.get(entry.state, "")


def kill_all(find: Callable[[], set[Process]]) -> set[Process]:
    """Stop, then kill, what ``find`` sees, until it sees nothing new. Returns what was killed.

    It may not be gone yet when this returns, and what the last round did not see is left. So call again
    until nothing is found.
    """
    stopped: set[Process] = set()
    for _ in range(_ROUNDS):
        new = find() - stopped
        for process in new:
            send(process, signal.SIGSTOP)
        # One that has not stopped yet may be in the middle of a fork.
        if not new and not any(lives(process, b"RS") for process in stopped):
            break
        stopped |= new
    for process in stopped:
        send(process, signal.SIGKILL)
    return stopped


def kill_descendants() -> set[Process]:
    """Kill all that descends from this process; call again until waitpid(2) says that there is no child."""
    return kill_all(lambda: descendants([os.getpid()]))
