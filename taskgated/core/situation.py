"""The situation in which the gate decides, as JSON has it: so any process can say by the same rules why a job does
not start. It is as large as what runs and what is configured, whatever waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from taskgated.core import tagged
from taskgated.core.capacity import (
    AllPlaces,
    Capacities,
    LanePlaces,
    Policy,
    QueuePlaces,
    Situation,
    UserPlaces,
)
from taskgated.core.doors import Door, Doors
from taskgated.core.named import ArrayPlaces, Key, Lock, Retries, Tokens
from taskgated.core.order import Lane
from taskgated.core.promises import Waiter
from taskgated.core.rooms import Rooms

_Named = Tokens | Lock | Key | ArrayPlaces | Retries


@dataclass(frozen=True, slots=True)
class _Before:
    """A door: before which queue, and of which kind."""

    queue: str | None
    kind: str
    door: Door


@dataclass(frozen=True, slots=True)
class _Promised:
    """A job to which something is promised: the first that waits for it, or (``senior``) all that it needs so much
    of."""

    capacity: _Named
    needed: int
    senior: bool
    job: int
    turn: int
    queue: str
    owner: str


@dataclass(frozen=True, slots=True)
class _Written:
    """The same, all of it values."""

    policy: Policy
    in_use: Mapping[
        QueuePlaces | UserPlaces | LanePlaces | AllPlaces | Tokens | Lock | Key | ArrayPlaces | Retries,
        Mapping[int, int],
    ]
    promised: tuple[_Promised, ...]
    idle: int
    draining: bool
    steady: int
    wall: int
    doors: tuple[_Before, ...]


def situation_to_json(now: Situation) -> object:
    return tagged.written(
        _Written(
            now.capacities.policy,
            now.capacities.in_use(),  # type: ignore[arg-type]
            tuple(
                _Promised(capacity, needed, senior, waiter.id, waiter.rank[0], *waiter.lane)
                for capacity, waiter, needed, senior in now.capacities.promises.all()
            ),
            now.idle,
            now.draining,
            now.steady,
            now.wall,
            tuple(_Before(queue, kind, door) for (queue, kind), door in now.doors.all().items()),
        )
    )


def situation_from_json(data: object) -> Situation:
    """The situation that was written so; ``ValueError`` if none was."""
    it: _Written = tagged.read(_Written, data)
    doors = Doors()
    doors.put({(one.queue, one.kind): one.door for one in it.doors})
    capacities = Capacities.of(it.policy, it.in_use.items(), doors)
    capacities.promises.open = Rooms(capacities, doors).open
    capacities.promises.put(
        (one.capacity, Waiter(one.job, (one.turn, one.job), Lane(one.queue, one.owner), one.needed), one.senior)
        for one in it.promised
    )
    return Situation(capacities, it.idle, it.draining, it.steady, it.wall, doors)
