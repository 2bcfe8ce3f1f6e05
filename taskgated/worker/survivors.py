"""Which workers of this gate have left processes from before, and of what attempts.

The store says which worker runs what, as long as it is the store of these workers. One that was put back from a copy,
or is new, does not know them, and may believe that what they run is still to be started. The kernel knows them, by
their marks (see ``mark``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from taskgated.host import processes
from taskgated.host.clock import boot_id
from taskgated.host.processes import ProcessId
from taskgated.protocol.looking import is_look
from taskgated.protocol.serving import Settings
from taskgated.worker import cgroup, cookie, mark


@dataclass(frozen=True, slots=True)
class Survivor:
    """A worker, dead or alive, of which there are processes: its control group, if that can still be asked for, and
    the attempts (job, number) on which it is seen to be at work."""

    process: ProcessId
    cgroup: str | None
    attempts: frozenset[tuple[int, int]]

    @property
    def looks(self) -> frozenset[tuple[int, int]]:
        """If it is a prober: the keys of what it looks at (``protocol/looking.py``)."""
        return self.attempts if all(map(is_look, self.attempts)) else frozenset()


@dataclass(slots=True)
class _Left:
    """What bears one mark: whether that is of this gate, and the attempts that it says it is of."""

    ours: bool = False
    attempts: set[tuple[int, int]] = field(default_factory=set)


def of(settings: Settings) -> list[Survivor]:
    """Those of this gate. To be asked before there are workers of this daemon. Raises ``OSError`` when that cannot be
    said, for want of descriptors.

    A worker of this gate says so in its command line, and what it started in its environment. What shows neither, and
    has no living worker, is not found; nor is what a worker of version 0.2.0 started, which bears no mark. Processes
    that bear the same mark as this one belong to the worker that started it.
    """
    found: dict[tuple[int, int], _Left] = {}
    above = mark.borne_by(os.getpid())
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            value = mark.borne_by(int(name))
            worker = None if value is None or value == above else mark.bearer(value)
            if worker is not None:
                _note(found.setdefault(worker, _Left()), int(name), worker, settings)
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or it may not be looked into
            continue
    return [_survivor(ProcessId(*worker, boot_id()), left) for worker, left in found.items() if left.ours]


def _note(left: _Left, pid: int, worker: tuple[int, int], settings: Settings) -> None:
    entry = processes.look(pid)
    if entry is None:
        return
    if entry.process == worker:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            left.ours |= os.fsencode(settings.name) in file.readall().split(b"\0")
        return
    with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
        for variable in file.readall().split(b"\0"):
            if said := cookie.read(variable):
                instance, job, attempt = said
                ours = instance == settings.instance.encode()
                left.ours |= ours
                # The instance is another one when the whole directory was put back. But what is further down may also
                # be of a gate that is a job itself.
                if ours or entry.parent == worker[0]:
                    left.attempts.add((job, attempt))


def _survivor(worker: ProcessId, left: _Left) -> Survivor:
    try:
        group = cgroup.of(worker.pid) if worker.alive() else None
    except (FileNotFoundError, ProcessLookupError):
        group = None
    return Survivor(worker, group, frozenset(left.attempts))
