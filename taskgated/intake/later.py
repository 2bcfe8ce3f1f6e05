"""Names to look at again after a while, and for how long what they name has not changed.

Memory is bounded: when there are too many such names, a look at all names of the directory stands for the rest.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

GIVEN = 1.0
"""Seconds until a name that ``due`` has given comes again, if nothing else is said of it."""

FAR = 60.0
"""Seconds by which a name has to come sooner than another to take its place. Else each file that rests for a moment
beside many that wait for their companions would have all of them looked at again."""


@dataclass(slots=True)
class _Memory:
    signature: tuple[int, int, int, int]
    since: float
    due: float
    first: float


@dataclass(slots=True)
class Later:
    """Names to look at again, and how they looked; beyond ``limit``, ``due`` asks for a look at all names."""

    limit: int = 4096
    _names: dict[bytes, _Memory] = field(default_factory=dict)
    _overflow: float | None = None

    def unchanged(self, name: bytes, stat: os.stat_result) -> float:
        """For how many seconds the file has looked like this whenever it was looked at."""
        now = time.monotonic()
        signature = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        memory = self._names.get(name)
        if memory is None or memory.signature != signature:
            same = memory is not None and memory.signature[0] in (0, stat.st_ino)
            self._names[name] = _Memory(signature, now, now, memory.first if memory is not None and same else now)
            return 0.0
        return now - memory.since

    def known(self, name: bytes) -> float:
        """For how many seconds the name has been waiting; 0 if it does not."""
        memory = self._names.get(name)
        return 0.0 if memory is None else time.monotonic() - memory.first

    def again(self, name: bytes, seconds: float) -> None:
        """Look at the name again in so many seconds."""
        due = time.monotonic() + seconds
        memory = self._names.get(name)
        if memory is None:
            memory = self._names[name] = _Memory((0, 0, 0, 0), due, due, due - seconds)
        memory.due = due
        if len(self._names) > self.limit:
            oldest = next(iter(self._names))
            gone = self._names.pop(oldest if self._names[oldest].due > due + FAR else name)
            self._overflow = min(self._overflow or gone.due, gone.due)

    def forget(self, name: bytes) -> None:
        self._names.pop(name, None)

    def due(self, most: int | None = None) -> tuple[list[bytes], bool]:
        """Names whose time has come, at most ``most``, and whether there are some that were forgotten. A name that is
        neither put off nor forgotten after that comes again in ``GIVEN`` seconds."""
        now = time.monotonic()
        names = [name for name, memory in self._names.items() if memory.due <= now][:most]
        for name in names:
            self._names[name].due = now + GIVEN
        overflow = self._overflow is not None and self._overflow <= now
        if overflow:
            self._overflow = None
        return names, overflow

    def next(self) -> float:
        """When ``due`` has something to say (monotonic clock); infinity if never."""
        first = min((memory.due for memory in self._names.values()), default=float("inf"))
        return first if self._overflow is None else min(first, self._overflow)
