"""How an attempt ended, in words for the journal."""

from __future__ import annotations

from taskgated.core.job import Job, Outcome, Result
from taskgated.core.state import State
from taskgated.events import Event
from taskgated.host.clock import MICROSECONDS
from taskgated.host.journal import Priority


def describe(outcome: Outcome) -> str:
    """An outcome in words."""
    if outcome.result is Result.SUCCEEDED:
        text = "succeeded"
    elif outcome.result is Result.FAILED and outcome.signal is not None:
        text = f"failed: killed by signal {outcome.signal}"
    elif outcome.result is Result.FAILED and outcome.exit_code is not None:
        text = f"failed: exit code {outcome.exit_code}"
    else:
        text = str(outcome.result)
    if outcome.message:
        text += f" ({outcome.message})"
    if outcome.started is not None and outcome.finished is not None:
        text += f" after {max(0, outcome.finished - outcome.started) / MICROSECONDS:.2f} s"
    return text


def never(job: Job, why: str) -> Outcome:
    """The outcome of an attempt whose start is recorded, and of which surely nothing ran."""
    return Outcome(job.id, job.attempt, Result.KILLED, message=why, begun=False)


ENDS = {
    State.SUCCEEDED: (Event.JOB_SUCCEEDED, Priority.INFO),
    State.FAILED: (Event.JOB_FAILED, Priority.WARNING),
    State.CANCELLED: (Event.JOB_CANCELLED, Priority.NOTICE),
}
"""What the journal is told of a job that is over, and how urgent that is."""
