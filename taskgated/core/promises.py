"""Who comes first to what is short: so that nobody starves who needs much.

A job that finds too little of a named capacity waits for it (it is *parked* in the store), and what there is of it is
promised to the best of those that wait: a job that comes after that one, in the order of the gate, does not take it.
So a waiting writer is not overtaken by readers, nor one that needs three tokens by those that need one. Nothing is
promised while the lane of who waits is closed or full, nor to a job that needs more than there is.

A job that needs several may find the second taken whenever the first is free. The best of the jobs to which that has
happened, the *senior*, is promised as much as it needs of all that it needs by name, until it starts. As promised
things are taken by nobody who comes later, and each is given back by who has it now, it starts in the end; then there
is another senior. So the job that is first in the order of all waits until what runs has ended, and where it needs
several things once more at most, as long as its lane is open and the gate goes on. A job that could not start at all,
as it needs more of something than there is, is not the senior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from taskgated.core.named import Named, Needs
from taskgated.core.order import Lane, Rank


@dataclass(frozen=True, slots=True)
class Waiter:
    """A job that waits. ``needed``: how much of what it waits for."""

    id: int
    rank: Rank
    lane: Lane
    needed: int


class Promises:
    """``open``: whether a lane could start a job now, so that a promise to one of its jobs holds. ``asked``: whether
    the store is asked who is the first for something; until it has said so nobody passes by the one that was."""

    def __init__(self, open: Callable[[Lane], bool] = lambda lane: True) -> None:
        self.open = open
        self.asked: Callable[[Named], bool] = lambda capacity: False
        self._first: dict[Named, Waiter] = {}
        self._first_for: dict[int, dict[Named, None]] = {}  # the same by job
        self._senior: tuple[Waiter, Mapping[Named, int]] | None = None

    # -- what happens ----------------------------------------------------------------------------

    def parked(self, capacity: Named, waiter: Waiter, needs: Needs, *, again: bool) -> list[Named]:
        """A job waits for that; ``again``: it has waited for something else before. Returns what was promised to
        another as the senior, if that is this one now."""
        first = self._first.get(capacity)
        if first is None or waiter.rank < first.rank:
            self.first_is(capacity, waiter)
        if not again or (self._senior is not None and self._senior[0].rank <= waiter.rank):
            return []
        promised = [] if self._senior is None else self.settled(self._senior[0].id)
        self._senior = waiter, dict(needs)
        return promised

    def first_is(self, capacity: Named, waiter: Waiter | None) -> None:
        """The best of those that wait for it now."""
        if (before := self._first.pop(capacity, None)) is not None:
            del self._first_for[before.id][capacity]
            if not self._first_for[before.id]:
                del self._first_for[before.id]
        if waiter is not None:
            self._first[capacity] = waiter
            self._first_for.setdefault(waiter.id, {})[capacity] = None

    def settled(self, job: int) -> list[Named]:
        """That job has started, or will not. Returns what was promised to it, if it was the senior."""
        if self._senior is None or self._senior[0].id != job:
            return []
        promised = list(self._senior[1])
        self._senior = None
        return promised

    def void(self, total: Callable[[Named], int]) -> list[Named]:
        """There may be less of something: if the senior needs more than there is, it is that no more. Returns what
        was promised to it then."""
        if self._senior is None or all(needed <= total(capacity) for capacity, needed in self._senior[1].items()):
            return []
        return self.settled(self._senior[0].id)

    # -- what follows ----------------------------------------------------------------------------

    def first(self, capacity: Named) -> Waiter | None:
        return self._first.get(capacity)

    def first_for(self, job: int) -> list[Named]:
        """Of what that job is the first that waits."""
        return list(self._first_for.get(job, ()))

    def of_lane(self, queue: str, owner: str, among: Iterable[Named]) -> list[Named]:
        """Which of these are promised to jobs of that queue, or of that user; and what is to the senior, if it is
        such a job."""

        def concerned(waiter: Waiter) -> bool:
            return queue == waiter.lane.queue or owner == waiter.lane.owner

        firsts = ((capacity, self._first.get(capacity)) for capacity in among)
        found = [capacity for capacity, first in firsts if first is not None and concerned(first)]
        if self._senior is not None and concerned(self._senior[0]):
            found += self._senior[1]
        return found

    def all(self) -> Iterator[tuple[Named, Waiter, int, bool]]:
        """What is promised to whom, and how much of it that one needs; whether as to the senior."""
        for capacity, first in self._first.items():
            yield capacity, first, first.needed, False
        if self._senior is not None:
            waiter, needs = self._senior
            for capacity, needed in needs.items():
                yield capacity, waiter, needed, True

    def put(self, promised: Iterable[tuple[Named, Waiter, bool]]) -> None:
        """These hold, and no others; as ``all`` has them, but for that ``Waiter.needed`` is of that capacity."""
        promised = list(promised)
        self._first, self._first_for = {}, {}
        for capacity, waiter, senior in promised:
            if not senior:
                self.first_is(capacity, waiter)
        needs = {capacity: waiter.needed for capacity, waiter, senior in promised if senior}
        seniors = [waiter for _, waiter, senior in promised if senior]
        self._senior = (seniors[0], needs) if seniors else None

    @property
    def awaited(self) -> list[Named]:
        """What jobs are known to wait for."""
        return list(self._first)

    def before(self, capacity: Named, job: int, rank: Rank, left: int) -> int | None:
        """The job that this is promised to, and that comes before this one; None if there is none, or if so much is
        ``left``, once this one has its part, that it is enough for the senior."""
        first = self._first.get(capacity)
        before = first is not None and first.id != job and first.rank < rank
        if first is not None and before and (self.open(first.lane) or self.asked(capacity)):
            return first.id
        if self._senior is not None:
            waiter, needs = self._senior
            needed = needs.get(capacity, 0)
            if waiter.id != job and waiter.rank < rank and needed > max(0, left) and self.open(waiter.lane):
                return waiter.id
        return None
