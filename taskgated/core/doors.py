"""Doors: what closes a whole queue, whichever of its jobs it is.

A door belongs to one queue, or to every queue (``EVERY``), and is of one kind: the queue is paused, a window is
closed, a probe says no, a rate is used up. Here nobody knows how that comes, nor when it ends: whoever does looks
again and says what holds from then on (``Doors.put``; ``daemon/doorkeeper.py``). Where nothing is said there is no
door, and the queue is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from taskgated.core.reasons import DoorReason

EVERY = None
"""In the place of a queue: a door of this stands before every queue."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Nothing starts."""

    reason: DoorReason


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many more may start until somebody looks again; with 0 it is shut, for that reason. ``until_end``: when a
    job of the queue ends, nothing of it starts until somebody has looked: that end may shut the door. ``grant``: the
    name of what is given out here: doors before several queues that have this name are one allowance, and a start
    that was decided and does not come about gives back what it took of it. "": it is one by itself, and such a start
    has used it up; whoever looks counts anew."""

    left: int
    reason: DoorReason
    until_end: bool = False
    grant: str = ""


MANY = 2**31
"""An allowance that is not counted down."""


@dataclass(frozen=True, slots=True)
class ForRetries:
    """So many more of its jobs that have failed before may start until somebody looks again, and all others. One of
    them is used up also by a start that does not come about."""

    left: int
    reason: DoorReason


Door = Shut | Allowance | ForRetries
Key = tuple[str | None, str]
"""Before which queue, and of which kind: mostly that of its reasons."""


class Doors:
    """Those that there are, by queue and kind."""

    def __init__(self) -> None:
        self._doors: dict[str | None, dict[str, Door]] = {}
        self.unsure: set[str] = set()
        """Queues of which nothing may start until somebody has looked."""
        self._taken: dict[int, list[tuple[str, str]]] = {}  # by job, the grants of which it took, each with its kind

    def __bool__(self) -> bool:
        return bool(self._doors)

    def put(self, doors: Mapping[Key, Door | None]) -> list[str | None]:
        """Somebody has looked: from now on these hold, by queue and kind; None: that one is open. All others stay as
        they are. Returns the queues of which more may start now than before, or less."""
        self.unsure.clear()
        before = {queue: self._own(queue) for queue, _ in doors}
        for (queue, kind), door in doors.items():
            of_queue = self._doors.setdefault(queue, {})
            if door is None:
                of_queue.pop(kind, None)
            else:
                of_queue[kind] = door
            if not of_queue:
                del self._doors[queue]
        return [queue for queue, own in before.items() if self._own(queue) != own]

    def all(self) -> dict[Key, Door]:
        return {(queue, kind): door for queue, doors in self._doors.items() for kind, door in doors.items()}

    def get(self, queue: str | None, kind: str) -> Door | None:
        return self._doors.get(queue, {}).get(kind)

    def room(self, queue: str) -> int | None:
        """How many jobs of a queue may start before somebody looks again; None: as many as there are."""
        return min((_left(door) for door in self._before(queue)), default=None)

    def retries(self, queue: str) -> ForRetries | None:
        """What keeps jobs that have failed before; None: nothing does."""
        found = (door for door in self._before(queue) if isinstance(door, ForRetries))
        return min(found, key=lambda door: door.left, default=None)

    def reasons(self, queue: str) -> Iterator[DoorReason]:
        """Of every door that is shut before this queue, why."""
        return (door.reason for door in self._before(queue) if _left(door) == 0)

    def shut(self) -> Iterator[tuple[str | None, DoorReason]]:
        """All that are, by the queues before which they are."""
        for queue, doors in self._doors.items():
            for door in doors.values():
                if _left(door) == 0:
                    yield queue, door.reason

    def started(self, job: int, queue: str, *, retry: bool = False) -> None:
        """A start is decided; ``retry``: of a job that has failed before."""
        for before in (EVERY, queue):
            for kind, door in self._doors.get(before, {}).items():
                match door:
                    case Allowance(left, grant=grant) if grant and left < MANY:
                        self._grant(kind, grant, -1)
                        self._taken.setdefault(job, []).append((kind, grant))
                    case Allowance(left) if left < MANY:
                        self._doors[before][kind] = replace(door, left=max(0, left - 1))
                    case ForRetries(left) if retry:
                        self._doors[before][kind] = replace(door, left=max(0, left - 1))

    def refused(self, job: int) -> None:
        """A start that was decided does not come about. What was granted anew meanwhile did not lose it."""
        for kind, grant in self._taken.pop(job, ()):
            self._grant(kind, grant, 1)

    def ended(self, job: int, queue: str) -> None:
        """A job of that queue has ended."""
        self._taken.pop(job, None)
        if any(isinstance(door, Allowance) and door.until_end for door in self._before(queue)):
            self.unsure.add(queue)

    def _own(self, queue: str | None) -> tuple[int, int]:
        """How many may start, and how many of those that have failed before, by what is before that queue alone."""
        doors = self._doors.get(queue, {}).values()
        retries = (door.left for door in doors if isinstance(door, ForRetries))
        return min(map(_left, doors), default=MANY), min(retries, default=MANY)

    def _before(self, queue: str) -> Iterator[Door]:
        for key in (EVERY, queue):
            yield from self._doors.get(key, {}).values()

    def _grant(self, kind: str, grant: str, change: int) -> None:
        """So many more may start by that grant."""
        for doors in self._doors.values():
            door = doors.get(kind)
            if isinstance(door, Allowance) and door.grant == grant:
                doors[kind] = replace(door, left=max(0, door.left + change))


def _left(door: Door) -> int:
    """How many may start, whichever they are."""
    match door:
        case Shut():
            return 0
        case Allowance():
            return door.left
        case ForRetries():
            return MANY
