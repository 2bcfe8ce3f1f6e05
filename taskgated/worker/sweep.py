"""Getting rid of workers, and of all that they leave, so that no process is left.

How processes are found and killed at all is said in ``host.processes``; here is whose they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Set

from taskgated.host.processes import Process, ProcessId, descendants, kill_all, lives, look
from taskgated.worker import cgroup, mark


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
        known = {self.worker.process, *marked}
        roots = {process for process in known if process.pid != os.getpid() and lives(process)}
        roots |= {entry.process for pid in self._ours() if (entry := look(pid))}
        return roots | descendants(process.pid for process in roots)

    def _ours(self) -> list[int]:
        """The orphans that may be of this worker, zombies included: they could have left children to us unseen."""
        others = {process.pid for process in self._of_others if lives(process)}
        return [pid for pid in self._orphans() if pid not in others]
