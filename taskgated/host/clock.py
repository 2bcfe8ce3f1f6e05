"""The clocks.

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

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import overload

MICROSECONDS = 1_000_000
LONGEST_SLEEP = 86400.0
"""Seconds of sleep in one go: poll(2) and epoll_wait(2) count milliseconds in an int, which ends after 24 days. A
loop that wakes up too early finds nothing due, and sleeps on."""
WALL_CHECK = 30.0
"""Seconds between looks at the wall clock while something waits for its time: it may be stepped, and the timers of
the loop stand still while the host is suspended."""


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

    def since_boot(self, moment: int) -> int:
        """When it is that moment by this clock: microseconds since boot."""
        return moment - self.anchor

    def until(self, moment: int | None) -> float:
        """Seconds until a moment by this clock; infinity where there is none."""
        return inf if moment is None else (moment - self.now()) / MICROSECONDS


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


@overload
def rfc3339(microseconds: int) -> str: ...
@overload
def rfc3339(microseconds: None) -> None: ...
@overload
def rfc3339(microseconds: int | None) -> str | None: ...
def rfc3339(microseconds: int | None) -> str | None:
    """UTC with microseconds and a ``Z``, as RFC 3339 writes it; None stays None."""
    if microseconds is None:
        return None
    moment = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % MICROSECONDS:06d}Z"


def local(microseconds: int) -> str:
    """For people, to the second and in the time zone of the host: ``Mon 2026-11-30 22:00:00 CET``."""
    return time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(microseconds // MICROSECONDS))
