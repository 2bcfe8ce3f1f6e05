"""What people have a store do with single jobs, by hand."""

from __future__ import annotations

from typing import Protocol

from taskgated.core.order import Lane, Rank

COUNTED = 10_000
"""Jobs before one that are counted, at most."""


class Standing(Protocol):
    """Where a job stands."""

    def before_it(self, job: int) -> int:
        """How many queued jobs of its queue, of those that nothing but their turn keeps, are better than that one; at
        most ``COUNTED`` are counted. ``NoSuchJob``."""


class ByHand(Protocol):
    """``IllegalTransition`` where the job's state does not allow it, and ``NoSuchJob``."""

    def hold(self, job: int) -> None:
        """Keep a queued job from starting."""

    def release(self, job: int) -> tuple[Lane, Rank]:
        """Let a held job go; returns its lane and rank."""
