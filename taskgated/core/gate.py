"""The gate itself: events in, actions out.

It knows which workers are idle, what runs, and the few jobs that are to start next; the backlog it knows
only by asking for more (``Fetch``). Every method takes an event and returns what is to be done about it, in
order. It does nothing itself and asks nobody the time.

A job counts against every limit from the moment its start is decided until its outcome is known and nothing
of it is left. Only then is its place given to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from taskgated.core.gates import Situation, reasons
from taskgated.core.job import Job, Outcome, Result
from taskgated.core.lifecycle import Verdict, judge
from taskgated.core.ready import ReadyQueue


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of the configuration that decides. ``limits``: only of the queues that have one."""

    workers: int
    ready_queue: int
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the store for the best queued jobs: at most so many of each of these queues, those ``known`` (per
    id their queue) left out of the answer."""

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
class Stop:
    """Tell a worker to end its attempt; ``grace``: seconds from SIGTERM to SIGKILL, None as the job says."""

    job: int
    attempt: int
    worker: str
    grace: float | None = None


Action = Fetch | Start | Run | Finish | Stop


@dataclass(frozen=True, slots=True)
class Course:
    """An attempt that runs, for all the gate knows: on which worker, and whether it is to end before its time,
    with so many seconds from SIGTERM to SIGKILL (None: as the job says)."""

    job: Job
    worker: str
    ending: bool
    grace: float | None


@dataclass(slots=True)
class _Running:
    job: Job  # with its current attempt's number
    worker: str
    durable: bool = False  # the store has the start
    gone: bool = False  # its worker died before the start was durable: it never ran
    cancelled: bool = False
    stopped: bool = False  # it is to be put back, and can be told so only when its start is durable
    grace: float | None = None


class Gate:
    """The state of the gate. Workers are names; the caller knows the processes behind them."""

    def __init__(self, policy: Policy, queues: Iterable[str], chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self.ready = ReadyQueue(policy.ready_queue)
        self._running: dict[int, _Running] = {}
        self._per_queue: dict[str, int] = {}
        self._idle: dict[str, None] = {}  # in order: the one idle longest first
        self._hungry: dict[str, None] = dict.fromkeys(queues)  # queues that may hold jobs we have not seen
        self._fetching = False
        self._stale = False  # the answer under way was asked for before something changed
        self._freed: set[str] = set()  # queues below their limit again since the last question
        self._newcomer: int | None = None  # the best priority that came since the last question
        self.draining = False

    # -- what it says of itself ------------------------------------------------------------------

    def situation(self, steady: int = 0, wall: int = 0) -> Situation:
        return Situation(
            limits=self._policy.limits,
            running=self._per_queue,
            total=self._policy.workers,
            total_running=len(self._running),
            idle=len(self._idle),
            draining=self.draining,
            steady=steady,
            wall=wall,
        )

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def starting(self) -> bool:
        """Whether a start is decided that is not durable yet: its worker has not been told."""
        return any(not entry.durable for entry in self._running.values())

    def job_of(self, worker: str) -> Job | None:
        return next((r.job for r in self._running.values() if r.worker == worker), None)

    def courses(self) -> list[Course]:
        """The attempts that a worker has been given."""
        return [
            Course(entry.job, entry.worker, entry.cancelled or entry.stopped, entry.grace)
            for entry in self._running.values()
            if entry.durable
        ]

    def runs(self, job: int) -> bool:
        return job in self._running

    def cancelled(self, job: int) -> bool:
        """Whether it runs, and somebody wants it to end."""
        return job in self._running and self._running[job].cancelled

    # -- events ----------------------------------------------------------------------------------

    def reload(self, policy: Policy, queues: Iterable[str]) -> list[Action]:
        """A new configuration: what runs is not touched, what is ready is chosen anew."""
        self._policy = policy
        self._hungry.update(dict.fromkeys([*queues, *(job.queue for job in self.ready)]))
        self.ready = ReadyQueue(policy.ready_queue)
        self._stale = self._fetching
        return self._pump()

    def adopt(self, job: Job, worker: str, *, cancelled: bool = False) -> None:
        """At start: a job still runs (or may) from before. It counts from now on."""
        self._occupy(job, worker)
        self._running[job.id].durable = True
        self._running[job.id].cancelled = cancelled

    def recognized(self, job: int, worker: str) -> None:
        """Now it is known who runs a job that was adopted."""
        self._running[job].worker = worker

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
        entry.durable = True
        if entry.gone:
            never = Outcome(job, entry.job.attempt, Result.KILLED, message="its worker died before the start")
            return self.ended(never, None)
        out: list[Action] = [Run(entry.job, entry.worker)]
        if entry.cancelled or entry.stopped:
            out.append(Stop(job, entry.job.attempt, entry.worker, entry.grace))
        return out

    def start_refused(self, job: int) -> list[Action]:
        """The store would not start it (cancelled in the meantime): its worker is free again."""
        entry = self._vacate(job)
        return self._pump() if entry.gone else self.worker_idle(entry.worker)

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> list[Action]:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        entry = self._running.get(outcome.job)
        if entry is None or entry.job.attempt != outcome.attempt or not entry.durable:
            return []
        if worker is not None and worker != entry.worker:  # whoever has not got it cannot say how it ended
            return []
        self._vacate(outcome.job)
        verdict = judge(entry.job, outcome, cancelled=entry.cancelled, crashed=crashed, chance=self._chance())
        finish = Finish(entry.job, outcome, verdict, worker)
        return [finish, *self._pump()]

    def worker_died(self, worker: str) -> Job | None:
        """A worker is gone. Returns the job that it may have been running: that one still counts until
        whoever looks after dead workers reports with ``ended`` that nothing of it is left."""
        self._idle.pop(worker, None)
        for entry in self._running.values():
            if entry.worker == worker:
                if entry.durable:
                    return entry.job
                entry.gone = True
        return None

    def cancel(self, job: int, grace: float | None = None) -> list[Action]:
        """Somebody wants the job to end: told to its worker when it runs, else only forgotten here."""
        entry = self._running.get(job)
        if entry is None:
            self.ready.remove(job)
            return self._pump()
        entry.cancelled = True
        if grace is not None:
            entry.grace = grace
        return [Stop(job, entry.job.attempt, entry.worker, grace)] if entry.durable and not entry.gone else []

    def forget(self, job: int) -> None:
        """A queued job is no candidate any more (held, cancelled, expired)."""
        self.ready.remove(job)

    def drain(self) -> None:
        """Start nothing more."""
        self.draining = True

    def stop_all(self, grace: float | None = None) -> list[Action]:
        """Tell every running attempt to end, one that is about to start as soon as it has; they will be put back."""
        for entry in self._running.values():
            entry.stopped, entry.grace = True, grace
        return [
            Stop(r.job.id, r.job.attempt, r.worker, grace) for r in self._running.values() if r.durable and not r.gone
        ]

    # -- decisions -------------------------------------------------------------------------------

    def _pump(self) -> list[Action]:
        """Start what may start, then ask for more where there is room for it."""
        actions: list[Action] = []
        if self.draining:
            return actions
        while self._idle and (job := self.ready.take(lambda j: not reasons(j, self.situation()))):
            worker = next(iter(self._idle))
            del self._idle[worker]
            job = replace(job, attempt=job.attempt + 1)
            self._occupy(job, worker)
            actions.append(Start(job, worker))
        if not self._fetching and (wanted := self._wanted()):
            self._fetching = True
            actions.append(Fetch(wanted, {j.id: j.queue for j in self.ready}))
        return actions

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
        limit = self._policy.limits.get(queue)
        capacity = self.ready.capacity
        return capacity if limit is None else min(capacity, limit - self._per_queue.get(queue, 0))

    def _admit(self, job: Job) -> None:
        """Into the ready queue, unless it runs; what must leave it for that stays queued in the store, to be asked
        for later."""
        if job.id in self._running:
            return
        if (evicted := self.ready.put(job)) is not None:
            self._hungry[evicted.queue] = None
        if self.ready.count(job.queue) > self._allowed(job.queue):
            self.ready.remove_worst(job.queue)
            self._hungry[job.queue] = None

    def _occupy(self, job: Job, worker: str) -> None:
        assert job.id not in self._running, f"job {job.id} runs already"
        self._running[job.id] = _Running(job, worker)
        self._per_queue[job.queue] = self._per_queue.get(job.queue, 0) + 1

    def _vacate(self, job: int) -> _Running:
        entry = self._running.pop(job)
        self._per_queue[entry.job.queue] -= 1
        if not self._per_queue[entry.job.queue]:
            del self._per_queue[entry.job.queue]
        if entry.job.queue in self._hungry and entry.job.queue in self._policy.limits:
            self._freed.add(entry.job.queue)  # it could not be looked at: the best job of all may wait there
        return entry

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        assert len(self.ready) <= self.ready.capacity
        assert not {j.id for j in self.ready} & self._running.keys()
        for queue, limit in self._policy.limits.items():
            ready = self.ready.count(queue)
            assert not ready or ready + self._per_queue.get(queue, 0) <= limit, "ready, but cannot start soon"
        ranks = [j.rank for j in self.ready]
        assert ranks == sorted(ranks)
        busy = [r.worker for r in self._running.values() if not r.gone]
        assert len(busy) == len(set(busy)), "a worker has two jobs"
        assert not set(busy) & self._idle.keys(), "a busy worker counts as idle"
        assert self._per_queue == Counter(r.job.queue for r in self._running.values())
