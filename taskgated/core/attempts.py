"""The life of attempts: from the moment a start is decided until its outcome is known and nothing of it is left.

All that time the job counts against every limit. An event is said here of one attempt; what there is to be done about
it comes back as actions. ``core/phases.py`` says how far an attempt may have come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from taskgated.core.capacity import Capacities
from taskgated.core.fair import Fair
from taskgated.core.job import Interrupted, Job, Outcome
from taskgated.core.lifecycle import Verdict, judge
from taskgated.core.phases import Bereft, Cancel, Course, Phase, PutBack, Running, Starting, Wish


@dataclass(frozen=True, slots=True)
class Start:
    """Make a start durable; then call ``started``. ``strict``: unless another of its queue has to start first."""

    job: Job
    worker: str
    strict: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether a power cut may undo it, so that its worker need not wait for the disk. A power cut ends the job as
        well, and where it may run again it may do so under the same number. But a job that ``expires`` would be said
        to have not started in time."""
        return self.job.spec.interrupted is Interrupted.RERUN and self.job.expires in (None, self.job.deadline)


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


Told = Run | Finish | Abandon | Stop
"""What an event of an attempt leaves to be done."""


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

    def stop(self) -> list[Told]:
        """Tell its worker of the wish. One that has not been told of the attempt itself hears of both together."""
        if self.wish is None or not isinstance(self.phase, Running):
            return []
        return [Stop(self.job.id, self.job.attempt, self.phase.worker, self.wish.grace)]


class Attempts:
    """Those that count, each once by its job. Workers are names. ``chance``: a random number in [0, 1) for each
    retry; ``left``: the seconds until the deadline of a job, infinity where it has none."""

    def __init__(
        self, capacities: Capacities, fair: Fair, chance: Callable[[], float], left: Callable[[Job], float]
    ) -> None:
        self._capacities = capacities
        self._fair = fair
        self._chance = chance
        self._left = left
        self._entries: dict[int, _Entry] = {}

    # -- what there is ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job: int) -> bool:
        """Whether it counts: its start is decided, and something of it may be left."""
        return job in self._entries

    @property
    def starting(self) -> bool:
        """Whether a start is decided that is not durable yet: its worker has not been told."""
        return any(not isinstance(entry.phase, Running) for entry in self._entries.values())

    def job_of(self, worker: str) -> Job | None:
        """What a worker has, or is about to get."""
        return next((entry.job for entry in self._entries.values() if entry.worker == worker), None)

    def of(self, queue: str) -> list[int]:
        """Those of one queue."""
        return [id_ for id_, entry in self._entries.items() if entry.job.queue == queue]

    def courses(self) -> list[Course]:
        """The attempts that a worker has been given."""
        return [
            Course(entry.job, entry.phase.worker, entry.wish)
            for entry in self._entries.values()
            if isinstance(entry.phase, Running)
        ]

    def cancelled(self, job: int) -> bool:
        """Whether it runs, and is to be over once that attempt has ended."""
        return job in self._entries and isinstance(self._entries[job].wish, Cancel)

    def ending(self, job: int) -> bool:
        """Whether it runs, and its attempt is to end before its time."""
        return job in self._entries and self._entries[job].wish is not None

    # -- they begin ------------------------------------------------------------------------------

    def begin(self, job: Job, worker: str) -> Start:
        """The next attempt of a job is to start on that worker."""
        job = replace(job, attempt=job.attempt + 1)
        self._occupy(_Entry(job, Starting(worker)))
        return Start(job, worker, job.queue in self._capacities.policy.strict)

    def adopt(self, job: Job, worker: str, *, cancelled: bool = False) -> None:
        """At start: a job still runs (or may) from before. It counts from now on."""
        self._occupy(_Entry(job, Running(worker), Cancel() if cancelled else None))

    def recognized(self, job: int, worker: str) -> None:
        """Now it is known which worker runs a job that was adopted."""
        self._entries[job].phase = Running(worker)

    def started(self, job: int) -> list[Told]:
        """The store has the start of the attempt."""
        entry = self._entries[job]
        match entry.phase:
            case Starting(worker):
                entry.phase = Running(worker)
                return [Run(entry.job, worker), *entry.stop()]
            case Bereft(worker):
                entry.phase = Running(worker)
                return [Abandon(entry.job)]
            case Running():
                raise AssertionError(f"job {job} was started already")

    def refused(self, job: int) -> tuple[Job, str | None]:
        """The store would not start it: it does not count any more. Returns it, with its worker if that lives."""
        entry = self._vacate(job)
        self._fair.ended(entry.job, None)
        return entry.job, entry.worker

    # -- they end --------------------------------------------------------------------------------

    def ended(self, outcome: Outcome, worker: str | None, *, crashed: bool = False) -> Finish | None:
        """An attempt is over and nothing of it is left. A report of any other attempt changes nothing."""
        entry = self._entries.get(outcome.job)
        if entry is None or entry.job.attempt != outcome.attempt or not isinstance(entry.phase, Running):
            return None
        if worker not in (None, entry.phase.worker):  # one that has not got it cannot say how it ended
            return None
        cancelled = self.cancelled(outcome.job)
        self._vacate(outcome.job)
        self._fair.ended(entry.job, outcome)
        left = self._left(entry.job)
        verdict = judge(entry.job, outcome, cancelled=cancelled, crashed=crashed, chance=self._chance(), left=left)
        return Finish(entry.job, outcome, verdict, worker)

    def worker_died(self, worker: str) -> Job | None:
        """A worker is gone. Returns the job that it may have been running: that one still counts until ``ended``
        says that nothing of it is left."""
        for entry in self._entries.values():
            match entry.phase:
                case Running(its) if its == worker:
                    return entry.job
                case Starting(its) if its == worker:
                    entry.phase = Bereft(worker)
        return None

    def cancel(self, job: int, grace: float | None = None) -> list[Told]:
        """It is to end, and its job with it. ``grace`` as in ``Stop``; None also leaves what was said before."""
        entry = self._entries[job]
        before = None if entry.wish is None else entry.wish.grace
        entry.wish = Cancel(before if grace is None else grace)
        return entry.stop()

    def put_back(self, queue: str) -> list[Told]:
        """All of that queue are to end, and their jobs to run again later; of which that is not wished yet."""
        wanted = [one for one in self._entries.values() if one.wish is None and one.job.queue == queue]
        for entry in wanted:
            entry.wish = PutBack()
        return [stop for entry in wanted for stop in entry.stop()]

    def stop_all(self, grace: float | None = None) -> list[Told]:
        """All are to end, one that is about to start as soon as it has; all but cancelled ones will be put back."""
        for entry in self._entries.values():
            entry.wish = Cancel(grace) if isinstance(entry.wish, Cancel) else PutBack(grace)
        return [stop for entry in self._entries.values() for stop in entry.stop()]

    # -- what counts -----------------------------------------------------------------------------

    def _occupy(self, entry: _Entry) -> None:
        job = entry.job
        assert job.id not in self._entries, f"job {job.id} runs already"
        self._entries[job.id] = entry
        self._capacities.occupy(job)
        self._fair.begun(job)

    def _vacate(self, job: int) -> _Entry:
        entry = self._entries.pop(job)
        self._capacities.vacate(entry.job)
        return entry

    def sanity_check(self) -> set[str]:
        """Every invariant that must hold between two events; for tests. Returns the workers that are busy."""
        busy = [worker for entry in self._entries.values() if (worker := entry.worker) is not None]
        assert len(busy) == len(set(busy)), "a worker has two jobs"
        self._capacities.sanity_check({id_: entry.job for id_, entry in self._entries.items()})
        return set(busy)
