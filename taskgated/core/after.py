"""What a job makes of the end of another one that it waits for, and which jobs cannot wait for each other.

An array is waited for as one job: it is over when all of it is, and how it ended says the worst that is in it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from taskgated.core.state import State

FOR_OTHERS = ""
"""What a job is parked for that has conditions (``Job.waits``): the name of no capacity, and not its line either."""


def is_id(name: str) -> bool:
    """Whether the name of a job looks like an id, and may be meant as one."""
    return name.isascii() and name.isdigit()


class When(enum.StrEnum):
    """How the other job must have ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Condition:
    """A job runs only after another one. ``job``: the other one's name, or its id. ``part``: which job of the same
    file that is, by its place among all of them, which is before this one's; None: it is none of that file."""

    job: str | int = ""
    when: When = When.SUCCEEDED
    part: int | None = None


class Fate(enum.Enum):
    """What is known of a condition."""

    OPEN = "open"
    MET = "met"
    NEVER = "never"


_ENOUGH = {
    When.SUCCEEDED: (State.SUCCEEDED,),
    When.FAILED: (State.FAILED,),
    When.OVER: (State.SUCCEEDED, State.FAILED, State.CANCELLED),
}


def fate(when: When, state: State) -> Fate:
    """What follows from the state in which the other job is now. One that may run again is not over, however often it
    has failed."""
    if not state.final:
        return Fate.OPEN
    return Fate.MET if state in _ENOUGH[when] else Fate.NEVER


_WORST = (State.SUCCEEDED, State.CANCELLED, State.FAILED)


def together(ends: Iterable[State]) -> State:
    """How an array has ended of which all jobs are over: it failed if one of them did, else it was cancelled if one
    of them was, else it succeeded."""
    return max(ends, key=_WORST.index, default=State.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Waited:
    """What a job still waits for. ``job``: the id of the other one, None: nobody has dropped one of that name;
    ``array``: that is an array, called by the id of its first job; ``state``: in which it is, of an array that of a
    job which is not over, None: the rest of it is not taken in yet. ``left``: microseconds until one that is not
    known is waited for no more; None: it is known."""

    job: int | None
    name: str
    when: When
    state: State | None = None
    array: bool = False
    left: int | None = None


# -- why a condition is never met ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EndedOtherwise:
    """The other one is over, and not as it should be."""

    job: int
    name: str
    when: When
    state: State
    array: bool = False


@dataclass(frozen=True, slots=True)
class NeverCame:
    """No job of that name was dropped in time; ``seconds``: so long it was waited for."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NoSuchId:
    """There is no job with that id. ``given``: there was one, and nothing is known of it any more."""

    job: int
    given: bool


@dataclass(frozen=True, slots=True)
class WaitsForIt:
    """The other one waits for the array of this one, so that neither would ever start."""

    job: int
    name: str


Unmet = EndedOtherwise | NeverCame | NoSuchId | WaitsForIt


# -- jobs of one file ------------------------------------------------------------------------------


def in_order(waits_for: Sequence[Sequence[int]]) -> list[int]:
    """Jobs in an order in which each comes behind those that it waits for, and else as they are. ``waits_for``: for
    each job the numbers of those that it waits for. Those that wait for each other in a circle are left out, with all
    that wait for them."""
    left = [len(set(others)) for others in waits_for]
    behind: list[list[int]] = [[] for _ in waits_for]
    for job, others in enumerate(waits_for):
        for other in set(others):
            behind[other].append(job)
    ready = [job for job, number in enumerate(left) if not number]
    found = []
    while ready:
        job = heappop(ready)
        found.append(job)
        for dependant in behind[job]:
            left[dependant] -= 1
            if not left[dependant]:
                heappush(ready, dependant)
    return found


def circle(waits_for: Sequence[Sequence[int]]) -> list[int]:
    """Jobs that wait for each other in a circle, each for the next and the last for the first; empty if there are
    none."""
    free = set(in_order(waits_for))
    job = next((job for job in range(len(waits_for)) if job not in free), None)
    path: dict[int, None] = {}
    while job is not None and job not in path:
        path[job] = None
        job = next(other for other in waits_for[job] if other not in free)  # else it would be free itself
    return [] if job is None else [*path][[*path].index(job) :]
