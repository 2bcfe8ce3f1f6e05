"""What the gate knows of jobs that it has not seen: which lanes have some, and how early the first of each may be.

A lane that cannot start anything now is *closed*, alone or with its whole queue, and costs nothing until something
changes for its user or its queue. Of those that are open the first is at hand: in each queue it is that with the
least standing, and of all queues the one whose first lane has the earliest job. So no decision looks at all lanes,
however many there are.

A user who has no room may have lanes in many queues. What keeps one of them keeps all whose jobs are later. So when
there may be room, only the first of them is open again, and *leads*: the next one is when that has been asked for, or
is kept by something of its own. In queues that are shared fairly the earliest is not the next, and all are looked at.

Where order is strict, a lane that is closed keeps all that come after its first job. So that this is not one that is
gone, the store is asked which it is before the lane is closed, and once more when it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskgated.core.order import FIRST, Lane, Rank
from taskgated.core.ranked import Ranked


class Unseen:
    """The lanes that may have jobs in the store of which the gate has not been told. A rank here is never later than
    that of the first of them. ``standing``: in a queue the lane with the least comes first, of equal ones that with
    the earliest job. ``fair``: whether that may differ in a queue."""

    def __init__(
        self,
        lanes: Mapping[Lane, Rank],
        standing: Callable[[Lane], float] = lambda lane: 0.0,
        fair: Callable[[str], bool] = lambda queue: False,
    ) -> None:
        self._standing = standing
        self._fair = fair
        self._heads: dict[Lane, Rank] = {}
        self._sure: dict[int, Lane] = {}  # by their first job: lanes of which the store has said that it is
        self._lanes: dict[str, Ranked[Lane]] = {}  # the open ones of each queue
        self._queues = Ranked[str]()  # those that are open, by the earliest of their open lanes
        self._closed: set[str] = set()  # queues
        self._alone: set[Lane] = set()  # closed lanes that have no room themselves
        self._shut: dict[str, Ranked[Lane]] = {}  # those whose user has none, by the user
        self._apart: dict[str, set[Lane]] = {}  # the same of fair queues
        self._kept: dict[str, Ranked[Lane]] = {}  # all of these, by their queue
        self._leads: dict[str, set[Lane]] = {}  # open lanes that lead, by their queue
        self._asked: dict[Lane, Rank | None] = {}  # under question, with what has come since
        self._asking: dict[Lane, Rank] = {}  # those again, with how early the first job may be
        for lane, rank in lanes.items():
            self.note(lane, rank)

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._heads or lane in self._asked

    @property
    def first(self) -> Lane | None:
        """The open lane with the earliest job."""
        queue = self._queues.first
        return None if queue is None else self._lanes[queue].first

    def first_of(self, queue: str) -> Lane | None:
        """The open lane of a queue that comes first there; None if it is closed, or has none."""
        return self._lanes[queue].first if queue in self._queues else None

    def head(self, lane: Lane) -> Rank | None:
        """How early its first job may be; None if it has none."""
        return self._heads.get(lane)

    def kept(self, queue: str) -> Rank | None:
        """How early the first job of a queue may be whose lane is closed alone; None if there is none."""
        lanes = self._kept.get(queue)
        first = None if lanes is None else lanes.first
        return None if first is None else self._heads[first]

    def earliest(self, queue: str) -> Rank | None:
        """How early the first unseen job of a queue may be that has no standing; None if there is none."""
        opened = self._lanes.get(queue)
        first = None if opened is None else opened.first
        ranks = [rank for lane, rank in self._asking.items() if lane.queue == queue]
        ranks += [] if first is None else [self._heads[first]]
        kept = self.kept(queue)
        return min(ranks if kept is None else [*ranks, kept], default=None)

    def note(self, lane: Lane, rank: Rank) -> bool:
        """There is a job of that rank, or there may be one no earlier than that. Its lane and queue are looked at
        again if it may be the first; returns whether it may."""
        if lane in self._asked:
            since = self._asked[lane]
            self._asked[lane] = rank if since is None else min(since, rank)
            before, self._asking[lane] = self._asking[lane], min(rank, self._asking[lane])
            return rank < before
        known = self._heads.get(lane)
        if known is not None and rank >= known:
            return False
        self._heads[lane] = rank
        self._unsure(lane, known)
        self._look_again(lane)
        return True

    def sure(self, lane: Lane) -> bool:
        """Whether its first job is surely there, so that it keeps those behind it where order is strict."""
        return self._sure.get(self._heads[lane][1]) == lane

    def doubt(self, job: int) -> None:
        """That job is not unseen any more: it may have been the first of its lane."""
        if (lane := self._sure.pop(job, None)) is not None:
            self._look_again(lane)

    def doubt_all(self) -> None:
        """The order of all may be another."""
        self._sure = {}
        self.reopen()

    def _unsure(self, lane: Lane, head: Rank | None) -> None:
        """That was its first, and may be so no more."""
        if head is not None and self._sure.get(head[1]) == lane:
            del self._sure[head[1]]

    def _look_again(self, lane: Lane) -> None:
        """It is open, whatever had it closed."""
        self._alone.discard(lane)
        if lane.owner in self._shut:
            self._shut[lane.owner].drop(lane)
        self._apart.get(lane.owner, set()).discard(lane)
        self._let_in(lane)

    def ask(self, lane: Lane) -> bool:
        """That lane is under question from now on, and not among the open ones. Returns whether it has led."""
        self._asking[lane] = self._heads.pop(lane)
        self._unsure(lane, self._asking[lane])
        self._asked[lane] = None
        self._leave(lane)
        return self._led(lane)

    def answered(self, rest: Mapping[Lane, Rank]) -> None:
        """All that were asked about have these left, and no others, but for what has come since."""
        asked, self._asked, self._asking = self._asked, {}, {}
        for lane, since in asked.items():
            self.changed(lane.queue, lane.owner)
            ranks = [rank for rank in (rest.get(lane), since) if rank is not None]
            if ranks:
                self.note(lane, first := min(ranks))
                if first == rest.get(lane) != FIRST:
                    self.doubt(first[1])  # it may have been in another lane
                    self._sure[first[1]] = lane

    def unanswered(self) -> None:
        """There is no answer about them."""
        for lane, rank in self._asking.items():
            self._asked[lane] = rank
        self.answered({})

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
        for lane in self._leads.pop(queue, ()):
            self.lead(lane.owner)

    def close(self, lane: Lane, *, alone: bool) -> None:
        """Nothing of it can start before ``changed``. ``alone``: its user has room, and it has none."""
        if alone:
            self._alone.add(lane)
        elif self._fair(lane.queue):
            self._apart.setdefault(lane.owner, set()).add(lane)
        else:
            self._shut.setdefault(lane.owner, Ranked()).put(lane, self._heads[lane])
        self._kept.setdefault(lane.queue, Ranked()).put(lane, self._heads[lane])
        self._leave(lane)
        if self._led(lane) and alone:
            self.lead(lane.owner)

    def changed(self, queue: str, owner: str) -> None:
        """It may be that more can start now in that queue, or of that user."""
        self.queue_changed(queue)
        if (lane := Lane(queue, owner)) in self._alone:
            self._alone.discard(lane)
            self._let_in(lane)
        for lane in self._apart.pop(owner, ()):
            self._let_in(lane)
        self.lead(owner)

    def lead(self, owner: str) -> None:
        """It may be that more of that user can start now."""
        lanes = self._shut.get(owner)
        if lanes is None:
            return
        if (lane := lanes.first) is None:
            del self._shut[owner]
            return
        lanes.drop(lane)
        self._let_in(lane)
        self._leads.setdefault(lane.queue, set()).add(lane)

    def _led(self, lane: Lane) -> bool:
        """Whether it was leading; it is not any more."""
        leads = self._leads.get(lane.queue)
        if leads is None or lane not in leads:
            return False
        leads.discard(lane)
        if not leads:
            del self._leads[lane.queue]
        return True

    def _let_in(self, lane: Lane) -> None:
        """It was closed, and is open."""
        self._closed.discard(lane.queue)  # it may have been closed for that lane
        self._kept.get(lane.queue, Ranked()).drop(lane)
        self._open(lane)

    def queue_changed(self, queue: str) -> None:
        """It may be that more can start now in that queue."""
        if queue in self._closed:
            self._closed.discard(queue)
            self._arrange(queue)

    def reopen(self) -> None:
        """The same of all."""
        closed, self._closed = self._closed, set()
        kept, self._kept = self._kept, {}
        self._alone, self._shut, self._apart, self._leads = set(), {}, {}, {}
        for lane in [lane for lanes in kept.values() for lane in lanes]:
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

    def sanity_check(self, has_room: Callable[[Lane, Rank], bool]) -> None:
        """Every invariant that must hold between two events; for tests. ``has_room``: whether the user of a lane has
        room for a job of that rank."""
        shut = self._alone.union(*self._shut.values(), *self._apart.values())
        opened = {lane for lanes in self._lanes.values() for lane in lanes}
        assert not shut & opened and shut | opened == self._heads.keys(), "a lane is neither open nor closed"
        assert {lane for lanes in self._kept.values() for lane in lanes} == shut
        assert all(self._heads[lane][1] == job for job, lane in self._sure.items())
        assert not self._heads.keys() & self._asked.keys() and self._asked.keys() == self._asking.keys()
        led = {lane.owner for lanes in (*self._leads.values(), self._asked) for lane in lanes}
        for owner, lanes in self._shut.items():
            first = lanes.first
            assert first is None or owner in led or not has_room(first, self._heads[first]), "nobody looks at it"
        for queue, leads in self._leads.items():
            assert leads and leads <= opened and queue not in self._closed, "it leads, and nobody looks at it"
        for queue, lanes in self._lanes.items():
            first = min(lanes.rank(lane) for lane in lanes)
            assert all(lanes.rank(lane)[1] == self._heads[lane] for lane in lanes)
            assert (queue in self._queues) is (queue not in self._closed)
            if queue in self._queues:
                assert self._queues.rank(queue) == first[1], "a queue stands in another place"
