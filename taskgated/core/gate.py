"""The gate itself: events in, actions out.

It knows which workers are idle, what runs, and the few jobs that are to start next; the backlog it knows
only by asking for more (``Fetch``). Every method takes an event and returns what is to be done about it, in
order. It does nothing itself and does not know the time.

A job counts against every limit from the moment its start is decided until its outcome is known and nothing
of it is left. Only then is its place given to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from taskgated.core.attempts import Attempts, Start, Told
from taskgated.core.capacity import Capacities, Policy, Situation, reasons
from taskgated.core.doors import Door, Doors, Key
from taskgated.core.job import Job, Outcome
from taskgated.core.ready import ReadyQueue


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the store for the best queued jobs: at most so many of each of these queues, those of them that are
    ``known`` (per id their queue) left out of the answer."""

    wanted: Mapping[str, int]
    known: Mapping[int, str]

    @property
    def most(self) -> int:
        """Of all queues together the best so many will do: that is more than can be ready, however many queues there
        are."""
        return max(1000, 2 * max(self.wanted.values(), default=0))


Action = Fetch | Start | Told


class Gate:
    """The state of the gate. Workers are names; the caller knows the processes behind them. ``queues``: those that
    may hold jobs; ``chance`` and ``left``: as of ``Attempts``."""

    def __init__(
        self,
        policy: Policy,
        queues: Iterable[str],
        chance: Callable[[], float],
        left: Callable[[Job], float] = lambda job: inf,
    ) -> None:
        self.capacities = Capacities(policy)
        self.doors = Doors()
        self.attempts = Attempts(self.capacities, chance, left)
        self.ready = ReadyQueue(policy.ready_queue)
        self._idle: dict[str, None] = {}  # in order: the one idle longest first
        self._hungry: dict[str, None] = dict.fromkeys(queues)  # queues that may hold jobs unseen here
        self._fetching = False
        self._stale = False  # the answer under way was asked for before something changed
        self._freed: set[str] = set()  # bounded queues in which a place came free since the last question
        self._newcomer: int | None = None  # the best priority that came since the last question
        self.draining = False

    # -- what it says of itself ------------------------------------------------------------------

    def situation(self, steady: int = 0, wall: int = 0) -> Situation:
        """What decides now whether a job may start; the times are microseconds."""
        return Situation(self.capacities, len(self._idle), self.draining, steady, wall, self.doors)

    # -- events ----------------------------------------------------------------------------------

    def reload(self, policy: Policy, queues: Iterable[str]) -> list[Action]:
        """A new configuration: what runs is not touched, what is ready is chosen anew."""
        self.capacities.policy = policy
        self._hungry.update(dict.fromkeys([*queues, *self.ready.queues]))
        self.ready = ReadyQueue(policy.ready_queue)
        self._stale = self._fetching
        return self._pump()

    def looked(self, doors: Mapping[Key, Door | None]) -> list[Action]:
        """These doors hold from now on (``Doors.put``). A queue whose jobs could not be looked at before is asked for
        at once: the best of all may wait there."""
        before = {queue: self.doors.room(queue) for queue in {*self._hungry, *self.ready.queues}}
        self.doors.put(doors)
        self._trim()
        for queue, room in before.items():
            now = self.doors.room(queue)
            if room is not None and (now is None or now > room) and queue in self._hungry:
                self._freed.add(queue)
        return self._pump()

    def queued(self, queue: str, priority: int) -> list[Action]:
        """Jobs came (or came back) to a queue, the best of them of that priority."""
        self._hungry[queue] = None
        self._newcomer = priority if self._newcomer is None else max(priority, self._newcomer)
        if self._fetching:
            self._stale = True
            return []
        return self._pump()

    def offered(self, jobs: Iterable[Job]) -> list[Action]:
        """These jobs came, and they are all that came.

        Where nothing else of their queue waits in the store unseen, they need not be asked for again. The answer to
        a question that was asked meanwhile may have brought them before, so that some run already.
        """
        for job in jobs:
            if self._fetching or job.queue in self._hungry:
                self._hungry[job.queue] = None
                self._stale = self._fetching
                self._newcomer = max(job.priority, self._newcomer or 0)
            else:
                self._admit(job)
        return [] if self._fetching else self._pump()

    def fetched(self, jobs: Iterable[Job], asked: Fetch, *, whole: bool = True) -> list[Action]:
        """The store's answer to ``asked``. ``whole``: what it does not have, there is not."""
        self._fetching = False
        jobs = list(jobs)
        if whole and not self._stale:
            found = Counter([*(j.queue for j in jobs), *asked.known.values()])
            for queue, number in asked.wanted.items():
                if found[queue] < number:
                    self._hungry.pop(queue, None)
        self._stale = False
        for job in jobs:
            self._admit(job)
        return self._pump()

    def worker_idle(self, worker: str) -> list[Action]:
        self._idle[worker] = None
        return self._pump()

    def worker_retired(self, worker: str) -> None:
        """An idle worker is to leave: it gets nothing more."""
        self._idle.pop(worker, None)

    def start_refused(self, job: int) -> list[Action]:
        """The store would not start it: it was cancelled in the meantime, or is not what it was when it was offered.
        What there is of its queue is asked for again, and its worker is free."""
        refused, worker = self.attempts.refused(job)
        self._place_freed(refused)
        self._hungry[refused.queue] = None
        self.doors.refused(refused.queue)
        return self._pump() if worker is None else self.worker_idle(worker)

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> list[Action]:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        finish = self.attempts.ended(outcome, worker, crashed=crashed)
        if finish is None:
            return []
        self._place_freed(finish.job)
        self.doors.ended(finish.job.queue)
        return [finish, *self._pump()]

    def worker_died(self, worker: str) -> Job | None:
        """A worker is gone. Returns the job that it may have been running: that one still counts until ``ended``
        says that nothing of it is left."""
        self._idle.pop(worker, None)
        return self.attempts.worker_died(worker)

    def cancel(self, job: int, grace: float | None = None) -> list[Action]:
        """The job is to end: its worker is told when it runs, else it is only forgotten here. ``grace`` as in
        ``Stop``; None also leaves what was said before."""
        if job in self.attempts:
            return list(self.attempts.cancel(job, grace))
        self.ready.remove(job)
        return self._pump()

    def forget(self, job: int) -> None:
        """A queued job is no candidate any more (held, cancelled, expired)."""
        self.ready.remove(job)

    def dropped(self, jobs: Iterable[int]) -> list[Action]:
        """The same of many; others may come in their place."""
        for job in jobs:
            self.ready.remove(job)
        return self._pump()

    def drain(self) -> None:
        """Start nothing more."""
        self.draining = True

    # -- decisions -------------------------------------------------------------------------------

    def _pump(self) -> list[Action]:
        """Start what may start, then ask for more where there is room for it."""
        actions: list[Action] = []
        if self.draining:
            return actions
        while self._idle and (job := self.ready.take(self._may_start)):
            worker = next(iter(self._idle))
            del self._idle[worker]
            actions.append(self.attempts.begin(job, worker))
            self.doors.started(job.queue)
            self._trim()
        if not self._fetching and (wanted := self._wanted()):
            self._fetching = True
            known = {job: queue for queue in wanted for job in self.ready.ids(queue)}
            actions.append(Fetch(wanted, known))
        return actions

    def _may_start(self, job: Job) -> bool:
        return job.queue not in self.doors.unsure and not reasons(job, self.situation())

    def _wanted(self) -> dict[str, int]:
        """How many jobs of which queue to ask for: those that could start here soon, none that could not.

        It is asked when the ready queue is more than half empty, or when there may be better ones than it has: in a
        queue that had no room for them until now, or, of some that came, in any.
        """
        newcomer, self._newcomer = self._newcomer, None
        freed, self._freed = self._freed & self._hungry.keys(), set()
        outranks = newcomer is not None and self.ready.outranked_by(newcomer)
        if outranks or self.ready.room * 2 > self.ready.capacity:
            asked: Iterable[str] = self._hungry
        else:
            asked = freed
        wanted = {}
        for queue in asked:
            allowed = self._allowed(queue)
            if allowed > 0 and (outranks or queue in freed or allowed > self.ready.count(queue)):
                wanted[queue] = allowed
        return wanted

    def _allowed(self, queue: str) -> int:
        """How many jobs of a queue may be in the ready queue: what could not start soon would be in the way."""
        rooms = (self.ready.capacity, self.capacities.room(queue), self.doors.room(queue))
        return min(room for room in rooms if room is not None)

    def _trim(self) -> None:
        """Out of the ready queue what a door does not let start before the next look."""
        for queue in self.ready.queues if self.doors else ():
            while self.ready.count(queue) > max(0, self._allowed(queue)):
                self.ready.remove_worst(queue)
                self._hungry[queue] = None

    def _admit(self, job: Job) -> None:
        """Into the ready queue, unless the job runs. What must leave the ready queue for that stays queued in the
        store, and is asked for later."""
        if job.id in self.attempts:
            return
        if (evicted := self.ready.put(job)) is not None:
            self._hungry[evicted.queue] = None
        if self.ready.count(job.queue) > self._allowed(job.queue):
            self.ready.remove_worst(job.queue)
            self._hungry[job.queue] = None

    def _place_freed(self, job: Job) -> None:
        """A job counts no more."""
        if job.queue in self._hungry and self.capacities.bounded(job.queue):
            self._freed.add(job.queue)  # it could not be looked at: the best job of all may wait there

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        self.ready.sanity_check()
        assert not any(j.id in self.attempts for j in self.ready)
        for queue in self.ready.queues:
            assert self.ready.count(queue) <= self._allowed(queue), "ready, but cannot start soon"
        assert not self.attempts.sanity_check() & self._idle.keys(), "a busy worker counts as idle"
