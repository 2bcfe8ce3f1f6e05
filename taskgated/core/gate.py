"""The gate itself: events in, actions out.

It knows which workers are idle, what runs, and the few jobs that are to start next; the backlog it knows only by
asking for more (``Fetch``). Every method takes an event and returns what is to be done about it, in order. It does
nothing itself and does not know the time. A job counts against every limit from the moment its start is decided until
its outcome is known and nothing of it is left. Only then is its place given to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import inf

from taskgated.core import strict
from taskgated.core.attempts import Attempts, Start, Told
from taskgated.core.capacity import Capacities, Capacity, Policy, QueuePlaces, Situation, reasons
from taskgated.core.doors import EVERY, Door, Doors, Key
from taskgated.core.fair import Fair
from taskgated.core.fetch import Fetch
from taskgated.core.job import Job, Outcome
from taskgated.core.lanes import Unseen
from taskgated.core.order import FIRST, Lane, Rank
from taskgated.core.parking import Back, Park, Parking, Recall
from taskgated.core.ready import ReadyQueue
from taskgated.core.rooms import Rooms

Action = Fetch | Start | Told | Park | Recall

MOST = 1000
"""Jobs that are asked for at once, at most."""


class Gate:
    """The state of the gate. Workers are names; the caller knows the processes behind them. ``lanes``: those that
    have jobs which may run, each with the rank of the first; ``chance`` and ``left``: as of ``Attempts``,
    ``uptime``: as of ``Fair``."""

    def __init__(
        self,
        policy: Policy,
        lanes: Mapping[Lane, Rank],
        chance: Callable[[], float],
        left: Callable[[Job], float] = lambda job: inf,
        uptime: Callable[[], int] = lambda: 0,
    ) -> None:
        self.doors = Doors()
        self.capacities = Capacities(policy, self.doors)
        self._rooms = Rooms(self.capacities, self.doors)
        self.knocked: set[str] = set()  # queues with a shut door, for which jobs came since somebody emptied this
        self.fair = Fair(policy, uptime)
        self.attempts = Attempts(self.capacities, self.fair, chance, left)
        self.ready = ReadyQueue(policy.ready_queue, self.capacities.scarce)
        self._idle: dict[str, None] = {}  # in order: the one idle longest first
        self._unseen = Unseen(lanes, self._standing)
        self._fetching = False
        self.parking = Parking(self.capacities, self._rooms.open)
        self.draining = False

    # -- what it says of itself ------------------------------------------------------------------

    def situation(self, steady: int = 0, wall: int = 0) -> Situation:
        """What decides now whether a job may start; the times are microseconds."""
        return Situation(self.capacities, len(self._idle), self.draining, steady, wall, self.doors)

    def in_front(self, job: Job) -> int | None:
        """The job that has to start before this one may, as their queue is strict; None if there is none, 0 if it is
        not known which one it is."""
        return strict.in_front(self.capacities.policy, self.ready, self._unseen, job)

    # -- events ----------------------------------------------------------------------------------

    def reload(self, policy: Policy) -> list[Action]:
        """A new configuration: what runs is not touched, what is ready is chosen anew."""
        ready = list(self.ready)
        self.capacities.policy = self.fair.policy = policy
        self.ready = ReadyQueue(policy.ready_queue, self.capacities.scarce)
        for job in ready:
            self.parking.left(job)
            self._unseen.note(job.lane, job.rank)
        self._unseen.reopen()
        self._unseen.stand_anew()
        self.parking.look_again()
        return self._pump()

    def looked(self, doors: Mapping[Key, Door | None]) -> list[Action]:
        """These doors hold from now on (``Doors.put``); the best of all may wait behind one that has opened."""
        changed = self.doors.put(doors)
        self._trim()
        for queue in changed:
            if queue is EVERY:
                self._unseen.reopen()
            else:
                self._unseen.queue_changed(queue)
        if changed:
            self.parking.look_again()
        return self._pump()

    def look_again(self, lanes: Mapping[Lane, Rank]) -> list[Action]:
        """These lanes have jobs which may run, each the first with that rank; what was known of the order of jobs
        may have changed. To look again is always right."""
        for lane, rank in lanes.items():
            self._unseen.note(lane, rank)
        return self.reload(self.capacities.policy)

    def queued(self, lane: Lane, rank: Rank) -> list[Action]:
        """Jobs came (or came back) to a lane, the first of them with that rank."""
        self._knock(lane.queue)
        self._unseen.note(lane, rank)
        return self._pump()

    def offered(self, jobs: Iterable[Job]) -> list[Action]:
        """These jobs came, and they are all that came.

        One that comes before all that wait unseen need not be asked for again. The answer to a question that was
        asked meanwhile may have brought it before, so that it runs already.
        """
        for job in jobs:
            self._knock(job.queue)
            first = self._unseen.first
            heads = [self._unseen.head(lane) for lane in (job.lane, first) if lane is not None]
            if self._fetching or any(head is not None and head < job.rank for head in heads):
                self._unseen.note(job.lane, job.rank)
            else:
                self._admit(job)
        return self._pump()

    def fetched(self, jobs: Iterable[Job], rest: Mapping[Lane, Rank]) -> list[Action]:
        """The store's answer to the last ``Fetch``. ``rest``: the lanes that have more, each with the rank of the
        first that is neither in the answer nor was known."""
        self._fetching = False
        self._unseen.answered(rest)
        for job in jobs:
            self._admit(job)
        return self._pump()

    def parked(self, jobs: Iterable[int]) -> list[Action]:
        """The store has noted what these wait for (``Park``)."""
        self.parking.parked(jobs)
        return self._pump()

    def recalled(self, jobs: Iterable[Job], asked: Recall, back: Mapping[str, Back]) -> list[Action]:
        """The store's answer to ``asked``: the jobs that wait no more, and what is left by the name of each."""
        jobs = list(jobs)
        self.parking.recalled(asked, back, jobs)
        for room in asked.rooms.values():
            if room.dismiss is not None:
                self._unseen.note(room.dismiss.lane, room.dismiss.rank)
        for job in jobs:
            self._admit(job)
        return self._pump()

    def seen(self, names: Iterable[str]) -> list[Action]:
        """Jobs wait for these. To say it again is always right."""
        self.parking.seen(names)
        return self._pump()

    def worker_idle(self, worker: str) -> list[Action]:
        self._idle[worker] = None
        return self._pump()

    def worker_retired(self, worker: str) -> None:
        """An idle worker is to leave: it gets nothing more."""
        self._idle.pop(worker, None)

    def start_refused(self, job: int) -> list[Action]:
        """The store would not start it: it was cancelled in the meantime, or is not what it was when it was offered.
        What there is of its lane is asked for again, and its worker is free."""
        refused, worker = self.attempts.refused(job)
        self._changed(refused)
        self.parking.freed(refused)
        self._unseen.note(refused.lane, FIRST)
        if self.doors:
            self.doors.refused(refused.queue)
            self._unseen.reopen()  # before every queue there may be one more that may start
        return self._pump() if worker is None else self.worker_idle(worker)

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> list[Action]:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        finish = self.attempts.ended(outcome, worker, crashed=crashed)
        if finish is None:
            return []
        self._changed(finish.job)
        self.parking.freed(finish.job)
        self.doors.ended(finish.job.queue)
        return [finish, *self._pump()]

    def worker_died(self, worker: str) -> Job | None:
        """A worker is gone. Returns the job that it may have been running: that one still counts until ``ended``
        says that nothing of it is left."""
        self._idle.pop(worker, None)
        return self.attempts.worker_died(worker)

    def cancel(self, job: int, grace: float | None = None) -> list[Action]:
        """The job is to end: who runs it is told. ``grace`` as in ``Stop``; None leaves what was said before."""
        if job in self.attempts:
            return list(self.attempts.cancel(job, grace))
        self.forget(job)
        return self._pump()

    def forget(self, job: int) -> None:
        """A queued job is no candidate any more (held, cancelled, expired)."""
        self.parking.gone(job)
        if (gone := self.ready.remove(job)) is not None:
            self._changed(gone)

    def dropped(self, jobs: Iterable[int]) -> list[Action]:
        """The same of many; others may come in their place."""
        for job in jobs:
            self.forget(job)
        return self._pump()

    def drain(self) -> None:
        """Start nothing more."""
        self.draining = True

    def _knock(self, queue: str) -> None:
        if self.doors.room(queue) == 0:
            self.knocked.add(queue)

    # -- decisions -------------------------------------------------------------------------------

    def _pump(self) -> list[Action]:
        """Start what may start, then ask for more where there is room for it."""
        actions: list[Action] = []
        if self.draining:
            return actions
        self._turn_away()
        while self._idle and self._rooms.any and (job := self.ready.take(self._may_start, self._order)):
            worker = next(iter(self._idle))
            del self._idle[worker]
            actions.append(self.attempts.begin(job, worker))
            self._stand(job.lane)
            self.doors.started(job.queue, retry=job.failed_before)
            self.parking.started(job)
            self._turn_away()
            self._trim()
        actions += self.parking.actions()
        if not self._fetching and (fetch := self._question()) is not None:
            self._fetching = True
            actions.append(fetch)
        return actions

    def _may_start(self, job: Job) -> bool:
        if job.queue in self.doors.unsure or self.in_front(job) is not None:
            return False
        return not reasons(job, self.situation())

    def _question(self) -> Fetch | None:
        """Ask for those that could start here soon, for none that could not.

        It is asked when the ready queue is more than half empty, or when there may be better ones than it has. As
        many of the lanes with the earliest jobs as jobs are wanted surely have the best of all.
        """
        most = 0
        wanted: dict[Lane, int] = {}
        of_queue = Counter[str]()
        while (lane := self._unseen.first) is not None:
            head = self._unseen.head(lane)
            assert head is not None
            refill, worst = self.ready.room * 2 > self.ready.capacity, self.ready.worst
            better = worst is None or self._better(lane, head, worst)
            if not better and not refill:
                break
            most = most or min(MOST, self.ready.capacity if better else self.ready.room)
            if len(wanted) >= most:
                break
            if (room := self._allowed(lane, head)) > 0:
                wanted[lane] = min(room, self._share(lane.queue, most))
                self._unseen.ask(lane)
                of_queue[lane.queue] += 1
                places = self._rooms.of(QueuePlaces(lane.queue))
                if places is not None and of_queue[lane.queue] >= places:
                    self._unseen.close_queue(lane.queue)  # until the answer is there
        if not wanted:
            return None
        return Fetch(wanted, frozenset(job for lane in wanted for job in self.ready.ids(lane)), most)

    def _allowed(self, lane: Lane, head: Rank) -> int:
        """How many jobs of a lane, the first of that rank, may become ready, if need be in place of worse ones: what
        could not start soon would be in the way. A lane, or queue, that has none is closed until that may change."""
        most = self.ready.capacity
        if strict.kept_before(self.capacities.policy, self._unseen, lane.queue, head):
            self._unseen.close_queue(lane.queue)
            return 0
        for capacity in self.capacities.scarce(lane):
            room = self._rooms.of(capacity)
            if room is None:
                continue
            full = self.ready.takers(capacity) >= room
            if room <= 0 or (full and not self._goes_before(lane, head, self._last(capacity))):
                if isinstance(capacity, QueuePlaces):
                    self._unseen.close_queue(lane.queue)
                else:
                    self._unseen.close(lane)
                    for job in strict.behind(self.capacities.policy, self.ready, lane.queue, head):
                        self._put_back(job)
                return 0
            most = min(most, room)
        return most

    def _stand(self, lane: Lane) -> None:
        """More of that lane are ready, or fewer, or it has used more."""
        if lane.queue in self.fair:
            self._unseen.stand(lane)

    def _standing(self, lane: Lane) -> float:
        """Of the next job of a lane that is not ready yet."""
        return self.fair.standing(lane, self.ready.count(lane)) if lane.queue in self.fair else 0.0

    @property
    def _order(self) -> Callable[[Lane], float] | None:
        return self.fair.standing if self.capacities.policy.fair else None

    def _last(self, capacity: Capacity) -> Job | None:
        """Of the ready jobs that take of it, the one that comes last."""
        if isinstance(capacity, QueuePlaces) and capacity.queue in self.fair:
            return self.ready.last_of(capacity.queue, self.fair.standing)
        return self.ready.worst_taker(capacity)

    def _goes_before(self, lane: Lane, head: Rank, last: Job | None) -> bool:
        """Whether the next job of a lane, with that rank, has its turn before one that is ready."""
        if last is None:
            return True
        if lane.queue in self.fair and lane.queue == last.queue and lane != last.lane:
            place = self.fair.standing(last.lane, self.ready.count(last.lane) - 1)
            return (self._standing(lane), head) < (place, last.rank)
        return head < last.rank

    def _better(self, lane: Lane, head: Rank, worst: Job) -> bool:
        """Whether it would be ready in place of another. ``worst``: the ready job with the last rank."""
        mine = self._last(QueuePlaces(lane.queue)) if lane.queue in self.fair else None
        if mine is not None and self._goes_before(lane, head, mine):
            return True
        return head < worst.rank and (mine is None or worst.queue != lane.queue)

    def _share(self, queue: str, most: int) -> int:
        """How many jobs to ask for of each lane of a queue."""
        return -(-most // self._unseen.count(queue)) if queue in self.fair else most

    def _trim(self) -> None:
        """Out of the ready queue what a door does not let start before the next look."""
        for queue in self.ready.queues if self.doors else ():
            self._cut(QueuePlaces(queue))

    def _cut(self, capacity: Capacity) -> None:
        """No more are ready than what there is of it lets start."""
        room = self._rooms.of(capacity)
        while room is not None and self.ready.takers(capacity) > max(0, room):
            last = self._last(capacity)
            assert last is not None
            self._put_back(last)

    def _admit(self, job: Job) -> None:
        """Into the ready queue, unless the job runs. What must leave the ready queue for that stays queued in the
        store, and is asked for later."""
        if job.id in self.attempts or job.id in self.ready or not self.parking.admits(job):
            return
        if strict.kept_before(self.capacities.policy, self._unseen, job.queue, job.rank):
            self._unseen.note(job.lane, job.rank)
            return
        self.ready.put(job)
        for capacity in self.capacities.scarce(job.lane):
            self._cut(capacity)
        self._stand(job.lane)
        worst = self.ready.worst
        if worst is not None and len(self.ready) > self.ready.capacity:
            last = self._last(QueuePlaces(worst.queue)) if worst.queue in self.fair else worst
            assert last is not None
            self._put_back(last)

    def _put_back(self, job: Job) -> None:
        """It leaves the ready queue, and is among the unseen."""
        self.ready.drop(job)
        self.parking.left(job)
        self._changed(job)
        self._unseen.note(job.lane, job.rank)

    def _turn_away(self) -> None:
        """Out of the ready queue what has come to lack something by name: it is sent to wait for that."""
        for job in self.parking.turned_away():
            self.ready.drop(job)
            self._changed(job)

    def _changed(self, job: Job) -> None:
        """A job has left the ready queue, or counts no more: others may take its place."""
        self._stand(job.lane)
        self._unseen.changed(job.queue, job.owner)

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        self.ready.sanity_check()
        self._unseen.sanity_check()
        assert not any(j.id in self.attempts for j in self.ready)
        for job in self.ready:
            for capacity in self.capacities.scarce(job.lane):
                room = self._rooms.of(capacity)
                assert room is None or self.ready.takers(capacity) <= room, "ready, but cannot start soon"
        assert not self.attempts.sanity_check() & self._idle.keys(), "a busy worker counts as idle"
