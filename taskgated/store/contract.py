"""What every store does, in verbs of the domain.

A verb is one transition that the state machine allows, or an error that changed nothing. ``begin`` and
``commit`` bracket verbs that arrived together: after ``commit`` returned, all of them are on stable storage.
Outside this package nobody knows which engine it is, nor sees a row.

Times are microseconds since the epoch; ``steady`` ones come from ``clock``, which the store keeps the same
for all daemons of one boot. Ages are counted in ``uptime``, which the store carries on from boot to boot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.clock import MICROSECONDS, Steady, Uptime
from taskgated.core.job import Clock, Job, Outcome, Result, Spec, State
from taskgated.core.lifecycle import Verdict
from taskgated.errors import Damaged


@dataclass(frozen=True, slots=True)
class Addition:
    """Jobs from one claimed file: parts ``first``, ``first + 1``, ... of it.

    Parts that are known already are left out, so that the same file can be added again after a crash.
    ``keep``: the claimed file itself is what the (only) job works on; it must stay until that job is over.
    """

    claim: str
    first: int
    specs: Sequence[Spec]
    source: str
    owner: int
    keep: bool = False

    def job(self, spec: Spec, wall: int, steady: int) -> Job:
        """The job that one of its specs is from this moment on; its id is the store's to give."""
        due, due_clock = None, Clock.STEADY
        if spec.not_before is not None:
            due, due_clock = spec.not_before, Clock.WALL
        elif spec.delay > 0:
            due = steady + int(spec.delay * MICROSECONDS)
        return Job(
            id=0,
            queue=spec.queue,
            priority=spec.priority,
            state=State.QUEUED,
            spec=spec,
            source=self.source,
            submitted=wall,
            due=due,
            due_clock=due_clock,
            expires=None if spec.expires is None else steady + int(spec.expires * MICROSECONDS),
            claim=self.claim if self.keep else None,
        )


@dataclass(frozen=True, slots=True)
class Added:
    """What an ``add`` brought: the new jobs' ids; per queue the best priority of those that may start at
    once; those jobs themselves (``fresh``) if they are few, else none; and whether any new job has to do with
    time."""

    jobs: Sequence[int]
    best: Mapping[str, int]
    fresh: Sequence[Job]
    timed: bool


@dataclass(frozen=True, slots=True)
class Before:
    """A job that was running when the last daemon ended. ``worker``: who ran it, as ``start`` was told."""

    job: Job
    worker: str
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of the passing of time: queues that have more jobs now (with the best priority), jobs that
    expired, kept files to let go, and when to look again, if ever."""

    best: Mapping[str, int]
    expired: Sequence[tuple[int, str, str]]  # id, queue, name
    released: Sequence[str]
    next_steady: int | None
    next_wall: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of an attempt, or a cancel, left: the state, and a kept file to let go."""

    state: State
    released: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The record of one attempt."""

    number: int
    worker: str
    started: int
    finished: int | None
    result: Result | None
    exit_code: int | None
    signal: int | None
    user: float
    system: float
    max_rss: int
    output: int
    omitted: int
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """A job as people see it."""

    id: int
    name: str
    queue: str
    state: State
    priority: int
    attempt: int
    failures: int
    source: str
    owner: int
    submitted: int
    started: int | None
    finished: int | None
    due: int | None
    exit_code: int | None
    signal: int | None
    result: Result | None
    reason: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: jobs per queue and state, of the queues that were asked for and of the ``QUEUES`` busiest; jobs per
    state in all (``totals``); how many ``others`` have jobs; those that are not due yet, per queue (at most
    ``DELAYED_COUNTED`` of them are counted); when the job was submitted that could have run for the longest time, and
    for how many seconds it has waited."""

    counts: Mapping[str, Mapping[State, int]]
    totals: Mapping[State, int]
    others: int
    delayed: Mapping[str, int]
    oldest: int | None
    waited: float


DELAYED_COUNTED = 10_000
QUEUES = 500
ATTEMPTS = 500
"""Attempts of a job that are shown at once, at most."""
SCANNED = 20_000
"""Ids that a listing looks at, at most: so none costs more than some milliseconds, whatever it is after."""
WOKEN = 1000
"""Jobs whose time has come that are dealt with at once, at most, of each kind; others have their turn in between."""


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a listing. ``next``: where to go on, also if nothing was found here; None: there is no more."""

    records: Sequence[Record]
    next: int | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a listing shows; empty means all."""

    states: Sequence[State] = ()
    queues: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one job."""

    record: Record
    job: Job
    attempts: Sequence[Attempt]
    cancelled: bool


class Store(Protocol):
    """One database. Used by one thread at a time."""

    clock: Steady
    uptime: Uptime

    def begin(self, *, early: bool = False) -> None:
        """Start a group of verbs. ``early``: its ``commit`` shall not wait for the disk, ``sync`` will."""

    def commit(self) -> None:
        """All verbs since ``begin`` are on stable storage when this returns; or, of an ``early`` group, they
        are written: no crash of this process undoes them, only a power cut before ``sync`` returned."""

    def sync(self) -> None:
        """The early groups are on stable storage now. Raises ``OSError``: then nobody knows, and the only
        way on is to open the store again."""

    def rollback(self) -> None:
        """None of the verbs since ``begin`` happened."""

    def close(self) -> None: ...

    def add(self, additions: Sequence[Addition]) -> Added:
        """New jobs, in order of arrival."""

    def damage(self, error: Exception) -> Damaged | None:
        """What an error that a verb raised says of the database itself; None if it says nothing against it."""

    def last_id(self) -> int:
        """The highest id that was given to a job; 0 when there was none."""

    def skip_ids(self, last: int) -> None:
        """New jobs get ids above this one, which is higher than any that was given. Asked for when the store is
        opened; raises ``StoreError``."""

    def fetch(self, wanted: Mapping[str, int], known: Collection[int] = (), most: int = 1000) -> list[Job]:
        """The best queued jobs that may run now: of each queue as many as wanted, less those of them that the caller
        knows; and of all that are left the best ``most``. Fewer than that are all there are. Those that are
        ``unreadable`` are for ``condemn``."""

    def start(self, job: int, attempt: int, worker: str) -> int:
        """Attempt number ``attempt`` of a queued job starts; returns the time. ``IllegalTransition`` if it is
        not queued, has expired, or that is not its next attempt. What has started once does not expire any more."""

    def finish(self, outcome: Outcome, verdict: Verdict) -> Ended:
        """The running attempt ended. ``IllegalTransition`` when the outcome is not of the current attempt.

        A job that was to be cancelled does not go back to its queue, whatever the verdict, which may have been given
        before that was known.
        """

    def cancel(self, job: int) -> Ended:
        """End a job: at once if it does not run; else the wish is recorded and it stays ``running``."""

    def condemn(self, job: int, reason: str) -> Ended | None:
        """A job that can never run or end, because of what the store has of it: it failed, with that reason. None if
        it is over already."""

    def hold(self, job: int) -> None:
        """Keep a queued job from starting."""

    def release(self, job: int) -> tuple[str, int]:
        """Let a held job go; returns its queue and priority."""

    def wake(self, wall: int) -> Woken:
        """Let due jobs run, end expired ones: ``WOKEN`` of them, the next call does the next. ``wall``: the wall
        clock."""

    def before(self) -> list[Before]:
        """Jobs in state running; asked once, at start. Of one that is ``unreadable`` there is what could be read."""

    def queues(self) -> list[str]:
        """Queues that have queued jobs."""

    def queued(self) -> int:
        """How many jobs are queued; costs the same at any number of jobs."""

    def queued_by(self, owner: int) -> int:
        """How many queued jobs came from files of this user (uid); costs the same at any number of jobs."""

    def counts(self) -> dict[str, dict[State, int]]:
        """Jobs per queue and state; costs the same at any number of jobs."""

    def known(self, claim: str) -> int | None:
        """How many parts of a claimed file were added; None when it was never heard of."""

    def keeper(self, claim: str) -> State | None:
        """The state of the job that works on the file of this claim; None if there is none."""

    def data_queues(self) -> Sequence[str]:
        """The queues that were given to ``keep_data_queues`` last."""

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        """These queues, and no others, take data for a handler."""

    def settle(self, claims: Sequence[str]) -> None:
        """These claimed files are gone for good: they need no memory any more."""

    def show(self, job: int, before: int = 2**62, limit: int = ATTEMPTS) -> Details:
        """One job, with its last ``limit`` attempts of those before attempt ``before``; ``NoSuchJob``."""

    def records(self, jobs: Sequence[int]) -> Sequence[Record]:
        """Those of these jobs that there are."""

    def list(self, after: int, limit: int, only: Filter) -> Page:
        """At most ``limit`` jobs with ids over ``after``, oldest first; fewer, where it would have to look at more
        than ``SCANNED`` ids for them."""

    def backlog(self, always: Sequence[str] = ()) -> Backlog:
        """What waits, for people; costs about the same at any number of jobs. ``always``: queues to tell of in any
        case."""

    def prunable(self, age: float, count: int, limit: int) -> Sequence[int]:
        """At most ``limit`` jobs that have been over for ``age`` seconds, or are beyond the newest ``count``: those
        that were over first."""

    def tick(self) -> None:
        """Keep how far the clocks have come. That happens with everything that is written, now and then; who writes
        nothing for long asks for it."""

    def prune(self, jobs: Sequence[int]) -> None:
        """Forget these jobs, as far as they are over; their output is gone already."""
