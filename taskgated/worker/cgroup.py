"""A control group for each worker, where one may be made.

The jobs of a worker inherit its group, so it costs nothing per job. What it gives: all processes of an
attempt can be killed in one stroke (``cgroup.kill``, kernel 5.14), however fast they fork and whosever children
they are by now. Everything works without it, too.

Source: Documentation/admin-guide/cgroup-v2.rst, https://systemd.io/CGROUP_DELEGATION/.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from taskgated.host.processes import ProcessId

_PREFIX = "taskgate-worker-"
_SUPERVISOR = "supervisor"
"""Where daemon and worker server are; the same as ``DelegateSubgroup=`` of the unit has."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The group at ``path`` that this worker made for itself, and ``base``, the one that it was started in."""

    path: str
    base: str

    @classmethod
    def create(cls, who: ProcessId) -> Cgroup | None:
        """Make a group and move in; None where that cannot be or is not wanted.

        The name carries the start time: a group may outlive its worker, and a pid comes again.
        """
        base = own()
        path = _path_below(base, who)
        if base is None or path is None:
            return None
        group = cls(path, base)
        try:
            os.mkdir(group.path)
        except OSError:
            return None
        try:
            if os.path.exists(f"{group.path}/cgroup.kill"):
                _move_self(group.path)
                return group
        except OSError:
            pass
        remove(group.path)
        return None

    def kill_others(self) -> bool:
        """Kill all in the group but the worker, which steps out meanwhile. False if that did not work."""
        try:
            _move_self(self.base)
        except OSError:
            return False
        kill(self.path)
        try:
            _move_self(self.path)
        except OSError:
            return False
        return True

    def leave(self) -> None:
        """Move out and remove the group."""
        try:
            _move_self(self.base)
        except OSError:
            return
        remove(self.path)


def path_for(who: ProcessId) -> str | None:
    """The group that a process which this one has forked makes for itself (``Cgroup.create``), if it may."""
    return _path_below(own(), who)


def _path_below(base: str | None, who: ProcessId) -> str | None:
    parent = _divisible(base)
    return None if parent is None else f"{parent}/{_PREFIX}{who.pid}.{who.start}"


def own() -> str | None:
    """The directory of the version 2 group that this process is in; None where it cannot be seen."""
    return of(os.getpid())


def of(pid: int) -> str | None:
    """The same of another process. Raises ``OSError`` when there is none."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        group = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    if group is None:
        return None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, rest = line.partition(" - ")
            if rest.split(" ", 1)[0] != "cgroup2":
                continue
            root, point = (_unescape(field) for field in mount.split(" ")[3:5])
            # In a container the mount may show only the part of the tree below ``root``.
            prefix = root.rstrip("/")
            if group == root or group.startswith(prefix + "/"):
                path = (point + group[len(prefix) :]).rstrip("/")
                if os.path.isdir(path):
                    return path
    return None


def _unescape(field: str) -> str:
    """A field of mountinfo: blanks and backslashes are written in octal (proc_pid_mountinfo(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _divisible(base: str | None) -> str | None:
    """The group that is ours to divide: under systemd the delegated one at or right above ``base``."""
    if base is None or not os.path.isdir("/run/systemd/system"):
        return base
    return next((group for group in (base, os.path.dirname(base)) if _delegated(group)), None)


def _delegated(group: str) -> bool:
    """Whether systemd gave that group away (Delegate=, systemd.resource-control(5)): then it is marked so."""
    try:
        return os.getxattr(group, "user.delegate") == b"1"
    except OSError:
        return False


def of_gate() -> str | None:
    """The group of the whole gate, with all its jobs: that which systemd gave away, or else the one that this process
    is in."""
    try:
        base = own()
    except OSError:
        return None
    return _divisible(base) or base


def step_aside() -> None:
    """Move this process out of the delegated group into one below it, where systemd has not done that already.

    A group that is to be divided must have no process of its own, once a controller is enabled in it ("no
    internal processes"). systemd can do this itself from version 254 on (DelegateSubgroup=).
    """
    base = own()
    if base is None or not os.path.isdir("/run/systemd/system") or not _delegated(base):
        return
    group = f"{base}/{_SUPERVISOR}"
    try:
        os.makedirs(group, exist_ok=True)
        _move_self(group)
    except OSError:
        pass  # the worse for controllers; all else works in the one group, too


def is_ours(path: str) -> bool:
    """Whether ``path`` is a group as ``Cgroup.create`` names it: nothing else may be killed or removed."""
    return os.path.basename(path).startswith(_PREFIX)


def members(path: str) -> list[int]:
    """The processes in the group and in those below it; empty when there is no such group."""
    pids: list[int] = []
    for directory, _, _ in os.walk(path):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                pids += [int(line) for line in file]
        except OSError:
            continue
    return pids


def kill(path: str) -> None:
    """SIGKILL to every process in the group and below it, those just being forked included."""
    try:
        _write(f"{path}/cgroup.kill", "1")
    except OSError:
        pass  # gone already, or not ours: the caller looks at what is left


def remove(path: str) -> bool:
    """Remove the group and those that a job made in it; False as long as a process is in one."""
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def undivide(group: str | None = None) -> None:
    """Take back every controller that was enabled (a job may do that) inside the delegated group.

    While one is enabled no process may enter the group itself, and systemd before 254 starts the next daemon there:
    it would fail with status 219 (CGROUP). Called by the worker server, which outlives the daemon.
    """
    group = group or _divisible(own())
    if group is None or not _delegated(group):
        return
    try:
        with open(f"{group}/cgroup.subtree_control", encoding="ascii") as file:
            controllers = file.read().split()
        for controller in controllers:
            _write(f"{group}/cgroup.subtree_control", f"-{controller}")
    except OSError:
        pass  # a group below still has it enabled for its own: then it is that one's


def remove_stale() -> None:
    """Remove the empty groups of workers that are no more."""
    parent = _divisible(own())
    if parent is None:
        return
    boot = ProcessId.own().boot
    for name in os.listdir(parent):
        pid, _, start = name.removeprefix(_PREFIX).partition(".")
        if not (name.startswith(_PREFIX) and pid.isdecimal() and start.isdecimal()):
            continue
        # One that a worker has just made is still empty: it must not be taken from under it.
        if not ProcessId(int(pid), int(start), boot).alive():
            remove(f"{parent}/{name}")


def _move_self(path: str) -> None:
    _write(f"{path}/cgroup.procs", "0")  # 0: the writer


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
