"""A limit that finds its height by itself: ``limit: auto``.

It grows by one after as many good ends as it is high, and halves when a job says that there were too many of them at
once: with an exit code, or in its output. That is how TCP shares a line of which nobody knows how much goes through
(additive increase and multiplicative decrease, RFC 5681), and nothing else has a part in it.

Jobs that started under the limit as it was before it was halved know nothing of the new one. When they end they count
for nothing, so ten jobs that all say the same halve it once, and not ten times.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, replace

from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.plain import read

TRY_LATER = 75
"""The exit code for what may go better later (EX_TEMPFAIL, sysexits(3))."""


@dataclass(frozen=True, slots=True)
class Overload:
    """How a job says that there were too many: with one of these exit codes, or with a line that has ``output``, a
    pattern (``core/patterns.py``), somewhere in the end of what is kept of its output."""

    exit_codes: tuple[int, ...] = (TRY_LATER,)
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Adaptive:
    """``max``: None is as many as there are workers."""

    min: int = 1
    max: int | None = None
    overload: Overload = Overload()

    def within(self, limit: int, workers: int) -> int:
        """The next one that it may have."""
        most = workers if self.max is None else self.max
        return max(self.min, min(limit, most))


class Says(enum.Enum):
    """What the end of an attempt says of the limit."""

    GOOD = "good"
    TOO_MANY = "too many"
    NOTHING = "nothing"


def says(overload: Overload, outcome: Outcome, verdict: Verdict) -> Says:
    if outcome.result in (Result.KILLED, Result.LOST) or verdict.verb is Verb.CANCEL:
        return Says.NOTHING
    if outcome.overloaded or outcome.exit_code in overload.exit_codes:
        return Says.TOO_MANY
    return Says.GOOD if outcome.result is Result.SUCCEEDED else Says.NOTHING


@dataclass(frozen=True, slots=True)
class Height:
    """What is remembered of a queue. ``limit``: its limit, 0: it had none; ``good``: good ends since that changed;
    ``older``: jobs that started before it was halved, and still run."""

    limit: int = 0
    good: int = 0
    older: tuple[int, ...] = ()

    def ended(self, adaptive: Adaptive, workers: int, job: int, what: Says, running: Collection[int]) -> Height:
        """An attempt of that job is over. ``running``: the jobs of its queue that have started and are not over."""
        limit = adaptive.within(self.limit, workers)
        older = tuple(one for one in self.older if one in running and one != job)
        if job in self.older or what is Says.NOTHING:
            return replace(self, limit=limit, older=older)
        if what is Says.TOO_MANY:
            return Height(adaptive.within(limit // 2, workers), 0, tuple(one for one in running if one != job))
        if self.good + 1 < limit:
            return Height(limit, self.good + 1, older)
        return Height(adaptive.within(limit + 1, workers), 0, older)


def revived(known: object) -> Height:
    """What an earlier daemon has remembered. Raises ``ValueError`` for what is no ``Height``."""
    height = read(Height, known)
    if min(height.limit, height.good, *height.older) < 0:
        raise ValueError("it is none of ours")
    return height
