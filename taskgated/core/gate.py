"""The gate itself: events in, actions out.

It knows which workers are idle, what runs, and the few jobs that are to start next; the backlog it knows only by
asking for more (``Fetch``). Every method takes an event and returns what is to be done about it, in order. It does
nothing itself and does not know the time. A job counts against every limit from the moment its start is decided until
its outcome is known and nothing of it is left. Only then is its place given to another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from math import inf

from taskgated.core.attempts import Attempts, Start, Told
from taskgated.core.candidates import Candidates
from taskgated.core.capacity import ALL, Capacities, Policy, Situation, reasons
from taskgated.core.doors import EVERY, Door, Doors, Key
from taskgated.core.fair import Fair
from taskgated.core.fetch import Fetch
from taskgated.core.inventory import Inventory, Numbers
from taskgated.core.job import Job, Outcome
from taskgated.core.order import FIRST, Lane, Rank
from taskgated.core.parking import Back, Park, Parking, Recall
from taskgated.core.ready import ReadyQueue
from taskgated.core.rooms import Rooms

Action = Fetch | Start | Told | Park | Recall


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
        self._idle: dict[str, None] = {}  # in order: the one idle longest first
        self._numbers = Numbers()
        self._fetching: int | None = None  # the number of that question
        self.parking = Parking(self.capacities, self._rooms.open, self._places, self._numbers)
        self._candidates = Candidates(self.capacities, self._rooms, self.fair, lanes, self.parking.left)
        self._unseen = self._candidates.unseen
        self.draining = False

    # -- what it says of itself ------------------------------------------------------------------

    @property
    def ready(self) -> ReadyQueue:
        """The jobs that are to start next."""
        return self._candidates.ready

    def situation(self, steady: int = 0, wall: int = 0) -> Situation:
        """What decides now whether a job may start; the times are microseconds."""
        return Situation(self.capacities, len(self._idle), self.draining, steady, wall, self.doors)

    def in_front(self, job: Job) -> int | None:
        """The job that has to start before this one may, as their queue is strict; None if there is none, 0 if it is
        not known which one it is."""
        return self._candidates.in_front(job)

    # -- events ----------------------------------------------------------------------------------

    def reload(self, policy: Policy) -> list[Action]:
        """A new configuration: what runs is not touched, what is ready is chosen anew."""
        before, self.capacities.policy, self.fair.policy = self.capacities.policy, policy, policy
        self._candidates.choose_anew()
        self.parking.look_again(before)
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
            self.parking.opened()
        return self._pump()

    def look_again(self, lanes: Mapping[Lane, Rank]) -> list[Action]:
        """These lanes have jobs which may run, each the first with that rank; what was known of the order of jobs
        may have changed. To look again is always right."""
        for lane, rank in lanes.items():
            self._knock(lane.queue)
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
            if self._fetching is not None or not self._candidates.comes_first(job):
                self._unseen.note(job.lane, job.rank)
            else:
                self._admit(job)
        return self._pump()

    def fetched(self, jobs: Iterable[Job], rest: Mapping[Lane, Rank], number: int | None = None) -> list[Action]:
        """The store's answer to the ``Fetch`` of that number; without one, to the last. ``rest``: the lanes that have
        more, each with the rank of the first that is neither in the answer nor was known."""
        if self._fetching is None or number not in (None, self._fetching):
            return []  # it was answered before, or given up
        self._fetching = None
        self._unseen.answered(rest)
        for _, first in rest.values():
            if first in self.attempts:
                self._unseen.doubt(first)  # it has started since it was found
        for job in jobs:
            self._admit(job)
        return self._pump(answered=True)

    def parked(self, jobs: Iterable[int]) -> list[Action]:
        """The store has noted what these wait for (``Park``)."""
        self.parking.parked(jobs)
        return self._pump(answered=True)

    def recalled(self, jobs: Iterable[Job], asked: Recall, back: Mapping[str, Back]) -> list[Action]:
        """The store's answer to ``asked``: the jobs that wait no more, and what is left by the name of each."""
        jobs = list(jobs)
        if not self.parking.recalled(asked, back, jobs):
            return []
        for room in asked.rooms.values():
            if room.dismiss is not None:
                self._knock(room.dismiss.lane.queue)
                self._unseen.note(room.dismiss.lane, room.dismiss.rank)
        for job in jobs:
            self._knock(job.queue)
            self._admit(job)
        return self._pump(answered=True)

    @property
    def known(self) -> dict[int, tuple[str, Rank]]:
        """The queued jobs that it knows, each with its queue and its rank."""
        return self._candidates.known()

    @property
    def asked(self) -> int:
        """The number of the last question."""
        return self._numbers.last

    @property
    def asks(self) -> bool:
        """Whether a question has no answer yet."""
        return self._fetching is not None or self.parking.asks

    def seen(self, lanes: Mapping[Lane, Rank], gone: Collection[int]) -> list[Action]:
        """A piece of what there is in the store, or was a moment ago. ``lanes``: some that have jobs which may run
        and were not ready then, each with the rank of the first. ``gone``: jobs that were ``known``, and are not
        queued there any more, or have another rank. To say it again is always right."""
        news = bool(gone)
        for job in gone:
            self.forget(job)
        for lane, rank in lanes.items():
            self._knock(lane.queue)
            news |= self._unseen.note(lane, rank)
        return self._pump(answered=not news)

    def taken(self, inventory: Inventory) -> list[Action]:
        """All pieces of it were ``seen``. To say it again is always right."""
        if self._fetching is not None and self._fetching <= inventory.asked:
            self._fetching = None
            self._unseen.unanswered()
        self.parking.taken(inventory)
        return self._pump(answered=True)

    def worker_idle(self, worker: str) -> list[Action]:
        self._idle[worker] = None
        return self._pump()

    def worker_retired(self, worker: str) -> None:
        """An idle worker is to leave: it gets nothing more."""
        self._idle.pop(worker, None)

    def start_refused(self, job: int, first: Rank | None = None) -> list[Action]:
        """The store would not start it: it was cancelled in the meantime, or is not what it was when it was offered.
        What there is of its lane is asked for again, and its worker is free. ``first``: one of its queue, which is
        strict, comes before it, and is kept."""
        refused, worker = self.attempts.refused(job)
        if first is not None:
            self._candidates.keeps(refused.queue, first)
        self._candidates.changed(refused)
        self.parking.freed(refused)
        self._unseen.note(refused.lane, FIRST)
        self.doors.refused(job)
        if self.doors:
            self._unseen.reopen()  # before every queue there may be one more that may start
        return self._pump() if worker is None else self.worker_idle(worker)

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> list[Action]:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        finish = self.attempts.ended(outcome, worker, crashed=crashed)
        if finish is None:
            return []
        self._candidates.changed(finish.job)
        self.parking.freed(finish.job)
        self.doors.ended(finish.job.id, finish.job.queue)
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
        self._candidates.goes(job)
        if (gone := self.ready.remove(job)) is not None:
            self._candidates.changed(gone)

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

    def _pump(self, *, answered: bool = False) -> list[Action]:
        """Start what may start, then ask for more where there is room for it. ``answered``: nothing has happened but
        that the store has answered, or has said once more what was known."""
        actions: list[Action] = []
        if not answered:
            self._candidates.happened()
        if self.draining:
            return actions
        self._turn_away()
        actions += self.parking.actions()  # before anything starts: who is asked for may come first
        while self._idle and self._rooms.any and (job := self._candidates.take(self._may_start)):
            worker = next(iter(self._idle))
            del self._idle[worker]
            actions.append(self.attempts.begin(job, worker))
            self._candidates.stand(job.lane)
            self.doors.started(job.id, job.queue, retry=job.failed_before)
            self.parking.started(job)
            self._candidates.goes(job.id)
            self._turn_away()
            self._trim()
        fetch = self._candidates.question() if self._fetching is None else None
        actions += self.parking.actions()  # what is put back for the question leaves something to others
        if fetch is not None:
            self._fetching = self._numbers.next()
            actions.append(replace(fetch, number=self._fetching))
        return actions

    def _may_start(self, job: Job) -> bool:
        if job.queue in self.doors.unsure or self.in_front(job) is not None or self._kept_free(job):
            return False
        return not reasons(job, self.situation())

    def _kept_free(self, job: Job) -> bool:
        """Whether the last place for it is for one that comes before it, and comes back in a moment: what that one
        lacked has come free together with the place."""
        coming = self.parking.coming(job.rank)
        coming = [lane for lane in coming if lane.queue != job.queue or lane.queue not in self.fair]
        if not coming:
            return False
        if len(self._idle) <= len(coming):
            return True
        for capacity in (ALL, *self.capacities.scarce(job.lane)):
            room = self._rooms.of(capacity)
            if room is not None and room <= sum(capacity in (ALL, *self.capacities.scarce(lane)) for lane in coming):
                return True
        return False

    def _places(self, rank: Rank) -> int:
        return self._candidates.places(rank)

    def _trim(self) -> None:
        """Out of the ready queue what a door does not let start before the next look."""
        if self.doors:
            self._candidates.trim()

    def _admit(self, job: Job) -> None:
        """Among the candidates, unless the job runs."""
        if job.id in self.attempts:
            self.parking.left(job)  # it may have come back as well, after it was found to be next
            return
        if job.id in self.ready:
            return
        if self.parking.admits(job):
            self._candidates.admit(job)
        else:
            self._candidates.keeps(job.queue, job.rank)

    def _turn_away(self) -> None:
        """Out of the ready queue what has come to lack something by name: it is sent to wait for that."""
        away = self.parking.turned_away()
        for job in away:
            self._candidates.drop(job)
        for job in away:
            self._candidates.keeps(job.queue, job.rank)

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        self._candidates.sanity_check()
        self.parking.sanity_check()
        assert not any(j.id in self.attempts for j in self.ready)
        assert not self.attempts.sanity_check() & self._idle.keys(), "a busy worker counts as idle"
