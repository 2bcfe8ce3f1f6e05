"""What was heard of: names worth a look. The observer thread says them, the intake thread takes them.

Events are hints and a rescan is the truth: whatever is lost, late or too much ends as "look at everything".
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from taskgated.language.names import hidden

HINTS = 4096
"""Names remembered for one directory; one more, and the whole directory is to be looked at instead."""


class Hints:
    """Names worth a look, by directory: thread-safe, bounded, each name once, in order of first mention."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._names: dict[bytes, dict[bytes, bool]] = {}  # and whether it was renamed to that, when said last
        self._everything: set[bytes] = set()
        self._gone: set[bytes] = set()

    def names(self, key: bytes, names: tuple[bytes, ...], renamed: frozenset[bytes] = frozenset()) -> None:
        """``renamed``: those that came by rename; what is behind the others was made where it is."""
        worth = {name: name in renamed for name in names if not hidden(name)}
        if not worth:
            return
        with self._lock:
            if key in self._everything:
                return
            known = self._names.setdefault(key, {})
            known.update(worth)
            if len(known) > HINTS:
                del self._names[key]
                self._everything.add(key)
        self._wake()

    def everything(self, key: bytes) -> None:
        with self._lock:
            self._names.pop(key, None)
            self._everything.add(key)
        self._wake()

    def gone(self, key: bytes) -> None:
        with self._lock:
            self._gone.add(key)
        self._wake()

    def take(self, key: bytes) -> tuple[list[bytes], bool]:
        """The names said since the last call, and whether everything is to be looked at."""
        names, everything = self.heard(key)
        return list(names), everything

    def heard(self, key: bytes) -> tuple[dict[bytes, bool], bool]:
        """The same, and of each name whether it was renamed to that."""
        with self._lock:
            names = self._names.pop(key, {})
            everything = key in self._everything
            self._everything.discard(key)
        return names, everything

    def take_gone(self) -> set[bytes]:
        """Directories that are no longer where they were."""
        with self._lock:
            gone, self._gone = self._gone, set()
        return gone

    def pending(self, key: bytes) -> bool:
        return key in self._names or key in self._everything
