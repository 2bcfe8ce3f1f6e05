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
from dataclasses import dataclass, replace

from taskgated.core.capacity import Capacities, Policy, Situation, reasons
from taskgated.core.job import Interrupted, Job, Outcome
from taskgated.core.lifecycle import Verdict, judge
from taskgated.core.phases import Bereft, Cancel, Course, Phase, PutBack, Running, Starting, Wish
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


@dataclass(frozen=True, slots=True)
class Start:
    """Make a start durable; then call ``started``."""

    job: Job
    worker: str

    @property
    def repeatable(self) -> bool:
        """Whether a power cut may undo it, so that its worker need not wait for the disk. A power cut ends the job as
        well, and where it may run again it may do so under the same number. But a job that ``expires`` would be said
        to have not started in time."""
        return self.job.spec.interrupted is Interrupted.RERUN and self.job.expires is None


@dataclass(frozen=True, slots=True)
class Run:
    """Hand a durably started attempt to its worker."""

    job: Job
    worker: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Make the end of an attempt durable. ``worker`` is told so when it lives to hear it."""

    job: Job
    outcome: Outcome
    verdict: Verdict
    worker: str | None


@dataclass(frozen=True, slots=True)
class Abandon:
    """Report with ``ended`` that a durably started attempt never ran: its worker died before it could be told."""

    job: Job


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a worker to end its attempt; ``grace``: seconds from SIGTERM to SIGKILL, None as the job says."""

    job: int
    attempt: int
    worker: str
    grace: float | None = None


Action = Fetch | Start | Run | Finish | Abandon | Stop


@dataclass(slots=True)
class _Entry:
    """A job that counts. ``wish``: what is to become of it before its time, None: nothing."""

    job: Job  # with its current attempt's number
    phase: Phase
    wish: Wish | None = None

    @property
    def worker(self) -> str | None:
        """The worker that has it, or will have it."""
        return None if isinstance(self.phase, Bereft) else self.phase.worker

    def stop(self) -> list[Action]:
        """Tell its worker of the wish. One that has not been told of the attempt itself hears of both together."""
        if self.wish is None or not isinstance(self.phase, Running):
            return []
        return [Stop(self.job.id, self.job.attempt, self.phase.worker, self.wish.grace)]


class Gate:
    """The state of the gate. Workers are names; the caller knows the processes behind them. ``queues``: those that
    may hold jobs; ``chance``: a random number in [0, 1) for each retry."""

    def __init__(self, policy: Policy, queues: Iterable[str], chance: Callable[[], float]) -> None:
        self._chance = chance
        self.capacities = Capacities(policy)
        self.ready = ReadyQueue(policy.ready_queue)
        self._running: dict[int, _Entry] = {}
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
        return Situation(self.capacities, len(self._idle), self.draining, steady, wall)

    @property
    def running(self) -> int:
        """How many jobs count."""
        return len(self._running)

    @property
    def starting(self) -> bool:
        """Whether a start is decided that is not durable yet: its worker has not been told."""
        return any(not isinstance(entry.phase, Running) for entry in self._running.values())

    def job_of(self, worker: str) -> Job | None:
        """What a worker has, or is about to get."""
        return next((entry.job for entry in self._running.values() if entry.worker == worker), None)

    def courses(self) -> list[Course]:
        """The attempts that a worker has been given."""
        return [
            Course(entry.job, entry.phase.worker, entry.wish)
            for entry in self._running.values()
            if isinstance(entry.phase, Running)
        ]

    def runs(self, job: int) -> bool:
        """Whether it counts: its start is decided, and something of it may be left."""
        return job in self._running

    def cancelled(self, job: int) -> bool:
        """Whether it runs, and is to be over once that attempt has ended."""
        return job in self._running and isinstance(self._running[job].wish, Cancel)

    # -- events ----------------------------------------------------------------------------------

    def reload(self, policy: Policy, queues: Iterable[str]) -> list[Action]:
        """A new configuration: what runs is not touched, what is ready is chosen anew."""
        self.capacities.policy = policy
        self._hungry.update(dict.fromkeys([*queues, *self.ready.queues]))
        self.ready = ReadyQueue(policy.ready_queue)
        self._stale = self._fetching
        return self._pump()

    def adopt(self, job: Job, worker: str, *, cancelled: bool = False) -> None:
        """At start: a job still runs (or may) from before. It counts from now on."""
        self._occupy(_Entry(job, Running(worker), Cancel() if cancelled else None))

    def recognized(self, job: int, worker: str) -> None:
        """Now it is known which worker runs a job that was adopted."""
        self._running[job].phase = Running(worker)

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

    def started(self, job: int) -> list[Action]:
        """The store has the start of the attempt."""
        entry = self._running[job]
        match entry.phase:
            case Starting(worker):
                entry.phase = Running(worker)
                return [Run(entry.job, worker), *entry.stop()]
            case Bereft(worker):
                entry.phase = Running(worker)
                return [Abandon(entry.job)]
            case Running():
                raise AssertionError(f"job {job} was started already")

    def start_refused(self, job: int) -> list[Action]:
        """The store would not start it: it was cancelled in the meantime, or is not what it was when it was offered.
        What there is of its queue is asked for again, and its worker is free."""
        entry = self._vacate(job)
        self._hungry[entry.job.queue] = None
        worker = entry.worker
        return self._pump() if worker is None else self.worker_idle(worker)

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> list[Action]:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        entry = self._running.get(outcome.job)
        if entry is None or entry.job.attempt != outcome.attempt or not isinstance(entry.phase, Running):
            return []
        if worker not in (None, entry.phase.worker):  # one that has not got it cannot say how it ended
            return []
        cancelled = self.cancelled(outcome.job)
        self._vacate(outcome.job)
        verdict = judge(entry.job, outcome, cancelled=cancelled, crashed=crashed, chance=self._chance())
        finish = Finish(entry.job, outcome, verdict, worker)
        return [finish, *self._pump()]

    def worker_died(self, worker: str) -> Job | None:
        """A worker is gone. Returns the job that it may have been running: that one still counts until ``ended``
        says that nothing of it is left."""
        self._idle.pop(worker, None)
        for entry in self._running.values():
            match entry.phase:
                case Running(its) if its == worker:
                    return entry.job
                case Starting(its) if its == worker:
                    entry.phase = Bereft(worker)
        return None

    def cancel(self, job: int, grace: float | None = None) -> list[Action]:
        """The job is to end: its worker is told when it runs, else it is only forgotten here. ``grace`` as in
        ``Stop``; None also leaves what was said before."""
        entry = self._running.get(job)
        if entry is None:
            self.ready.remove(job)
            return self._pump()
        before = None if entry.wish is None else entry.wish.grace
        entry.wish = Cancel(before if grace is None else grace)
        return entry.stop()

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

    def stop_all(self, grace: float | None = None) -> list[Action]:
        """Tell every running attempt to end, one that is about to start as soon as it has; all but cancelled ones
        will be put back."""
        for entry in self._running.values():
            entry.wish = Cancel(grace) if isinstance(entry.wish, Cancel) else PutBack(grace)
        return [stop for entry in self._running.values() for stop in entry.stop()]

    # -- decisions -------------------------------------------------------------------------------

    def _pump(self) -> list[Action]:
        """Start what may start, then ask for more where there is room for it."""
        actions: list[Action] = []
        if self.draining:
            return actions
        while self._idle and (job := self.ready.take(self._may_start)):
            worker = next(iter(self._idle))
            del self._idle[worker]
            job = replace(job, attempt=job.attempt + 1)
            self._occupy(_Entry(job, Starting(worker)))
            actions.append(Start(job, worker))
        if not self._fetching and (wanted := self._wanted()):
            self._fetching = True
            known = {job: queue for queue in wanted for job in self.ready.ids(queue)}
            actions.append(Fetch(wanted, known))
        return actions

    def _may_start(self, job: Job) -> bool:
        return not reasons(job, self.situation())

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
        room = self.capacities.room(queue)
        return self.ready.capacity if room is None else min(self.ready.capacity, room)

    def _admit(self, job: Job) -> None:
        """Into the ready queue, unless the job runs. What must leave the ready queue for that stays queued in the
        store, and is asked for later."""
        if job.id in self._running:
            return
        if (evicted := self.ready.put(job)) is not None:
            self._hungry[evicted.queue] = None
        if self.ready.count(job.queue) > self._allowed(job.queue):
            self.ready.remove_worst(job.queue)
            self._hungry[job.queue] = None

    def _occupy(self, entry: _Entry) -> None:
        job = entry.job
        assert job.id not in self._running, f"job {job.id} runs already"
        self._running[job.id] = entry
        self.capacities.occupy(job)

    def _vacate(self, job: int) -> _Entry:
        entry = self._running.pop(job)
        self.capacities.vacate(entry.job)
        queue = entry.job.queue
        if queue in self._hungry and self.capacities.bounded(queue):
            self._freed.add(queue)  # it could not be looked at: the best job of all may wait there
        return entry

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        self.ready.sanity_check()
        assert not {j.id for j in self.ready} & self._running.keys()
        for queue in self.ready.queues:
            assert self.ready.count(queue) <= self._allowed(queue), "ready, but cannot start soon"
        busy = [worker for entry in self._running.values() if (worker := entry.worker) is not None]
        assert len(busy) == len(set(busy)), "a worker has two jobs"
        assert not set(busy) & self._idle.keys(), "a busy worker counts as idle"
        self.capacities.sanity_check({id_: entry.job for id_, entry in self._running.items()})
