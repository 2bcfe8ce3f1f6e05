"""How much the machine has to do: load, available memory, and pressure stall information.

Sources: proc_loadavg(5), proc_meminfo(5), and of the kernel Documentation/accounting/psi.rst and
Documentation/admin-guide/cgroup-v2.rst. All of it is read from files that the kernel writes when they are read; in a
container some of them may be those of lxcfs(1), a process, which may hang. So they are read on a thread that nobody
waits for.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from taskgated.core.machine import Figure, Whose
from taskgated.text import printable

T = TypeVar("T")

PROC = Path("/proc")
_RESOURCES = {Figure.CPU_PRESSURE: "cpu", Figure.MEMORY_PRESSURE: "memory", Figure.IO_PRESSURE: "io"}
_LARGEST = 64 * 1024
"""Bytes of such a file that are read; none has as many."""
_OFF = "this kernel has no pressure stall information; it may need psi=1 on its command line"
_NO_GROUP = "the control group of the gate (version 2) cannot be seen"

Wanted = tuple[Figure, Whose]
"""A figure, and whose it is: only pressures are of a control group."""


class _Lacking(Exception):
    """Why there is no such figure."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``figures``: what could be read; ``lacking``: why the others could not, in words."""

    figures: Mapping[Wanted, float] = field(default_factory=dict)
    lacking: Mapping[Wanted, str] = field(default_factory=dict)


def read(wanted: Iterable[Wanted], group: str | None = None, proc: Path = PROC) -> Reading:
    """``group``: the directory of the control group of the gate. Raises nothing; it may hang."""
    figures: dict[Wanted, float] = {}
    lacking: dict[Wanted, str] = {}
    for figure, whose in dict.fromkeys(wanted):
        try:
            figures[figure, whose] = _figure(figure, whose, group, proc)
        except _Lacking as error:
            lacking[figure, whose] = str(error)
    return Reading(figures, lacking)


def total_memory(proc: Path = PROC) -> int | None:
    """Bytes that the machine has; None where that is not known."""
    try:
        return _meminfo("MemTotal", proc)
    except _Lacking:
        return None


def _figure(figure: Figure, whose: Whose, group: str | None, proc: Path) -> float:
    match figure:
        case Figure.LOAD:
            return _parsed(proc / "loadavg", lambda text: float(text.split()[0]))
        case Figure.MEMORY:
            return min([_meminfo("MemAvailable", proc), *_of_groups(group)])
    resource = _RESOURCES[figure]
    if whose is Whose.HOST:
        return _stalled(proc / "pressure" / resource)
    if group is None:
        raise _Lacking(_NO_GROUP)
    return _stalled(Path(group) / f"{resource}.pressure")


def _stalled(path: Path) -> float:
    def some(text: str) -> float:
        words = next(line.split() for line in text.splitlines() if line.startswith("some "))
        return float(next(word for word in words if word.startswith("avg10=")).removeprefix("avg10="))

    return _parsed(path, some)


def _meminfo(name: str, proc: Path) -> int:
    def kibibytes(text: str) -> int:
        return 1024 * int(next(line for line in text.splitlines() if line.startswith(f"{name}:")).split()[1])

    return _parsed(proc / "meminfo", kibibytes)


def _of_groups(group: str | None) -> Iterable[float]:
    """What that group, and each above it, has left of its ``memory.max``. What it has in files that nobody has used
    lately can be had at once, so it counts as available, as it does in MemAvailable."""
    directory = Path(group) if group else None
    while directory is not None and (directory / "cgroup.controllers").exists():
        try:
            bound = _parsed(directory / "memory.max", lambda text: None if text.strip() == "max" else int(text))
            if bound is not None:
                used = _parsed(directory / "memory.current", int)
                yield float(max(0, bound - used + _inactive(directory)))
        except _Lacking:
            pass  # the group at the top has no such bound, nor has one without the controller
        directory = directory.parent if directory != directory.parent else None


def _inactive(directory: Path) -> int:
    def file(text: str) -> int:
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("inactive_file "))

    try:
        return _parsed(directory / "memory.stat", file)
    except _Lacking:
        return 0


def _parsed(path: Path, parse: Callable[[str], T]) -> T:
    """What ``parse`` makes of the text of a file. Raises ``_Lacking``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, _LARGEST).decode("ascii", "replace")
        finally:
            os.close(fd)
    except OSError as error:
        # Switched off there are no such files; kernels that make them all the same cannot read them.
        off = error.errno in (errno.ENOENT, errno.EOPNOTSUPP) and "pressure" in str(path)
        raise _Lacking(_OFF if off else f"{path} cannot be read: {error.strerror}") from None
    try:
        value = parse(text)
    except (ValueError, IndexError, StopIteration):
        raise _Lacking(f"{path} cannot be understood: {printable(text[:40])!r}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _Lacking(f"{path} cannot be understood: {printable(text[:40])!r}")
    return value
