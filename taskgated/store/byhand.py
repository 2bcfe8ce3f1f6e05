"""What people have a store do with single jobs, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from taskgated.core.order import Lane, Rank

Came = tuple[Lane, Rank]
"""Lane and rank of a job that may run now."""

COUNTED = 10_000
"""Jobs before one that are counted, at most."""


class Standing(Protocol):
    """Where a job stands."""

    def before_it(self, job: int) -> int:
        """How many queued jobs of its queue, of those that nothing but their turn keeps, are better than that one; at
        most ``COUNTED`` are counted. ``NoSuchJob``."""

    def first_before(self, job: int) -> int | None:
        """The first queued job of its queue that comes before that one, of those that are due and wait for no other
        job; None if there is none. ``NoSuchJob``."""

    def line_before(self, job: int) -> bool:
        """Whether a queued job of its line comes before that one. Not so where all that are out of it run."""


class ByHand(Protocol):
    """Each returns what may run now because of it. ``IllegalTransition`` where the job's state does
    not allow it, and ``NoSuchJob``."""

    def hold(self, job: int) -> Sequence[Came]:
        """Keep a queued job from starting. If others wait behind its line, one of them comes out instead."""

    def release(self, job: int) -> Sequence[Came]:
        """Let a held job go."""

    def retry(self, job: int) -> Sequence[Came]:
        """A job that failed or was cancelled is queued again, as if it came at this moment and were due: nothing of
        what went wrong counts any more. ``IllegalTransition`` also for one whose file was let go, and while its array
        is being cancelled. Of a queued job that waits for its next attempt the pause is over, and nothing else is
        another: ``wake`` brings it."""

    def move(self, job: int, queue: str) -> Sequence[Came]:
        """A job that waits goes over to another queue. It keeps its turn."""

    def prioritize(self, job: int, priority: int) -> Sequence[Came]:
        """A job that waits has another priority from now on."""
