"""What a store says of jobs that wait for something by name: a token, a lock, a key, a place in an array.

Jobs that need the same by name, of one queue and user, are a *line*. Of a line twice as many are *out* as could run
at once (``TIMES``), the best; the others are parked behind it, and one comes out when another is over. One
that comes, or comes again, before any that is out is out as well. One that is out may be short of something: it is
parked for that, by its name, until ``recall`` is told that there is some again. So what is ready holds few of a line,
but for such as came late, and a job that can go is found at once, whatever waits before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from taskgated.core.job import Job
from taskgated.core.order import Lane

TIMES = 2
"""Of a line so many times as many are out as could run at once. The next ones wait for what they lack when one that
runs ends: were they not known by then, a job that comes after them would be taken for the first that waits."""
RECALLED = 200
"""Jobs that come back for one capacity at once, at most."""
FIRSTS = 500
"""Capacities of which the first who waits is told at once, at most."""
BEYOND_COUNTED = 10_000
"""Jobs that ask for more of a token than there is, which are counted, at most."""
BEYOND_SHOWN = 5
"""Of which so many are told of."""
REFITTED = 200
"""Lines of which it is decided at once anew how many are out, at most."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What decides how many jobs of a line could run at once: ``limit`` jobs in all, and so many ``tokens``."""

    limit: int = 1_000_000
    tokens: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parking:
    """A queued job that is short of something: of what, and how much it needs."""

    job: int
    waits: str
    needs: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is of a capacity: ``free`` now, in ``total`` at best. ``dismiss``: jobs that need not wait for
    it any more, however much they need. ``most``: how many may come back, ``RECALLED`` of them at most."""

    free: int
    total: int
    dismiss: Collection[int] = ()
    most: int = RECALLED


@dataclass(frozen=True, slots=True)
class First:
    """The best of the jobs that still wait for a capacity and can ever have it; ``job`` None: none does. ``back``:
    how many came back before it."""

    waits: str
    back: int = 0
    job: int | None = None
    turn: int = 0
    queue: str = ""
    owner: str = ""
    needs: int = 0


@dataclass(frozen=True, slots=True)
class Recalled:
    """Who came back, and who waits first now."""

    jobs: Sequence[Job]
    first: Sequence[First]


@dataclass(frozen=True, slots=True)
class Beyond:
    """Queued jobs that take more of a token than its ``total``, and so never start: how many they are, of whom
    ``BEYOND_COUNTED`` are counted, and ``some`` of them, each with how much it takes."""

    token: str
    total: int
    jobs: int
    some: Mapping[int, int]


NOT_DUE = "time"
LOOKED_FOR = "requires"
OTHERS = "after"
WAITS_COUNTED = 10_000
"""Jobs that wait for something of their own, which are counted, at most: of those that wait by name, and
of those whose time has not come."""


@dataclass(frozen=True, slots=True)
class Own:
    """Queued jobs of one lane that wait for something of their own. ``waits``: the kind of the name for which they
    wait (``core/named.py``), or one of the words above."""

    lane: Lane
    waits: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Waits:
    """What queued jobs wait for; ``queued``: how many there are in each lane of the users that were asked for."""

    own: Sequence[Own] = ()
    queued: Mapping[Lane, int] = field(default_factory=dict)


class WaitingQuestions(Protocol):
    """A part of ``contract.Questions``."""

    def beyond(self, tokens: Mapping[str, int]) -> Sequence[Beyond]:
        """Of each token of which queued jobs take more than there are (``tokens``; none of what is not in it): these.
        What else is queued makes it no slower."""

    def waits(self, users: Collection[str]) -> Waits:
        """What queued jobs wait for, ``WAITS_COUNTED`` of each sort at most, and what is queued of these users. What
        else is queued makes it no slower."""

    def waiting(self, after: str = "") -> Mapping[str, int]:
        """Names of capacities behind ``after``, in order, for which jobs wait, each with the best of these, whatever
        it needs: the next ``FIRSTS``."""


class WaitingVerbs(Protocol):
    """A part of ``contract.Store``."""

    def park(self, jobs: Sequence[Parking]) -> None:
        """These jobs, as far as they are queued and out, wait for something."""

    def recall(self, rooms: Mapping[str, Room]) -> Recalled:
        """For each of these capacities: the best of the jobs that wait for it come back, as long as what they need is
        there, ``RECALLED`` at most."""

    def refit(self, totals: Totals, after: int) -> int | None:
        """There is more or less of something: what is out of the lines behind ``after`` (-2**63 at first), of which
        some are parked, ``REFITTED`` of them. Returns where to go on; None: that was all."""
