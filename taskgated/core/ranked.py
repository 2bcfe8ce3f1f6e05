"""Things in order of a rank that may change, the first of them at hand.

What has left, or has another rank now, stays in the heap until it is on top of it, or until more of it is gone than
there. So a change costs a few steps, however many there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Ranked(Generic[T]):
    """Ranks are compared with each other, and with nothing else; of equal ones the earlier thing comes first."""

    def __init__(self) -> None:
        self._ranks: dict[T, tuple[Any, int]] = {}
        self._heap: list[tuple[Any, int, T]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, thing: T) -> bool:
        return thing in self._ranks

    def __iter__(self) -> Iterator[T]:
        return iter(self._ranks)

    def rank(self, thing: T) -> Any:
        return self._ranks[thing][0]

    def put(self, thing: T, rank: Any) -> None:
        """It is there with that rank, whether it was or not."""
        known = self._ranks.get(thing)
        if known is not None and known[0] == rank:
            return
        self._count += 1
        self._ranks[thing] = (rank, self._count)
        heappush(self._heap, (rank, self._count, thing))
        if len(self._heap) > 2 * len(self._ranks) + 16:
            self._heap = [(ranked, number, thing) for thing, (ranked, number) in self._ranks.items()]
            heapify(self._heap)

    def drop(self, thing: T) -> None:
        """It is not there any more."""
        self._ranks.pop(thing, None)

    @property
    def first(self) -> T | None:
        """None if there is none."""
        while self._heap:
            rank, number, thing = self._heap[0]
            if self._ranks.get(thing) == (rank, number):
                return thing
            heappop(self._heap)
        return None
