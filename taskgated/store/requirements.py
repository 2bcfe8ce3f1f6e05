"""What a store knows of jobs that wait until what they require is there (``Spec.requires``).

Such a job is due at the next look (``Clock.LOOK``), and is among the jobs that may run only when a look has found
that it is there. Before each further attempt it is looked again. While a job waits for others it is not looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import Job


@dataclass(frozen=True, slots=True)
class Due:
    """Jobs for which it is time to look, of each user those first that have waited for it the longest; of one that is
    ``unreadable`` there is what could be read. ``next``: when (steady) it is time for the next of those for which it
    is not yet."""

    jobs: Sequence[Job]
    next: int | None


class Looking(Protocol):
    """What can be asked; see ``contract.Questions``."""

    def looks(self, known: Collection[int], limit: int, of_one: int) -> Due:
        """At most ``limit`` queued jobs, without those that the caller knows, and of one user at most ``of_one``
        together with these. Users of whom it knows the fewest come first."""


class Looked(Protocol):
    """What changes them; see ``contract.Store``."""

    def looked(self, job: int, again: float | None) -> None:
        """It was looked whether what a job requires is there: it is not, and it is to be looked again in so many
        seconds; or it is (None), and the job is due: the next ``wake`` lets it run. Of a job that is not waiting for
        a look, any more, nothing is changed."""
