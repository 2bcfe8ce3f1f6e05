"""How many starts of a queue may be retries: ``retry_budget: 0.2``.

When what all jobs need is away, each of them fails and is tried again, and soon nothing but retries runs: ten
attempts for each job, at the worst time. A budget bounds that for the queue as a whole, whatever each job may do on
its own: each start gives a part of a retry, ``share``, once it has come about, and each retry costs one, as soon as
it is decided. What is saved so is at most that of ``SAVED`` starts. Where nothing is saved one retry may start every
``TRICKLE`` seconds all the same, so none waits for ever.

So of N starts within any T seconds at most ``share * (N + SAVED) + T / TRICKLE + 2`` are retries. It acts when a
retry is to start, never in the verdict: a job that may be tried again is, and waits for its turn. Times are
microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from taskgated.core.plain import read

SAVED = 100
TRICKLE = 60
SECOND = 1_000_000
_ONE = 1_000_000
"""Parts of a retry."""


@dataclass(frozen=True, slots=True)
class Savings:
    """What is remembered of a queue. ``saved``: in parts of a retry; ``trickled``: when the last one started for
    which nothing was saved."""

    saved: int = 0
    trickled: int | None = None

    def free(self, now: int) -> tuple[int, int | None]:
        """How many retries may start now, and the moment at which more may, if nothing else starts; None: that is not
        for time to say."""
        again = None if self.trickled is None else self.trickled + TRICKLE * SECOND
        if again is None or again <= now:
            return self.saved // _ONE + 1, None
        return self.saved // _ONE, again

    def decided(self, now: int, *, retry: bool) -> Savings:
        """A start is decided."""
        if not retry:
            return self
        return replace(self, saved=self.saved - _ONE) if self.saved >= _ONE else replace(self, trickled=now)

    def told(self, share: float) -> Savings:
        """One that was decided comes about, and gives its part."""
        return self._save(int(share * _ONE), share)

    def refused(self, share: float, *, retry: bool) -> Savings:
        """One that was decided does not come about."""
        return self._save(_ONE, share) if retry else self

    def _save(self, parts: int, share: float) -> Savings:
        most = max(_ONE, int(share * SAVED * _ONE))
        return replace(self, saved=min(most, self.saved + parts))


def unknown(now: int) -> Savings:
    """When it is lost what was: nothing is saved, and a retry has just started."""
    return Savings(0, now)


def revived(known: object, now: int) -> Savings:
    """What an earlier daemon has remembered; a moment that has not come, as a power cut may have set the clock back,
    counts as now. Raises ``ValueError`` for what are no ``Savings``."""
    savings = read(Savings, known)
    if not 0 <= savings.saved <= SAVED * _ONE:
        raise ValueError("nobody has saved that")
    return savings if savings.trickled is None else replace(savings, trickled=min(savings.trickled, now))
