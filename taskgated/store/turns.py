"""Which jobs are next: what a store can be asked of that, and what has it keep another order.

The order is that of ``core.order``. The store gives each job its turn when it is added, by its own clock ``uptime``;
the job keeps it until ``reorder``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import Job
from taskgated.core.order import Lane, Rank
from taskgated.store.waking import Coming

AGEING = 60.0
"""Seconds of waiting that are worth one point of priority, until a store is told otherwise."""
LANES = 100
"""Lanes that are told of at once, at most."""
START = Lane("", "")
"""Before all lanes."""
REORDERED = 2000
"""Ids that ``reorder`` looks at, at once: others have their turn in between."""


@dataclass(frozen=True, slots=True)
class Found:
    """The next jobs, in no order; and, of the lanes that have more, the rank of the first that is left."""

    jobs: Sequence[Job]
    rest: Mapping[Lane, Rank]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Some of the lanes that have queued jobs which may run, each with the rank of the first of them. ``last``:
    behind which one there may be more; None: those were all."""

    first: Mapping[Lane, Rank]
    last: Lane | None


class Next(Protocol):
    def fetch(self, wanted: Mapping[Lane, int], known: Collection[int] = (), most: int = 1000) -> Found:
        """The first queued jobs that may run now, by the store's ``clock``, and that the caller does not know: of
        each lane at most as many as wanted, and of all together the first ``most``. Those that are ``unreadable`` are
        for ``condemn``."""

    def ranks(self, jobs: Collection[int]) -> Mapping[int, tuple[str, Rank]]:
        """Those of these jobs that are queued, each with its queue and its rank."""

    def lanes(self, after: Lane = START) -> Lanes:
        """The next ``LANES`` lanes behind that one; costs some steps for each lane, at any number of jobs."""

    def coming(self) -> Coming:
        """When others may run, or will not any more; costs the same at any number of jobs."""


def all_lanes(store: Next) -> dict[Lane, Rank]:
    """All lanes that have queued jobs which may run, each with the rank of the first of them. Where they are many
    this takes long: a thread that others need asks for ``lanes``."""
    found: dict[Lane, Rank] = {}
    last: Lane | None = START
    while last is not None:
        page = store.lanes(last)
        found.update(page.first)
        last = page.last
    return found


class Reorder(Protocol):
    def reorder(self, ageing: float, after: int) -> int | None:
        """From now on so many seconds are worth one point of priority (``core.order``). Gives those of a piece of the
        jobs their turn by that: of those with ids over ``after``, 0 at first. Returns where to go on; None: there
        was nothing to do, as all have it."""
