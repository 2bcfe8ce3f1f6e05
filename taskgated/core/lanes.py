"""What the gate knows of jobs that it has not seen: which lanes have some, and how early the first of each may be.

A lane that cannot start anything now is *closed*, alone or with its whole queue, and costs nothing until something
changes for its user or its queue. Of those that are open the first is at hand: in each queue it is that with the
least standing, and of all queues the one whose first lane has the earliest job. So no decision looks at all lanes,
however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskgated.core.order import Lane, Rank
from taskgated.core.ranked import Ranked


class Unseen:
    """The lanes that may have jobs in the store of which the gate has not been told. A rank here is never later than
    that of the first of them. ``standing``: in a queue the lane with the least comes first, of equal ones that with
    the earliest job."""

    def __init__(self, lanes: Mapping[Lane, Rank], standing: Callable[[Lane], float] = lambda lane: 0.0) -> None:
        self._standing = standing
        self._heads: dict[Lane, Rank] = {}
        self._lanes: dict[str, Ranked[Lane]] = {}  # the open ones of each queue
        self._queues = Ranked[str]()  # those that are open, by the earliest of their open lanes
        self._closed: set[str] = set()  # queues
        self._shut: dict[int, set[Lane]] = {}  # closed lanes, by their user
        self._asked: dict[Lane, Rank | None] = {}  # under question, with what has come since
        for lane, rank in lanes.items():
            self.note(lane, rank)

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._heads or lane in self._asked

    @property
    def first(self) -> Lane | None:
        """The open lane with the earliest job."""
        queue = self._queues.first
        return None if queue is None else self._lanes[queue].first

    def head(self, lane: Lane) -> Rank | None:
        """How early its first job may be; None if it has none."""
        return self._heads.get(lane)

    def note(self, lane: Lane, rank: Rank) -> None:
        """There is a job of that rank, or there may be one no earlier than that. Its lane and queue are looked at
        again if it may be the first."""
        if lane in self._asked:
            since = self._asked[lane]
            self._asked[lane] = rank if since is None else min(since, rank)
            return
        known = self._heads.get(lane)
        if known is None or rank < known:
            self._heads[lane] = rank
            self._shut.get(lane.owner, set()).discard(lane)
            self._closed.discard(lane.queue)
            self._open(lane)

    def ask(self, lane: Lane) -> None:
        """That lane is under question from now on, and not among the open ones."""
        del self._heads[lane]
        self._asked[lane] = None
        self._leave(lane)

    def answered(self, rest: Mapping[Lane, Rank]) -> None:
        """All that were asked about have these left, and no others, but for what has come since."""
        asked, self._asked = self._asked, {}
        for lane, since in asked.items():
            self.changed(lane.queue, lane.owner)
            ranks = [rank for rank in (rest.get(lane), since) if rank is not None]
            if ranks:
                self.note(lane, min(ranks))

    def stand(self, lane: Lane) -> None:
        """Its standing may be another now."""
        if lane.queue in self._lanes and lane in self._lanes[lane.queue]:
            self._open(lane)

    def stand_anew(self) -> None:
        """The standing of any of them may be another now."""
        for lane in [lane for lanes in self._lanes.values() for lane in lanes]:
            self._open(lane)

    def count(self, queue: str) -> int:
        """How many lanes of a queue are open; 1 at least."""
        return max(1, len(self._lanes.get(queue, ())))

    def close_queue(self, queue: str) -> None:
        """Nothing of it can start before ``changed``."""
        self._closed.add(queue)
        self._queues.drop(queue)

    def close(self, lane: Lane) -> None:
        """Nothing of it can start before ``changed``."""
        self._shut.setdefault(lane.owner, set()).add(lane)
        self._leave(lane)

    def changed(self, queue: str, owner: int) -> None:
        """It may be that more can start now in that queue, or of that user."""
        self.queue_changed(queue)
        for lane in self._shut.pop(owner, ()):
            self._open(lane)

    def queue_changed(self, queue: str) -> None:
        """It may be that more can start now in that queue."""
        if queue in self._closed:
            self._closed.discard(queue)
            self._arrange(queue)

    def reopen(self) -> None:
        """The same of all."""
        closed, self._closed = self._closed, set()
        shut, self._shut = self._shut, {}
        for lane in [lane for lanes in shut.values() for lane in lanes]:
            self._open(lane)
        for queue in closed:
            self._arrange(queue)

    def _open(self, lane: Lane) -> None:
        place = (self._standing(lane), self._heads[lane])
        self._lanes.setdefault(lane.queue, Ranked()).put(lane, place)
        self._arrange(lane.queue)

    def _leave(self, lane: Lane) -> None:
        lanes = self._lanes.get(lane.queue)
        if lanes is not None:
            lanes.drop(lane)
            self._arrange(lane.queue)

    def _arrange(self, queue: str) -> None:
        """A queue stands where the first of its open lanes does."""
        lanes = self._lanes.get(queue)
        first = None if lanes is None else lanes.first
        if lanes is None or first is None:
            self._lanes.pop(queue, None)
            self._queues.drop(queue)
        elif queue not in self._closed:
            self._queues.put(queue, self._heads[first])

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        shut = {lane for lanes in self._shut.values() for lane in lanes}
        opened = {lane for lanes in self._lanes.values() for lane in lanes}
        assert not shut & opened and shut | opened == self._heads.keys(), "a lane is neither open nor closed"
        assert not self._heads.keys() & self._asked.keys()
        for queue, lanes in self._lanes.items():
            first = min(lanes.rank(lane) for lane in lanes)
            assert all(lanes.rank(lane)[1] == self._heads[lane] for lane in lanes)
            assert (queue in self._queues) is (queue not in self._closed)
            if queue in self._queues:
                assert self._queues.rank(queue) == first[1], "a queue stands in another place"
