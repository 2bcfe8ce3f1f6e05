"""Finding and killing processes so that none is left.

A process that forks while it is being looked for escapes a simple "list, then kill". So: stop what is
found, look again until nothing new turns up, and only then kill. And as a pid may belong to another
process by the time of the signal, every process is named by pid and start time and is signalled through a
descriptor (pidfd_open(2)).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Set
from typing import NamedTuple

from taskgated.clock import ProcessId
from taskgated.worker import cgroup, mark

# A fork bomb can keep up with us for long; who calls comes back anyway until nothing is left.
_ROUNDS = 25


_CONDITIONS = {
    b"D": "it waits for a device or a file system",
    b"T": "it is stopped",
    b"t": "it is stopped by a debugger",
}


class Process(NamedTuple):
    """One process for good, within this boot: ``start`` in clock ticks since boot."""

    pid: int
    start: int


class Entry(NamedTuple):
    """What the kernel says of a process: its parent's pid and its state, a letter of proc_pid_stat(5)."""

    process: Process
    parent: int
    state: bytes


def look(pid: int) -> Entry | None:
    """What there is to say of a process; None if it does not live.

    A zombie does not, unless only its first thread has ended.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    state, threads = fields[0], int(fields[17])
    if state in b"ZX" and threads <= 1:
        return None
    return Entry(Process(pid, int(fields[19])), int(fields[1]), state)


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


def bearers(cookie: bytes | None, worker_mark: int) -> set[Process]:
    """The processes that bear that mark (see ``mark``), or were started with ``cookie``, a whole ``NAME=value``, in
    their environment: what a worker of version 0.2.0 or older started bears no mark."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal() and (entry := look(int(name))):
            try:
                if mark.borne_by(int(name)) == worker_mark or (cookie is not None and _started_with(name, cookie)):
                    found.add(entry.process)
            except OSError:  # gone, or may not be looked into
                continue
    return found


def _started_with(pid: str, cookie: bytes) -> bool:
    with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
        return cookie in file.readall().split(b"\0")


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


def lives(process: Process, states: bytes | None = None) -> bool:
    """Whether that very process lives, and is in one of ``states``."""
    entry = look(process.pid)
    return entry is not None and entry.process == process and (states is None or entry.state in states)


def kill_descendants() -> set[Process]:
    """Kill all that descends from this process; call again until waitpid(2) says that there is no child."""
    return kill_all(lambda: descendants([os.getpid()]))


class Burial:
    """Gets rid of a worker of this boot and of all that is left of its attempt, step by step.

    Looks in every way that there is: by descent from the worker while it lives, among the orphans that
    its death left to this process (``orphans`` gives the pids of our children that are no workers), by the
    worker's control group, by its mark, and by the attempt's cookie in the environment. Mark and cookie are
    all that remains if the server of that worker died as well and there is no group.

    An orphan does not say whose it was. Those ``of_others`` were there long before this worker died.
    """

    def __init__(
        self,
        worker: ProcessId,
        group: str | None,
        cookie: bytes | None,
        orphans: Callable[[], list[int]],
        of_others: Set[Process] = frozenset(),
    ) -> None:
        self.worker = worker
        self._of_others = of_others
        self._group = group if group is not None and cgroup.is_ours(group) else None
        self._cookie = cookie
        self._orphans = orphans
        self._mark = mark.of(worker)
        self._killed: set[Process] = set()
        self.left: Set[Process] = frozenset()  # what the last step found
        self.told: list[str] = []  # of that, what its daemon has been told

    @property
    def killed(self) -> Set[Process]:
        """What had to be killed so far, the worker included."""
        return self._killed

    def step(self) -> bool:
        """Kill what there is; True when nothing is left. Never waits; the caller reaps between the steps."""
        # The worker goes first: it would see its job end by the group's kill, and report that.
        if self._group is not None and not self.worker.alive():
            entries = map(look, cgroup.members(self._group))
            self._killed |= {entry.process for entry in entries if entry}
            cgroup.kill(self._group)
        marked = bearers(self._cookie, self._mark)
        self.left = found = kill_all(lambda: self._find(marked))
        self._killed |= found
        # Our own list of children is complete (see ``children``): without an orphan in it there is none.
        if found or self._ours():
            return False
        return self._group is None or cgroup.remove(self._group)

    def _find(self, marked: set[Process]) -> set[Process]:
        known = {Process(self.worker.pid, self.worker.start), *marked}
        roots = {process for process in known if process.pid != os.getpid() and lives(process)}
        roots |= {entry.process for pid in self._ours() if (entry := look(pid))}
        return roots | descendants(process.pid for process in roots)

    def _ours(self) -> list[int]:
        """The orphans that may be of this worker, zombies included: they could have left children to us unseen."""
        others = {process.pid for process in self._of_others if lives(process)}
        return [pid for pid in self._orphans() if pid not in others]
