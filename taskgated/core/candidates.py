"""Which of the jobs that wait are ready, and which are asked for next: the best of those that could start soon.

A few jobs are ready (``core/ready.py``); of the others it is only known in which lanes they are, and how early the
first of each may be (``core/lanes.py``). What could not start soon would be in the way, so it is neither ready nor
asked for until that may have changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from taskgated.core import strict
from taskgated.core.capacity import Capacities, Capacity, LanePlaces, QueuePlaces, UserPlaces
from taskgated.core.fair import Fair
from taskgated.core.fetch import Fetch
from taskgated.core.job import Job
from taskgated.core.lanes import Unseen
from taskgated.core.order import FIRST, Lane, Rank
from taskgated.core.ready import ReadyQueue
from taskgated.core.rooms import Rooms

MOST = 1000
"""Jobs that are asked for at once, at most."""


class Candidates:
    """``lanes``: those that have jobs which may run, each with the rank of the first. ``left`` hears of each job that
    is to be asked for again, as it leaves the ready queue or does not come into it."""

    def __init__(
        self,
        capacities: Capacities,
        rooms: Rooms,
        fair: Fair,
        lanes: Mapping[Lane, Rank],
        left: Callable[[Job], None],
    ) -> None:
        self._capacities = capacities
        self._rooms = rooms
        self._fair = fair
        self._left = left
        self.ready = ReadyQueue(capacities.policy.ready_queue, capacities.scarce)
        self.unseen = Unseen(lanes, self._standing, fair.__contains__)
        self._kept = strict.Kept()
        self._passed: set[Lane] = set()  # of fair queues: a job of each had to leave, and nothing has happened since

    # -- what is ready ---------------------------------------------------------------------------

    def take(self, may_start: Callable[[Job], bool]) -> Job | None:
        """The best ready job that may start, removed; None when none may."""
        job = self.ready.take(may_start, self._fair.standing if self._capacities.policy.fair else None)
        if job is not None:
            self.happened()
        return job

    def happened(self) -> None:
        """More than an answer. Until then no job of a fair queue that has left for a better one takes the place of
        another: what is better in a fair queue, of a user and of all may go in a circle, and be asked for without
        end. (By rank alone nothing goes in a circle.)"""
        passed, self._passed = self._passed, set()
        for lane in passed:
            self.unseen.changed(lane.queue, lane.owner)

    def in_front(self, job: Job) -> int | None:
        """As ``strict.in_front``."""
        return strict.in_front(self._capacities.policy, self.ready, self.unseen, self._kept, job)

    def places(self, rank: Rank) -> int:
        """How many jobs of that rank could be ready beside those that are, or in place of one of them."""
        worst = self.ready.worst
        return self.ready.room or int(worst is not None and rank < worst.rank)

    def choose_anew(self) -> None:
        """The policy is another."""
        ready = list(self.ready)
        self.ready = ReadyQueue(self._capacities.policy.ready_queue, self._capacities.scarce)
        for job in ready:
            self._left(job)
            self.unseen.note(job.lane, job.rank)
        self._kept.forget()
        self.unseen.doubt_all()
        self.unseen.stand_anew()

    def comes_first(self, job: Job) -> bool:
        """Whether it comes before all that wait unseen."""
        first = self.unseen.first
        heads = [self.unseen.head(lane) for lane in (job.lane, first) if lane is not None]
        return not any(head is not None and head < job.rank for head in heads)

    def admit(self, job: Job) -> None:
        """Into the ready queue. What must leave that for it stays queued in the store, and is asked for later."""
        self.goes(job.id)
        if strict.kept_before(self._capacities.policy, self.unseen, self._kept, job.queue, job.rank):
            self._left(job)
            self.unseen.note(job.lane, job.rank)
            return
        self.ready.put(job)
        for capacity in self._capacities.scarce(job.lane):
            self._cut(capacity)
        self.stand(job.lane)
        worst = self.ready.worst
        if worst is not None and len(self.ready) > self.ready.capacity:
            last = self._last(QueuePlaces(worst.queue)) if worst.queue in self._fair else worst
            assert last is not None
            self._put_back(last)

    def drop(self, job: Job) -> None:
        """It is ready no more, and need not be looked for."""
        self.ready.drop(job)
        self.happened()
        self.changed(job)

    def keeps(self, queue: str, rank: Rank) -> None:
        """A job of that rank waits for something by name, or behind its line. In a strict queue nothing that comes
        after it is ready."""
        if queue in self._capacities.policy.strict:
            self.goes(rank[1])
            self._kept.keeps(queue, rank)
            for job in strict.behind(self._capacities.policy, self.ready, queue, rank):
                self._put_back(job)

    def goes(self, job: int) -> None:
        """That job waits so no more, nor unseen: it is ready, has started, or will not."""
        self.unseen.doubt(job)
        if (queue := self._kept.goes(job)) is not None:
            self.unseen.queue_changed(queue)

    def known(self) -> dict[int, tuple[str, Rank]]:
        """The jobs that are ready, or keep others, each with its queue and its rank."""
        keep = [(queue, self.unseen.kept(queue)) for queue in self._capacities.policy.strict]
        return (
            {job.id: (job.queue, job.rank) for job in self.ready}
            | {rank[1]: (queue, rank) for queue, rank in keep if rank is not None}
            | self._kept.all()
        )

    def trim(self) -> None:
        """Out of the ready queue what a door does not let start before the next look."""
        for queue in self.ready.queues:
            self._cut(QueuePlaces(queue))

    def _cut(self, capacity: Capacity) -> None:
        """No more are ready than what there is of it lets start."""
        room = self._rooms.of(capacity)
        while room is not None and self.ready.takers(capacity) > max(0, room):
            last = self._last(capacity)
            assert last is not None
            self._put_back(last)

    def changed(self, job: Job) -> None:
        """A job has left the ready queue, or counts no more: others may take its place."""
        self.stand(job.lane)
        self.unseen.changed(job.queue, job.owner)

    def _put_back(self, job: Job) -> None:
        """It leaves the ready queue, and is among the unseen."""
        self.ready.drop(job)
        if job.queue in self._fair:
            self._passed.add(job.lane)
        self._left(job)
        self.changed(job)
        self.unseen.note(job.lane, job.rank)

    # -- what is asked for -----------------------------------------------------------------------

    def question(self) -> Fetch | None:
        """Ask for those that could start here soon, for none that could not.

        It is asked when the ready queue is more than half empty, or when there may be better ones than it has. As
        many of the lanes with the earliest jobs as jobs are wanted surely have the best of all.
        """
        most = 0
        wanted: dict[Lane, int] = {}
        of_queue = Counter[str]()
        led = Counter[str]()
        aside: list[str] = []
        while (lane := self._next(aside)) is not None:
            head = self._head(lane)
            better = self._better(lane, head)
            most = most or min(MOST, self.ready.capacity if better else self.ready.room)
            if len(wanted) >= most:
                break
            if (room := self._allowed(lane, head)) is None:
                wanted[lane] = 0
                self.unseen.ask(lane)
            elif room > 0:
                wanted[lane] = min(room, self._share(lane.queue, most))
                if self.unseen.ask(lane):
                    led[lane.owner] += head != FIRST
                    mine = self._rooms.of(UserPlaces(lane.owner))
                    if mine is None or led[lane.owner] < mine:
                        self.unseen.lead(lane.owner)  # else when the answer is there
                of_queue[lane.queue] += 1
                places = self._rooms.of(QueuePlaces(lane.queue))
                if places is not None and of_queue[lane.queue] >= places:
                    self.unseen.close_queue(lane.queue)  # until the answer is there
        for queue in aside:
            self.unseen.queue_changed(queue)
        if not wanted:
            return None
        return Fetch(wanted, frozenset(job for lane in wanted for job in self.ready.ids(lane)), most)

    def _next(self, aside: list[str]) -> Lane | None:
        """The lane to ask for next, if any is: the earliest, or one whose next job has its turn before a ready one.
        The earliest job of a fair queue need not be its next; where that one is no better than what is ready, the
        queue is put ``aside``, for others may be."""
        refill = self.ready.room * 2 > self.ready.capacity
        while (lane := self.unseen.first) is not None:
            if refill or self._better(lane, self._head(lane)):
                return lane
            if lane.queue not in self._fair:
                break
            self.unseen.close_queue(lane.queue)
            aside.append(lane.queue)
        for queue in self.ready.queues if self._capacities.policy.fair else ():
            lane = self.unseen.first_of(queue) if queue in self._fair else None
            if lane is not None and self._better(lane, self._head(lane)):
                return lane
        return None

    def _head(self, lane: Lane) -> Rank:
        head = self.unseen.head(lane)
        assert head is not None
        return head

    def _allowed(self, lane: Lane, head: Rank) -> int | None:
        """How many jobs of a lane, the first of that rank, may become ready, if need be in place of worse ones: what
        could not start soon would be in the way. A lane, or queue, that has none is closed until that may change.
        None: before it keeps others so in a strict queue, it is to be asked how early its first job is."""
        most = self.ready.capacity
        if strict.kept_before(self._capacities.policy, self.unseen, self._kept, lane.queue, head):
            self.unseen.close_queue(lane.queue)
            return 0
        for capacity in self._capacities.scarce(lane):
            room = self._rooms.of(capacity)
            if room is None:
                continue
            full = self.ready.takers(capacity) >= room
            if room <= 0 or (full and not self._goes_before(lane, head, self._last(capacity))):
                if isinstance(capacity, QueuePlaces):
                    self.unseen.close_queue(lane.queue)
                elif lane.queue in self._capacities.policy.strict and not self.unseen.sure(lane):
                    return None
                else:
                    self.unseen.close(lane, alone=isinstance(capacity, LanePlaces))
                    for job in strict.behind(self._capacities.policy, self.ready, lane.queue, head):
                        self._put_back(job)
                return 0
            most = min(most, room)
        return most

    def stand(self, lane: Lane) -> None:
        """More of that lane are ready, or fewer, or it has used more."""
        if lane.queue in self._fair:
            self.unseen.stand(lane)

    def _standing(self, lane: Lane) -> float:
        """Of the next job of a lane that is not ready yet."""
        return self._fair.standing(lane, self.ready.count(lane)) if lane.queue in self._fair else 0.0

    def _last(self, capacity: Capacity) -> Job | None:
        """Of the ready jobs that take of it, the one that comes last."""
        if isinstance(capacity, QueuePlaces) and capacity.queue in self._fair:
            return self.ready.last_of(capacity.queue, self._fair.standing)
        return self.ready.worst_taker(capacity)

    def _goes_before(self, lane: Lane, head: Rank, last: Job | None) -> bool:
        """Whether the next job of a lane, with that rank, has its turn before one that is ready."""
        if last is None:
            return True
        if lane in self._passed:
            return False
        if lane.queue in self._fair and lane.queue == last.queue and lane != last.lane:
            place = self._fair.standing(last.lane, self.ready.count(last.lane) - 1)
            return (self._standing(lane), head) < (place, last.rank)
        return head < last.rank

    def _better(self, lane: Lane, head: Rank) -> bool:
        """Whether its next job, of that rank, would be ready in place of another."""
        if (worst := self.ready.worst) is None:
            return True
        if lane in self._passed:
            return False
        mine = self._last(QueuePlaces(lane.queue)) if lane.queue in self._fair else None
        if mine is not None and self._goes_before(lane, head, mine):
            return True
        return head < worst.rank and (mine is None or worst.queue != lane.queue)

    def _share(self, queue: str, most: int) -> int:
        """How many jobs to ask for of each lane of a queue."""
        return -(-most // self.unseen.count(queue)) if queue in self._fair else most

    def _user_has_room(self, lane: Lane, head: Rank) -> bool:
        """For tests."""
        capacity = UserPlaces(lane.owner)
        room = self._rooms.of(capacity)
        full = room is not None and self.ready.takers(capacity) >= room
        return room is None or (room > 0 and (not full or self._goes_before(lane, head, self._last(capacity))))

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        self.ready.sanity_check()
        self.unseen.sanity_check(self._user_has_room)
        for job in self.ready:
            for capacity in self._capacities.scarce(job.lane):
                room = self._rooms.of(capacity)
                assert room is None or self.ready.takers(capacity) <= room, "ready, but cannot start soon"
