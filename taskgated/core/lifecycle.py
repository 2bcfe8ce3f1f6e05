"""The life of a job: one table of every legal transition, and the verdict on an attempt that ended.

A pair that is not in the table is an error, and an error changes nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf

from taskgated.core.job import Interrupted, Job, Outcome, Result
from taskgated.core.retry import Ending, backoff, ending, worth_another
from taskgated.core.state import State
from taskgated.errors import IllegalTransition

POISON = 3
"""A job that took its worker with it this often is failed for good."""


class Verb(enum.StrEnum):
    """What can happen to a job."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    REQUEUE = "requeue"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    MOVE = "move"
    PRIORITIZE = "prioritize"
    RETRY_BY_HAND = "retry by hand"


TRANSITIONS: dict[tuple[State, Verb], State] = {
    (State.QUEUED, Verb.START): State.RUNNING,
    (State.QUEUED, Verb.HOLD): State.HELD,
    (State.QUEUED, Verb.MOVE): State.QUEUED,
    (State.QUEUED, Verb.PRIORITIZE): State.QUEUED,
    (State.QUEUED, Verb.CANCEL): State.CANCELLED,
    (State.HELD, Verb.RELEASE): State.QUEUED,
    (State.HELD, Verb.MOVE): State.HELD,
    (State.HELD, Verb.PRIORITIZE): State.HELD,
    (State.HELD, Verb.CANCEL): State.CANCELLED,
    (State.RUNNING, Verb.SUCCEED): State.SUCCEEDED,
    (State.RUNNING, Verb.FAIL): State.FAILED,
    (State.RUNNING, Verb.RETRY): State.QUEUED,
    (State.RUNNING, Verb.REQUEUE): State.QUEUED,
    (State.RUNNING, Verb.CANCEL): State.CANCELLED,
    (State.FAILED, Verb.RETRY_BY_HAND): State.QUEUED,
    (State.CANCELLED, Verb.RETRY_BY_HAND): State.QUEUED,
}


def step(state: State, verb: Verb) -> State:
    """The state after ``verb``; raises ``IllegalTransition`` when ``state`` does not allow it."""
    try:
        return TRANSITIONS[state, verb]
    except KeyError:
        raise IllegalTransition(f"cannot {verb} a job that is {state}") from None


@dataclass(frozen=True, slots=True)
class WasCancelled:
    """It was cancelled while it ran."""


@dataclass(frozen=True, slots=True)
class WasEnded:
    """Its attempt was ended, or never began, for the gate's sake."""


@dataclass(frozen=True, slots=True)
class WasInterrupted:
    """Its attempt was lost, and ``policy`` says what follows from that."""

    policy: Interrupted


@dataclass(frozen=True, slots=True)
class Poisonous:
    """It took its worker with it ``crashes`` times."""

    crashes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """It has failed ``number`` times of the ``attempts`` that it may take."""

    number: int
    attempts: int


@dataclass(frozen=True, slots=True)
class LastFailure:
    """It may fail no more. ``message``: what its last outcome says."""

    message: str


@dataclass(frozen=True, slots=True)
class NotRetried:
    """It may fail more often, but not so: ``retry`` has no further attempt after such an ``ending``."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class NoTimeLeft:
    """Its next attempt would come when its deadline has passed: in ``delay`` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class PastDeadline:
    """Its deadline has passed."""


_Ended = WasCancelled | WasEnded | WasInterrupted | Poisonous | PastDeadline
Cause = _Ended | Failure | LastFailure | NotRetried | NoTimeLeft


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an outcome: the transition, when the job may run again, the counters, and why (None: the
    outcome says it all)."""

    verb: Verb
    delay: float | None = None  # seconds until the next attempt; None: at once, or never
    failures: int = 0
    crashes: int = 0
    cause: Cause | None = None


def judge(job: Job, outcome: Outcome, *, cancelled: bool, crashed: bool, chance: float, left: float = inf) -> Verdict:
    """What becomes of ``job`` now that its attempt ended.

    ``cancelled``: it was to be cancelled while it ran. ``crashed``: the attempt was lost because its
    worker died, not because the host did. ``chance``: a random number in [0, 1) for the jitter. ``left``: seconds
    until the deadline of the job. When that has passed it does not run again, whatever ended its attempt.
    """
    failures, crashes = job.failures, job.crashes
    if outcome.result is Result.SUCCEEDED:
        return Verdict(Verb.SUCCEED, None, failures, crashes)
    if cancelled:
        return Verdict(Verb.CANCEL, None, failures, crashes, WasCancelled())
    if outcome.result is Result.KILLED:
        if outcome.begun and job.spec.interrupted is Interrupted.FAIL:
            return Verdict(Verb.FAIL, None, failures, crashes, WasInterrupted(Interrupted.FAIL))
        if left <= 0:
            return Verdict(Verb.FAIL, None, failures, crashes, PastDeadline())
        return Verdict(Verb.REQUEUE, None, failures, crashes, WasEnded())
    if outcome.result is Result.LOST:
        crashes += crashed
        if crashes >= POISON:
            return Verdict(Verb.FAIL, None, failures, crashes, Poisonous(crashes))
        if job.spec.interrupted is Interrupted.FAIL:
            return Verdict(Verb.FAIL, None, failures, crashes, WasInterrupted(Interrupted.FAIL))
        if left <= 0:
            return Verdict(Verb.FAIL, None, failures, crashes, PastDeadline())
        return Verdict(Verb.REQUEUE, None, failures, crashes, WasInterrupted(Interrupted.RERUN))
    failures += 1
    delay, cause = _after_failure(job, outcome, failures, chance, left)
    return Verdict(Verb.FAIL if delay is None else Verb.RETRY, delay, failures, crashes, cause)


def _after_failure(
    job: Job, outcome: Outcome, failures: int, chance: float, left: float
) -> tuple[float | None, Cause]:
    """In how many seconds the next attempt comes after that failure, None: never; and why."""
    retry = job.spec.retry
    if left <= 0 and outcome.result is Result.TIMED_OUT:
        return None, PastDeadline()
    if failures >= retry.attempts:
        return None, LastFailure(outcome.message)
    if not worth_another(retry, outcome):
        return None, NotRetried(ending(outcome))
    delay = backoff(retry, failures, chance)
    if delay >= left:
        return None, NoTimeLeft(delay)
    return delay, Failure(failures, retry.attempts)


def cancelled_meanwhile(verdict: Verdict) -> Verdict:
    """What becomes of a verdict that did not know that the job was to be cancelled: it does not go back to its
    queue."""
    if step(State.RUNNING, verdict.verb).final:
        return verdict
    return Verdict(Verb.CANCEL, None, verdict.failures, verdict.crashes, WasCancelled())


def diagram() -> str:
    """The transitions as lines of text, for the documentation."""
    width = max(len(s) for s in State)
    return "\n".join(f"{a:<{width}} --{verb}--> {b}" for (a, verb), b in TRANSITIONS.items())
