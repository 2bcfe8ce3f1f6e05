"""What becomes of a new job when others with its key are there. They count while they are queued or run; one that is
held waits for nobody, and nobody for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskgated.core.job import OnConflict


@dataclass(frozen=True, slots=True)
class Take:
    """It comes. ``instead_of``: queued jobs that go for it."""

    instead_of: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not taken, as that job is there."""

    other: int


def coalesce(how: OnConflict, queued: Sequence[int], running: Sequence[int]) -> Take | Skip:
    """``queued``, ``running``: the jobs with its key, oldest first."""
    match how:
        case OnConflict.QUEUE:
            return Take()
        case OnConflict.SKIP:
            return Skip([*running, *queued][0]) if running or queued else Take()
        case OnConflict.REPLACE:
            return Take(tuple(queued))
        case OnConflict.ONCE_MORE:
            return Skip(queued[0]) if queued else Take()
