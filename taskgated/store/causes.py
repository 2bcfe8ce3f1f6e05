"""Why a job came into its state, in the words that every store keeps with it; the journal says them as well.

They stand in databases, and programs have read them: a sentence that has been written stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskgated.core.job import Interrupted
from taskgated.core.lifecycle import (
    Cause,
    Failure,
    LastFailure,
    NoTimeLeft,
    NotRetried,
    PastDeadline,
    Poisonous,
    WasCancelled,
    WasEnded,
    WasInterrupted,
)
from taskgated.core.retry import Ending
from taskgated.store.contract import Added


def in_words(cause: Cause | None) -> str:
    match cause:
        case None:
            return ""
        case WasCancelled():
            return "cancelled while it was running"
        case WasEnded():
            return "put back"
        case WasInterrupted(policy):
            return f"interrupted, and its policy is to {'fail' if policy is Interrupted.FAIL else 'run again'}"
        case Poisonous(crashes):
            return f"poison: its worker died {crashes} times"
        case Failure(number, attempts):
            return f"failure {number} of {attempts}"
        case LastFailure(message):
            return message
        case NotRetried(ending):
            return f"not tried again {_after(ending)}"
        case NoTimeLeft(delay):
            return f"not tried again: in {delay:.1f} s its deadline will have passed"
        case PastDeadline():
            return PAST_DEADLINE


def _after(ending: Ending) -> str:
    match ending:
        case None:
            return "after an attempt that never ran"
        case int():
            return f"after exit code {ending}"
        case "timeout":
            return "after a timeout"
        case _:
            return f"after {ending}"


PAST_DEADLINE = "deadline: it was not done in time"

WHILE_RUNNING = in_words(WasCancelled())
BEFORE_IT_STARTED = "cancelled before it started"
WITH_ITS_ARRAY = "cancelled with its array, before it was taken in"


def skipped_for(other: int) -> str:
    return f"not taken: job {other} has the same key"


def replaced_by(other: int) -> str:
    return f"replaced by job {other}, which has the same key"


def unmade(added: Added) -> Iterator[tuple[int, str]]:
    """The jobs of an ``add`` that are not taken because of their key, and those that went for one; each with why."""
    for job, other in added.skipped.items():
        yield job, skipped_for(other)
    for job, other in added.replaced.items():
        yield job, replaced_by(other)


EXPIRED = "expired: it did not start in time"
HELD = "held"
BY_HAND = "to run again, by hand"
AT_ONCE = "its pause was ended by hand"
