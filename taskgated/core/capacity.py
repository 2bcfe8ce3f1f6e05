"""Demands against capacities: may this job start now? Yes, or all the reasons against it at once, as data.

A job takes so much of each of some capacities: a place in its queue, of its user, among all that run. So much follows
from its lane; what else it needs, it says by name (``core/named.py``). A capacity has a total, which the policy says.
How much of it is in use is summed up over the jobs that run, and counted by no other means. No answer looks at other
queued jobs, so each costs the same at any backlog.

A new capacity is a class beside ``QueuePlaces`` with its reason (``core/reasons.py``), its total in ``Policy``, and
its line in ``demands``, or, of what jobs name themselves, beside ``Tokens`` in ``core/named.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from taskgated.core.doors import Doors
from taskgated.core.job import Clock, Job
from taskgated.core.named import Named, Retries, needs_of
from taskgated.core.order import Lane
from taskgated.core.promises import Promises
from taskgated.core.reasons import (
    AllBusy,
    Draining,
    Held,
    NotDue,
    NotThere,
    NoWorker,
    QueueFull,
    Reason,
    UserFull,
    UserFullInQueue,
)
from taskgated.core.shortages import BehindItsLine, told_of
from taskgated.core.state import State


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of the configuration that decides. ``workers``: jobs that may run at once, each on a worker;
    ``ready_queue``: how many the gate keeps ready; ``limits``: of a queue's jobs at once, of the queues that have a
    limit; ``user_limits``: the same of each user in such a queue; ``limit``: of all jobs at once; ``user_limit``: of
    those of one user, but for the ``users`` (by name) who have a limit of their own. None: no bound.
    ``fair``: queues that are shared fairly; ``weights``: of users (by name), where that is not 1.
    ``strict``: queues in which no job starts before those that come before it.
    ``tokens``: how many there are of each kind."""

    workers: int
    ready_queue: int
    limits: Mapping[str, int] = field(default_factory=dict)
    limit: int | None = None
    user_limit: int | None = None
    users: Mapping[str, int] = field(default_factory=dict)
    user_limits: Mapping[str, int] = field(default_factory=dict)
    fair: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    strict: tuple[str, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def at_once(self) -> int:
        """How many jobs may run at once in all."""
        return self.workers if self.limit is None else min(self.workers, self.limit)


# -- capacities ----------------------------------------------------------------------------------


class Capacity(Protocol):
    """Something of which there is only so much. Equal ones are the same one."""

    def total(self, policy: Policy) -> int | None:
        """How much there is of it; None: it has no bound."""

    def short(self, used: int, total: int, needed: int) -> Reason:
        """Why a demand for so much of it cannot be met."""


@dataclass(frozen=True, slots=True)
class QueuePlaces:
    """How many jobs of a queue run at once."""

    queue: str

    def total(self, policy: Policy) -> int | None:
        return policy.limits.get(self.queue)

    def short(self, used: int, total: int, needed: int) -> Reason:
        return QueueFull(self.queue, used, total)


@dataclass(frozen=True, slots=True)
class UserPlaces:
    """How many jobs of a user run at once, over all queues."""

    owner: str

    def total(self, policy: Policy) -> int | None:
        return policy.users.get(self.owner, policy.user_limit)

    def short(self, used: int, total: int, needed: int) -> Reason:
        return UserFull(self.owner, used, total)


@dataclass(frozen=True, slots=True)
class LanePlaces:
    """How many jobs of a user run at once in a queue."""

    lane: Lane

    def total(self, policy: Policy) -> int | None:
        return policy.user_limits.get(self.lane.queue)

    def short(self, used: int, total: int, needed: int) -> Reason:
        return UserFullInQueue(self.lane.owner, self.lane.queue, used, total)


@dataclass(frozen=True, slots=True)
class AllPlaces:
    """How many jobs run at once in all."""

    def total(self, policy: Policy) -> int | None:
        return policy.at_once

    def short(self, used: int, total: int, needed: int) -> Reason:
        return AllBusy(used, total)


ALL = AllPlaces()


LANES = 4096
"""Of so many it is remembered what follows from them."""


@lru_cache(LANES)
def demands(lane: Lane) -> Mapping[Capacity, int]:
    """How much a job of that lane takes of what, whatever it needs by name (``core/named.py``), from the moment its
    start is decided until nothing of it is left."""
    return {
        QueuePlaces(lane.queue): 1,
        LanePlaces(lane): 1,
        UserPlaces(lane.owner): 1,
        ALL: 1,
    }


def takes(job: Job) -> Iterable[tuple[Capacity, int]]:
    """All that a job takes."""
    return (*demands(job.lane).items(), *needs_of(job))


class Capacities:
    """Who holds how much of what, and what is promised to whom."""

    def __init__(self, policy: Policy, doors: Doors | None = None) -> None:
        self.policy = policy
        self._doors = Doors() if doors is None else doors
        self.promises = Promises()
        self._held: dict[Capacity, dict[int, int]] = {}  # by the job that holds so much of it; none without a holder
        self._scarce: dict[Lane, Sequence[Capacity]] = {}
        self._scarce_by = policy

    @classmethod
    def of(
        cls, policy: Policy, in_use: Iterable[tuple[Capacity, Mapping[int, int]]], doors: Doors | None = None
    ) -> Capacities:
        """Where so much is in use, as ``in_use`` of others has it."""
        capacities = cls(policy, doors)
        capacities._held = {capacity: dict(held) for capacity, held in in_use}
        return capacities

    def in_use(self) -> Mapping[Capacity, Mapping[int, int]]:
        """How much of everything, by the jobs that have it."""
        return self._held

    def occupy(self, job: Job) -> None:
        for capacity, amount in takes(job):
            self._held.setdefault(capacity, {})[job.id] = amount

    def vacate(self, job: Job) -> None:
        for capacity, _ in takes(job):
            held = self._held[capacity]
            del held[job.id]
            if not held:
                del self._held[capacity]

    def short(self, job: Job) -> Iterator[Reason]:
        """Everything of which there is not enough left for a job, or that is promised to another."""
        for capacity, amount in takes(job):
            total, used = capacity.total(self.policy), self.used(capacity)
            if isinstance(capacity, Retries):
                door = self._doors.retries(capacity.queue)
                if door is not None and door.left < amount:
                    yield door.reason
                    continue
            elif total is not None and used + amount > total:
                reason = capacity.short(used, total, amount)
                yield told_of(reason, self._held.get(capacity, ())) if isinstance(capacity, Named) else reason
                continue
            if isinstance(capacity, Named) and (first := self._promised(capacity, amount, job)) is not None:
                yield capacity.promised(first)

    def lacks(self, capacity: Named, amount: int, job: Job) -> bool:
        """Whether there is too little of what a job needs, or a promise to one that comes before it."""
        if amount > self.free(capacity):
            return True
        return self._promised(capacity, amount, job) is not None

    def _promised(self, capacity: Named, amount: int, job: Job) -> int | None:
        """The job before this one to which there is a promise that it would break."""
        return self.promises.before(capacity, job.id, job.rank, self.free(capacity) - amount)

    def free(self, capacity: Named) -> int:
        """How much of it is left; negative after a reload that took some away."""
        if isinstance(capacity, Retries):
            door = self._doors.retries(capacity.queue)
            return capacity.total(self.policy) if door is None else door.left
        return capacity.total(self.policy) - self.used(capacity)

    def used(self, capacity: Capacity) -> int:
        held = self._held.get(capacity)
        return 0 if held is None else sum(held.values())

    def room(self, capacity: Capacity) -> int | None:
        """How much of it is left; negative after a reload that took some away, None without a bound."""
        total = capacity.total(self.policy)
        return None if total is None else total - self.used(capacity)

    def full(self, queue: str) -> bool:
        """Whether the queue itself lets nothing more start."""
        room = self.room(QueuePlaces(queue))
        return room is not None and room <= 0

    def scarce(self, lane: Lane) -> Sequence[Capacity]:
        """What a job of that lane takes that has a bound, beside what all take; also of its queue, as that may be
        bounded otherwise."""
        if self._scarce_by is not self.policy or len(self._scarce) > LANES:
            self._scarce_by, self._scarce = self.policy, {}
        found = self._scarce.get(lane)
        if found is None:
            found = self._scarce[lane] = [
                capacity
                for capacity in demands(lane)
                if capacity != ALL and (isinstance(capacity, QueuePlaces) or capacity.total(self.policy) is not None)
            ]
        return found

    def sanity_check(self, running: Mapping[int, Job]) -> None:
        """For tests: each job that runs holds what it demands, and nothing else is held."""
        held: dict[Capacity, dict[int, int]] = {}
        for job in running.values():
            for capacity, amount in takes(job):
                held.setdefault(capacity, {})[job.id] = amount
        assert self._held == held


# -- the decision --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a job may start, at this moment. ``idle``: workers that are there and have nothing to do;
    times in microseconds, each since the start of its clock."""

    capacities: Capacities
    idle: int = 0
    draining: bool = False
    steady: int = 0
    wall: int = 0
    doors: Doors = field(default_factory=Doors)


def reasons(job: Job, now: Situation) -> tuple[Reason, ...]:
    """Everything that a queued job waits for; empty when it may start now."""
    return tuple(_reasons(job, now))


def _reasons(job: Job, now: Situation) -> Iterator[Reason]:
    if job.state is State.HELD:
        yield Held()
    if job.due is not None and job.due_clock is Clock.LOOK:
        yield NotThere()
    elif job.due is not None:
        left = job.due - (now.wall if job.due_clock is Clock.WALL else now.steady)
        if left > 0:
            yield NotDue(left)
    if job.parked and job.waits is None:
        yield BehindItsLine()
    yield from now.doors.reasons(job.queue)
    yield from now.capacities.short(job)
    running, policy = now.capacities.used(ALL), now.capacities.policy
    if running < policy.at_once and not now.idle:
        yield NoWorker(running, policy.workers)
    if now.draining:
        yield Draining()
