"""Names in trouble: each is told of once, and tried again after pauses that grow with its trouble."""

from __future__ import annotations

import time

FIRST = 1.0
MOST = 60.0
"""Seconds until something is tried again: at first, and at most; in between as long as the trouble has lasted."""
LIMIT = 4096
"""Names remembered; of more than these in trouble at once nothing is told."""
STALE = 4 * 3600.0
"""Seconds after which a name that was not met again is forgotten when there are too many."""

Key = tuple[str, bytes]


class Troubled:
    """Since when names are in trouble. Memory is bounded, and so is what is told."""

    def __init__(self) -> None:
        self._names: dict[Key, tuple[float, float]] = {}  # since when, and when it was met last

    def news(self, key: Key) -> bool:
        """Whether this trouble was not met before; from now on it was."""
        now = time.monotonic()
        if known := self._names.get(key):
            self._names[key] = (known[0], now)
            return False
        if len(self._names) >= LIMIT:
            self._names = {name: met for name, met in self._names.items() if now - met[1] < STALE}
        if len(self._names) >= LIMIT:
            return False
        self._names[key] = (now, now)
        return True

    def pause(self, key: Key) -> float:
        """In how many seconds to try again."""
        known = self._names.get(key)
        return MOST if known is None else min(MOST, max(FIRST, time.monotonic() - known[0]))

    def over(self, key: Key) -> None:
        """If it comes again, it is news."""
        self._names.pop(key, None)
