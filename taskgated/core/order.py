"""In which order jobs start: by priority, and by how long they have waited.

While a job waits, its standing grows by one point of priority for each ``ageing`` that passes. All grow alike, so
the order of two jobs never changes, and it can be said once, when they come: a job has a *turn*, the moment at which
it was submitted, earlier by ``ageing`` for each point of its priority. The earlier turn goes first, and of equal ones
the lower id.

So a job is overtaken only by those whose turn is earlier. One of priority p is overtaken by none that was submitted
(100 - p) times ``ageing`` after it, or later: that is the longest for which any stream of others can pass it by.
"""

from __future__ import annotations

from typing import NamedTuple

ABSOLUTE = 10**15
"""Microseconds for a point of priority where no waiting makes up for one: over thirty years."""

Rank = tuple[int, int]
"""Turn and id of a job: the lesser goes first."""
FIRST: Rank = (-(2**63), 0)
"""Before every job."""
LAST: Rank = (2**63, 0)
"""Behind every job."""


class Lane(NamedTuple):
    """The jobs of one user (``core/owner.py``) in one queue."""

    queue: str
    owner: str


def per_point(ageing: float) -> int:
    """How much earlier the turn is for each point of priority, in microseconds. ``ageing``: seconds, 0: priority is
    absolute."""
    return min(ABSOLUTE, int(ageing * 1_000_000)) or ABSOLUTE


def turn(since: int, priority: int, per_point: int) -> int:
    """Of a job that was submitted then, in microseconds of a clock that never goes back."""
    return since - priority * per_point
