"""The clocks, and who a process is.

Four clocks, each for one thing (clock_gettime(2)):

- ``wall``: what people and timestamps mean. It can be stepped.
- ``boottime``: seconds since boot, suspend included. It only goes forward; it measures inside one boot.
- ``Steady``: looks like the wall clock but is never stepped within one boot. Delays and back-offs that must
  outlive the process are kept in it.
- ``Uptime``: counts only time that has certainly passed. Ages are kept in it: what is deleted for its age must be
  that old.

Times are integers, microseconds since the epoch; durations are seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MICROSECONDS = 1_000_000
LONGEST_SLEEP = 86400.0
"""Seconds that anybody sleeps in one go: poll(2) and epoll_wait(2) count milliseconds in an int, which ends after 24
days. Whoever wakes up too early finds nothing due, and sleeps on."""


def wall() -> int:
    """Microseconds since the epoch, as the host's wall clock says."""
    return time.time_ns() // 1000


def boottime() -> int:
    """Microseconds since boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def boot_id() -> str:
    """The kernel's id of this boot (random(4), proc(5))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@dataclass(frozen=True, slots=True)
class _Carried:
    """A clock that stood at ``anchor`` when the host booted, carried forward by ``CLOCK_BOOTTIME``.

    The store keeps the anchor with the boot id, so that every daemon of one boot has the same clock, whatever
    happens to the wall clock meanwhile; and how far it has come, for the next boot.
    """

    anchor: int

    def now(self) -> int:
        return self.anchor + boottime()


@dataclass(frozen=True, slots=True)
class Steady(_Carried):
    """A wall clock as it stood at its start. Microseconds since the epoch."""

    @classmethod
    def start(cls, last: int) -> Steady:
        """For a new boot; ``last``: how far the clock of the one before had come at least."""
        return cls(max(wall(), last) - boottime())


@dataclass(frozen=True, slots=True)
class Uptime(_Carried):
    """Microseconds in which this gate, or at least its host, was up. How long a host was off only the wall clock
    could tell, which may be wrong by years, so that time is left out."""

    @classmethod
    def start(cls, last: int) -> Uptime:
        """As of ``Steady``. It goes on from now, not from the boot: who knows when the database came to this host."""
        return cls(last - boottime())


def rfc3339(microseconds: int | None) -> str | None:
    """UTC with microseconds and a ``Z``, as RFC 3339 writes it; None stays None."""
    if microseconds is None:
        return None
    moment = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % MICROSECONDS:06d}Z"


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with boot id and pid it names the process for good.

    Field 22 of ``/proc/PID/stat`` (proc_pid_stat(5)); None when there is no such process, or only a zombie.
    """
    seen = _state_and_start(pid)
    return None if seen is None or seen[0] in (b"Z", b"X") else seen[1]


def _state_and_start(pid: int) -> tuple[bytes, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the command in field 2 may hold blanks and brackets
    return fields[0], int(fields[19])


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good: a pid alone is reused."""

    pid: int
    start: int
    boot: str

    @classmethod
    def own(cls) -> ProcessId:
        pid = os.getpid()
        return cls(pid, start_time(pid) or 0, boot_id())

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Who has that pid now, be it only a zombie that its parent has not collected; None if nobody has."""
        seen = _state_and_start(pid)
        return None if seen is None else cls(pid, seen[1], boot_id())

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> ProcessId:
        """Raises ``ValueError`` when ``data`` does not say who a process is."""
        match data:
            case {"pid": int(pid), "start": int(start), "boot": str(boot)}:
                return cls(pid, start, boot)
        raise ValueError(f"not a process: {dict(data)!r}")

    def to_json(self) -> dict[str, int | str]:
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return self.boot == boot_id() and start_time(self.pid) == self.start
