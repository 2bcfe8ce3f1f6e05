"""Names of one directory that stay where they are, for the status: how many, and since when.

Up to ``KEPT`` of them are known by name, so that each counts once however often it is heard of. Of more only a look
at everything says how many there are; it also finds out which have gone.
"""

from __future__ import annotations

KEPT = 1024


class Tally:
    """``near``: one of the names, and what may be meant as its companion; ``touched``: something may have changed
    since that was last set back."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._more = 0
        self._oldest_of_more: int | None = None
        self._next: Tally | None = None  # what a look at everything that is under way has found until now
        self.near: tuple[bytes, bytes] | None = None
        self.touched = False

    @property
    def count(self) -> int:
        return len(self._known) + self._more

    @property
    def oldest(self) -> int | None:
        """Since when the first of them is there (microseconds since the epoch); None if none is."""
        more = [] if self._oldest_of_more is None else [self._oldest_of_more]
        return min([*more, *self._known.values()], default=None)

    def begin(self) -> None:
        """A look at everything begins."""
        self._next = Tally()

    def end(self) -> None:
        """It is over, if there was one: what it did not find has gone."""
        if (found := self._next) is not None:
            self._known, self._more, self._oldest_of_more = found._known, found._more, found._oldest_of_more
            self.near, self._next, self.touched = found.near, None, True

    def add(self, name: bytes, since: int = 0) -> None:
        self.touched = True
        if self._next is not None:
            self._next._count(name, since)
        if name in self._known or len(self._known) < KEPT:
            self._known[name] = since

    def discard(self, name: bytes) -> None:
        if self._known.pop(name, None) is not None:
            self.touched = True
            if self.near is not None and self.near[0] == name:
                self.near = None
        if self._next is not None:
            self._next.discard(name)

    def is_near(self, name: bytes, beside: bytes) -> None:
        """There is ``beside``, which may be meant as the companion of ``name``."""
        self.near = name, beside
        if self._next is not None:
            self._next.near = self.near

    def _count(self, name: bytes, since: int) -> None:
        if name in self._known or len(self._known) < KEPT:
            self._known[name] = since
        else:
            self._more += 1
            if self._oldest_of_more is None or since < self._oldest_of_more:
                self._oldest_of_more = since
