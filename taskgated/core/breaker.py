"""What closes a queue when its jobs fail one after the other: ``breaker: {failures: 5, within: 10min, pause: 5min}``.

When so many attempts in a row have failed, the first of them no longer than ``within`` ago, nothing of the queue
starts for ``pause``. Then one job does, the *canary*, and no other until its attempt has ended: if it succeeded the
queue is open, if it failed there is a pause anew. Each success ends a row.

An attempt that was cancelled, put back or lost says nothing, whether it was the canary or not; then the next job is
the canary. So do attempts that began before the queue was closed and end while it is: the canary alone decides. Times
are microseconds of one clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.plain import read

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Breaker:
    """``within``, ``pause``: seconds."""

    failures: int
    within: float = 600.0
    pause: float = 300.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is remembered of a queue. ``failed``: the moments of the last failures, as far as they are in a row;
    ``until``: when the pause ends, or ended, None: the queue is not closed; ``canary``: the job that is tried."""

    failed: tuple[int, ...] = ()
    until: int | None = None
    canary: int | None = None

    def starting(self, job: int, *, alive: bool) -> Circuit:
        """A start is decided. ``alive``: whether the canary runs; nobody may have said how it ended."""
        return self if self.until is None or alive else replace(self, canary=job)

    def refused(self, job: int) -> Circuit:
        """It does not come about."""
        return replace(self, canary=None) if self.canary == job else self

    def ended(self, breaker: Breaker, job: int, good: bool | None, now: int) -> Circuit:
        """An attempt of that job is over. ``good``: what that says of the queue, None: nothing."""
        if self.until is not None:
            if self.canary != job:
                return self
            if good is None:
                return replace(self, canary=None)
            return Circuit() if good else Circuit(until=now + int(breaker.pause * SECOND))
        if good is None:
            return self
        if good:
            return Circuit()
        failed = (*self.failed, now)[-breaker.failures :]
        if len(failed) == breaker.failures and now - failed[0] <= breaker.within * SECOND:
            return Circuit(until=now + int(breaker.pause * SECOND))
        return Circuit(failed)

    def left(self, now: int) -> int:
        """Microseconds until a canary may start."""
        return 0 if self.until is None else max(0, self.until - now)


def good(outcome: Outcome, verdict: Verdict) -> bool | None:
    """What the end of an attempt says of its queue; None: nothing."""
    if outcome.result is Result.SUCCEEDED:
        return True
    if outcome.result in (Result.FAILED, Result.TIMED_OUT) and verdict.verb is not Verb.CANCEL:
        return False
    return None


def unknown(now: int) -> Circuit:
    """When it is lost what was: a canary first."""
    return Circuit(until=now)


def revived(known: object, breaker: Breaker, now: int) -> Circuit:
    """What an earlier daemon has remembered; a pause is not longer than it would be if it began now, as a power cut
    may have set the clock back. Raises ``ValueError`` for what is no ``Circuit``."""
    circuit = read(Circuit, known)
    if list(circuit.failed) != sorted(circuit.failed):
        raise ValueError("its moments are in no order")
    if circuit.until is None:
        return replace(circuit, failed=tuple(min(moment, now) for moment in circuit.failed))
    return replace(circuit, until=min(circuit.until, now + int(breaker.pause * SECOND)))
