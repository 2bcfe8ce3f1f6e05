"""Why a job does not start now, as data: each reason with its kind and its numbers.

A new reason is a class here, in ``Reason``, and its words in ``control/reasons.py``; where its kind had no reason
until now, what to do about that kind stands there as well. Where it is known when a reason ends, it says so as
``left`` (microseconds).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, get_args

from taskgated.core.after import FOR_OTHERS, Waited, When
from taskgated.core.job import Job
from taskgated.core.kinds import Kind
from taskgated.core.machine import Tight
from taskgated.core.probe import Says
from taskgated.core.shortages import Shortage
from taskgated.core.state import State


@dataclass(frozen=True, slots=True)
class Held:
    """It is held until it is released."""

    kind: ClassVar[Kind] = Kind.HELD


@dataclass(frozen=True, slots=True)
class NotDue:
    """Its time has not come; ``left``: microseconds until then, by the clock that it is due in."""

    kind: ClassVar[Kind] = Kind.TIME
    left: int


@dataclass(frozen=True, slots=True)
class QueueFull:
    """Its queue runs as many as it may, or more after a reload."""

    kind: ClassVar[Kind] = Kind.QUEUE_LIMIT
    queue: str
    running: int
    limit: int


@dataclass(frozen=True, slots=True)
class ArrayFull:
    """As many jobs of its array as may run at once came before it. ``array``: the id of that one's first job. The
    array is a queue within its queue, so the kind is that of a queue's limit."""

    kind: ClassVar[Kind] = Kind.QUEUE_LIMIT
    array: int
    at_most: int


@dataclass(frozen=True, slots=True)
class NotOver:
    """It runs after another job, which has not ended as it should. ``job``: that one, or the first of that array;
    ``state``: in which it is, of an array that of one of its jobs."""

    kind: ClassVar[Kind] = Kind.AFTER
    job: int
    name: str
    when: When
    state: State | None
    array: bool


@dataclass(frozen=True, slots=True)
class NotDropped:
    """It runs after another job, and none of that name has been dropped. ``patience``: microseconds until it is
    cancelled for that."""

    kind: ClassVar[Kind] = Kind.AFTER
    name: str
    when: When
    patience: int


@dataclass(frozen=True, slots=True)
class ConditionLost:
    """It runs after another job, and what is known of it does not say after which: the database is damaged."""

    kind: ClassVar[Kind] = Kind.AFTER


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody has paused its queue."""

    kind: ClassVar[Kind] = Kind.PAUSED
    queue: str


@dataclass(frozen=True, slots=True)
class AllPaused:
    """Somebody has paused all queues."""

    kind: ClassVar[Kind] = Kind.PAUSED


@dataclass(frozen=True, slots=True)
class RateUsedUp:
    """As many jobs of its queue have started as may ``per`` so many seconds; ``left``: microseconds until one more
    may."""

    kind: ClassVar[Kind] = Kind.RATE
    queue: str
    starts: int
    per: float
    left: int


@dataclass(frozen=True, slots=True)
class UserFull:
    """Its user runs as many as one may over all queues, or more after a reload."""

    kind: ClassVar[Kind] = Kind.USER_LIMIT
    owner: str
    running: int
    limit: int


@dataclass(frozen=True, slots=True)
class UserFullInQueue:
    """Its user runs as many of its queue as one may, or more after a reload."""

    kind: ClassVar[Kind] = Kind.USER_LIMIT
    owner: str
    queue: str
    running: int
    limit: int


@dataclass(frozen=True, slots=True)
class RetriesUsedUp:
    """It has failed before, and of the starts of its queue no more than that ``share`` may be such; ``next``: seconds
    until one of them may start in any case, which need not be this one."""

    kind: ClassVar[Kind] = Kind.RATE
    queue: str
    share: float
    next: float


@dataclass(frozen=True, slots=True)
class BreakerOpen:
    """``failures`` jobs of its queue in a row have failed, or one that was tried since; ``left``: microseconds until
    one is tried."""

    kind: ClassVar[Kind] = Kind.BREAKER
    queue: str
    failures: int
    left: int


@dataclass(frozen=True, slots=True)
class CanaryFirst:
    """After failures of its queue one job is tried alone, and runs: ``job``."""

    kind: ClassVar[Kind] = Kind.BREAKER
    queue: str
    job: int


@dataclass(frozen=True, slots=True)
class ProbeUnasked:
    """The probe of its queue has said nothing that still holds. ``stuck``: processes of its last look that cannot be
    killed, in words; "": it is being asked, or will be as soon as a job waits for nothing else of its own."""

    kind: ClassVar[Kind] = Kind.PROBE
    probe: str
    stuck: str


@dataclass(frozen=True, slots=True)
class ProbeSays:
    """The probe of its queue keeps it shut. ``answer``: what it said last (``core/probe.py``), ``words``: and why;
    ``age``: seconds since then."""

    kind: ClassVar[Kind] = Kind.PROBE
    probe: str
    answer: Says
    words: str
    age: int


@dataclass(frozen=True, slots=True)
class ProbeUsedUp:
    """As many have started as the probe of its queue allowed, ``age`` seconds ago; ``words``: what else it said."""

    kind: ClassVar[Kind] = Kind.PROBE
    probe: str
    allowed: int
    words: str
    age: int


@dataclass(frozen=True, slots=True)
class OutsideWindows:
    """Its queue is closed at this time. ``opens``: when one of its windows opens next, at the earliest, by the wall
    clock, and ``left``: microseconds until then; None: none does any more."""

    kind: ClassVar[Kind] = Kind.WINDOW
    queue: str
    opens: int | None
    left: int | None


@dataclass(frozen=True, slots=True)
class NotThere:
    """What it requires was not there when it was looked last. ``words``: what the look has said of that; ``age``:
    seconds since then; None: it was not looked yet, or so long ago that it is not known here."""

    kind: ClassVar[Kind] = Kind.REQUIRES
    words: str = ""
    age: int | None = None


@dataclass(frozen=True, slots=True)
class AllBusy:
    """As many jobs run as may run in all."""

    kind: ClassVar[Kind] = Kind.LIMIT
    running: int
    limit: int


@dataclass(frozen=True, slots=True)
class NoWorker:
    """Another job may run, and no idle worker is there for it."""

    kind: ClassVar[Kind] = Kind.WORKERS
    running: int
    workers: int


@dataclass(frozen=True, slots=True)
class Draining:
    """Nothing is started any more."""

    kind: ClassVar[Kind] = Kind.STOPPING


@dataclass(frozen=True, slots=True)
class NothingRecorded:
    """No start can be recorded, so none happens; ``trouble``: why, as the store says."""

    kind: ClassVar[Kind] = Kind.MACHINE
    trouble: str


@dataclass(frozen=True, slots=True)
class NotItsTurn:
    """Others have their turn first: ``before`` of its own queue, as far as they were counted; where that is 0, it may
    start at this moment, and those of other queues that are better before it. None: its users share the queue fairly,
    so it is not known how many do."""

    kind: ClassVar[Kind] = Kind.ORDER
    queue: str
    before: int | None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Its queue is strict, and ``job`` has to start before it."""

    kind: ClassVar[Kind] = Kind.ORDER
    queue: str
    job: int


@dataclass(frozen=True, slots=True)
class AboutToStart:
    """Its turn has come: its start is decided, and not on record yet."""

    kind: ClassVar[Kind] = Kind.ORDER


@dataclass(frozen=True, slots=True)
class MachineUnread:
    """How the machine is has not been looked at lately; it is as soon as a job waits for nothing else of its own."""

    kind: ClassVar[Kind] = Kind.MACHINE
    queue: str


@dataclass(frozen=True, slots=True)
class MachineTight:
    """These figures of the machine keep its queue shut."""

    kind: ClassVar[Kind] = Kind.MACHINE
    queue: str
    figures: tuple[Tight, ...]


@dataclass(frozen=True, slots=True)
class LoadToCome:
    """What has started lately will bring the load to the ``bound`` of its queue, or beyond: ``load`` it is now, and
    ``coming`` is more than that."""

    kind: ClassVar[Kind] = Kind.MACHINE
    queue: str
    load: float
    coming: float
    bound: float


@dataclass(frozen=True, slots=True)
class JustStarted:
    """As many jobs of its queue have started, ``allowed``, as may before the machine is looked at again."""

    kind: ClassVar[Kind] = Kind.MACHINE
    queue: str
    allowed: int


DoorReason = (
    QueueFull
    | Paused
    | AllPaused
    | OutsideWindows
    | RateUsedUp
    | RetriesUsedUp
    | BreakerOpen
    | CanaryFirst
    | ProbeUnasked
    | ProbeSays
    | ProbeUsedUp
    | MachineUnread
    | MachineTight
    | LoadToCome
    | JustStarted
)
"""Those of what closes a whole queue (``core/doors.py``)."""

Reason = (
    Held
    | NotDue
    | NotThere
    | QueueFull
    | ArrayFull
    | UserFull
    | UserFullInQueue
    | Shortage
    | NotOver
    | NotDropped
    | ConditionLost
    | AllBusy
    | NoWorker
    | Draining
    | NothingRecorded
    | NotItsTurn
    | HeldBack
    | AboutToStart
    | DoorReason
)

REASONS: tuple[type[Reason], ...] = get_args(Reason)
"""All the classes of reasons."""


def of_conditions(conditions: Collection[Waited], job: Job) -> Iterator[Reason]:
    """What a job waits for of other jobs."""
    if job.parked and job.waits == FOR_OTHERS and not conditions:
        yield ConditionLost()
    for one in conditions:
        if one.job is not None:
            yield NotOver(one.job, one.name, one.when, one.state, one.array)
        else:
            yield NotDropped(one.name, one.when, one.left or 0)


def known_end(reasons: Iterable[Reason]) -> int | None:
    """In how many microseconds the last of these reasons is gone; None: of one of them nobody can say."""
    last = 0
    for reason in reasons:
        left: int | None = getattr(reason, "left", None)
        if left is None:
            return None
        last = max(last, left)
    return last
