"""What every store does, in verbs of the domain: ``Questions`` change nothing, the other verbs are those of
``Store``.

A verb is one transition that the state machine allows, or an error that changed nothing. Verbs that arrive together
are a group (``groups``), which happens as a whole, and is on stable storage after its ``commit``. Outside of the
folder of a store nothing knows which one it is, nor sees a row.

Times are microseconds since the epoch, and of three clocks, all of the host on which the store is. No verb takes a
time of its caller to decide by: several hosts may use one store, and each of their clocks may be wrong. They say how
long, and the store says until when.
- the wall clock, for what people read, and for jobs that are due at a date; it may be stepped;
- ``Store.clock``, the *steady* one, by which a job is due after a delay, or expires; the store keeps it the same for
  all daemons of one boot, and no step of the wall clock moves it;
- ``Store.uptime``, in which ages are counted; the store carries it on from boot to boot.

Every verb and every question may raise these, and no other error of what is below the store. Their kinds say what
there is to be done, which is the same whether the store is a file or a server:

- ``StoreTrouble``: it cannot be used now, and that may pass (``DiskTrouble``: it is its disk that refuses). The group
  can be rolled back, and done again.
- ``Damaged``: the database is not what was written.
- ``Impossible``: that value, or that verb, never can be done. The group is half done, and has to be rolled back.
- ``NotYours``: somebody else has taken over what this process did here, as a second host that held this one for dead.
  It is final. To try again would be to take back what the other decides now; so the process ends, and a new one
  begins with what it finds.

What else a verb raises is said of it. ``IllegalTransition`` and ``NoSuchJob`` mean that nothing was changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from taskgated.core.after import Waited
from taskgated.core.job import Claim, Clock, Element, Job, Outcome, Result, Spec
from taskgated.core.lifecycle import Verdict
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.host.clock import MICROSECONDS, Steady, Uptime
from taskgated.store.after import Awaiting, Resolving
from taskgated.store.arrays import Group, Swept
from taskgated.store.byhand import ByHand, Standing
from taskgated.store.groups import Groups
from taskgated.store.memory import Remembered, Remembering
from taskgated.store.naming import Naming, Unnamed
from taskgated.store.overrides import Overridden, Overriding
from taskgated.store.placement import Placement
from taskgated.store.requirements import Looked, Looking
from taskgated.store.turns import Next, Reorder
from taskgated.store.waiting import WaitingQuestions, WaitingVerbs
from taskgated.store.waking import Woken, ends


@dataclass(frozen=True, slots=True)
class Addition:
    """Jobs from one claimed file: parts ``first``, ``first + 1``, ... of it.

    Parts that are known already are left out, so that the same file can be added again after a crash. ``keep``: the
    claimed file itself is what the (only) job works on; it must stay until that job is over. ``owner``, ``uid``:
    whose it was (``core/owner.py``); ``source``: the name that it had, ``directory``: that of the directory in the
    spool in which it lay, "" for the spool itself; None: nobody knows. ``plan``: what all parts are, in a text of the
    caller's; that of the first addition is kept. ``awaited``: parts for which later ones wait.
    """

    claim: Claim
    first: int
    specs: Sequence[Spec]
    source: str
    owner: str
    uid: int
    keep: bool = False
    directory: str | None = None
    plan: str = ""
    awaited: Collection[int] = ()

    @property
    def coming(self) -> int:
        """How many jobs of the array with which it ends come later."""
        last = self.specs[-1].array if self.specs else Element()
        return last.count - last.place - 1 if last.count else 0

    def job(self, spec: Spec, wall: int, steady: int, turn: int) -> Job:
        """The job that one of its specs is from this moment on; its id is the store's to give."""
        due, due_clock = None, Clock.STEADY
        if spec.not_before is not None:
            due, due_clock = spec.not_before, Clock.WALL
        elif spec.delay > 0:
            due = steady + int(spec.delay * MICROSECONDS)
        elif spec.requires is not None:
            due, due_clock = steady, Clock.LOOK
        expires, deadline = ends(spec, steady)
        return Job(
            id=0,
            queue=spec.queue,
            priority=spec.priority,
            state=State.QUEUED,
            spec=spec,
            owner=self.owner,
            turn=turn,
            source=self.source,
            submitted=wall,
            due=due,
            due_clock=due_clock,
            expires=expires,
            deadline=deadline,
            claim=self.claim if self.keep else None,
            nested=False if self.directory == "" else True if self.directory == spec.queue else None,
        )


@dataclass(frozen=True, slots=True)
class Added:
    """What an ``add`` brought: the new jobs' ids; per lane the rank of the first of those that may start at
    once; those jobs themselves (``fresh``) if they are few, else none; whether any new job has to do with
    time; and those that are ``cancelled``, as their array was. Of jobs with a key: those that were ``skipped``, each
    with the job for which, and queued ones that were ``replaced``, each with the job that came; and kept files to let
    go."""

    jobs: Sequence[int]
    best: Mapping[Lane, Rank]
    fresh: Sequence[Job]
    timed: bool
    cancelled: Sequence[int] = ()
    skipped: Mapping[int, int] = field(default_factory=dict)
    replaced: Mapping[int, int] = field(default_factory=dict)
    let_go: Sequence[Claim] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """A job that was running when the last daemon ended. ``placement``: where, as ``start`` was told."""

    job: Job
    placement: Placement
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of an attempt, or a cancel, left: the state, and a kept file to let go. ``came``: lane and rank of
    the first job that may run now, this one if it may run again at once, or another of its line."""

    state: State
    let_go: Claim | None
    came: tuple[Lane, Rank] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The record of one attempt."""

    number: int
    placement: Placement
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
    owner: str
    uid: int
    submitted: int
    started: int | None
    finished: int | None
    due: int | None
    exit_code: int | None
    signal: int | None
    result: Result | None
    reason: str
    array: int | None = None


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


FIRST_OVER = (-1, 0)
"""Before all jobs that are over."""


@dataclass(frozen=True, slots=True)
class OverPage:
    """Jobs that are over, in the order of that: ``jobs``, whose output was not noted to be removed, and ``noted``,
    whose output was. ``next``: where to go on, also if none was found here; None: there are no more."""

    jobs: Sequence[int]
    next: tuple[int, int] | None
    noted: Sequence[int] = ()


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
    """A piece of a listing. ``next``: where to go on, also if nothing was found here; None: there is no more.
    ``after``: what those that wait for others wait for, as ``waits_for`` has it, ``LISTED`` of each at most."""

    records: Sequence[Record]
    next: int | None
    after: Mapping[int, Sequence[Waited]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a listing shows; empty means all. ``array``: those of that one, by the id of its first job; of which
    ``index``: the one with that."""

    states: Sequence[State] = ()
    queues: Sequence[str] = ()
    array: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one job. ``output_removed``: when it was noted that its output goes, as there was too much;
    ``after``: what it still waits for."""

    record: Record
    job: Job
    attempts: Sequence[Attempt]
    cancelled: bool
    output_removed: int | None = None
    after: Sequence[Waited] = ()


class Questions(Next, Looking, Standing, Awaiting, Overridden, Remembered, WaitingQuestions, Unnamed, Protocol):
    """What can be asked of a store. Nothing here changes anything, or waits for what changes something elsewhere: a
    view that is opened for reading alone has these, and no more. It sees what was committed.

    One view, or store, is used by one thread at a time. A group (``Groups.begin``) may hold questions: they see what
    the verbs before them did.
    """

    def before(self) -> list[Before]:
        """Jobs in state running; asked once, at the start. Of one that is ``unreadable`` there is what could be
        read."""

    def queued(self) -> int:
        """How many jobs are queued; costs the same at any number of jobs."""

    def queued_by(self, owner: str) -> int:
        """How many queued jobs came from files of this user; costs the same at any number of jobs."""

    def counts(self) -> dict[str, dict[State, int]]:
        """Jobs per queue and state; costs the same at any number of jobs."""

    def last_id(self) -> int:
        """The highest id that was given to a job; 0 when there was none."""

    def known(self, claim: Claim) -> int | None:
        """How many parts of a claimed file were added; None when it was never heard of."""

    def plan(self, claim: Claim) -> str:
        """The plan of a claimed file, of which parts were added; "" if none was told, also by earlier versions."""

    def known_to_earlier(self, claim: Claim) -> bool:
        """Whether the first parts of a claimed file were added by a version that counted the lines of a list
        otherwise (``intake/lists.py``)."""

    def keeper(self, claim: Claim) -> State | None:
        """The state of the job that works on the file of this claim; None if there is none."""

    def worked_on(self, claim: Claim) -> Record | None:
        """The job that works, or worked, on the file of this claim; None if there is none."""

    def data_queues(self) -> Sequence[str]:
        """The queues that were given to ``keep_data_queues`` last."""

    def show(self, job: int, before: int = 2**62, limit: int = ATTEMPTS) -> Details:
        """One job, with its last ``limit`` attempts of those before attempt ``before``; ``NoSuchJob``."""

    def records(self, jobs: Sequence[int]) -> Sequence[Record]:
        """Those of these jobs that there are."""

    def list(self, after: int, limit: int, only: Filter) -> Page:
        """At most ``limit`` jobs with ids over ``after``, oldest first; fewer, where it would have to look at more
        than ``SCANNED`` ids for them."""

    def array(self, array: int) -> Group:
        """The array that is called by that id; ``NoSuchArray``."""

    def cancelling(self) -> Sequence[int]:
        """Arrays of which ``cancel_array`` has not come to the end."""

    def backlog(self, always: Sequence[str] = ()) -> Backlog:
        """What waits, for people; costs about the same at any number of jobs. ``always``: queues to tell of in any
        case."""

    def prunable(self, age: float, count: int, limit: int) -> Sequence[int]:
        """At most ``limit`` jobs that have been over for ``age`` seconds, or are beyond the newest ``count``: those
        that were over first. Not those whose file is still to be let go. Ages are of the store's ``uptime``."""

    def over(self, after: tuple[int, int], limit: int) -> OverPage:
        """The next ``limit`` jobs that are over, those first that were over first. ``after``: ``next`` of the page
        before, or ``FIRST_OVER``."""

    def close(self) -> None:
        """Nothing is asked any more."""


class Store(
    Questions, Groups, Looked, Reorder, ByHand, Resolving, Overriding, Remembering, WaitingVerbs, Naming, Protocol
):
    """One database, to be changed. Every verb here writes; it belongs into a group."""

    clock: Steady
    uptime: Uptime

    def add(self, additions: Sequence[Addition]) -> Added:
        """New jobs, in order of arrival. Those of an array are known by the id of its first; of one that has an
        ``at_most``, so many at most are ready or run at any time, and the others are parked until one is over."""

    def start(
        self, job: int, attempt: int, placement: Placement, queue: str | None = None, *, strict: bool = False
    ) -> int:
        """Attempt number ``attempt`` of a queued job starts there; returns the time, of the wall clock. ``strict``:
        unless one of its queue comes before it that waits for something by name, or behind its line: ``NotFirst``.
        ``IllegalTransition`` if it is not queued, or not in that queue, has expired, or that is not its next attempt.
        What has started once expires at its deadline alone."""

    def finish(self, outcome: Outcome, verdict: Verdict) -> Ended:
        """The running attempt ended. ``IllegalTransition`` when the outcome is not of the current attempt. A job that
        was to be cancelled does not go back to its queue, whatever the verdict, which may have been given before."""

    def cancel(self, job: int) -> Ended:
        """End a job: at once if it does not run; else the wish is recorded and it stays ``running``."""

    def cancel_array(self, array: int, after: int) -> Swept:
        """Cancel a piece of an array: jobs with ids over ``after``, 0 at first. From then on none of it starts, and
        what is still to come of it is cancelled as it comes."""

    def condemn(self, job: int, reason: str) -> Ended | None:
        """A job that can never run or end, because of what the store has of it: it failed, with that reason. None if
        it is over already."""

    def wake(self) -> Woken:
        """By the clocks of the store: let due jobs run, end those that expired or whose deadline has passed;
        ``WOKEN`` of them, the next call does the next."""

    def forget_claims(self, claims: Sequence[Claim]) -> None:
        """These claimed files are gone for good: they need no memory any more."""

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        """These queues, and no others, take data for a handler."""

    def prune(self, jobs: Sequence[int]) -> None:
        """Forget these jobs, as far as they are over; their output is gone already."""

    def note_output(self, jobs: Sequence[int], *, removed: bool) -> None:
        """The output of these jobs, as far as they are over, is removed to make room; or after all it is not."""

    def skip_ids(self, last: int) -> None:
        """New jobs get ids above this one, which is higher than any that was given. Asked for when the store is
        opened; raises ``StoreError``."""

    def tick(self) -> None:
        """Keep how far the clocks have come. That happens with everything that is written, now and then; where
        nothing is written for long, it is asked for."""
