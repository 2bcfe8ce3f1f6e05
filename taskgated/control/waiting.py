"""What a job waits for, and where it stands: asked for once, for all answers that tell of it."""

from __future__ import annotations

from dataclasses import dataclass

from taskgated.control.needs import Health, Work
from taskgated.core.reasons import AboutToStart, HeldBack, NothingRecorded, NotItsTurn, Reason, of_conditions
from taskgated.core.shortages import BehindItsLine
from taskgated.core.state import State
from taskgated.store.contract import ATTEMPTS, Details, Questions


@dataclass(frozen=True, slots=True)
class Standing:
    """All about a job, and how many of its queue come before it; None: it is not queued. ``first``: the first of its
    queue, if that comes before it, and nothing keeps it but what others have, or that the queue is closed.
    ``in_line``: one that needs the same by name waits, and comes before it."""

    details: Details
    before: int | None
    first: int | None = None
    in_line: bool = True


def standing(store: Questions, job: int, before: int = 2**62, limit: int = ATTEMPTS) -> Standing:
    """``before`` and ``limit`` are about its attempts, as with ``show``."""
    details = store.show(job, before, limit)
    if details.record.state is not State.QUEUED:
        return Standing(details, None)
    in_line = not details.job.parked or store.line_before(job)
    return Standing(details, store.before_it(job), store.first_before(job), in_line)


class Waiting:
    def __init__(self, work: Work, health: Health) -> None:
        self._work = work
        self._health = health

    def reasons(self, at: Standing) -> list[Reason]:
        """Everything that a queued or held job waits for, at least one; nothing of any other."""
        job, state = at.details.job, at.details.record.state
        if state not in (State.QUEUED, State.HELD):
            return []
        found: list[Reason] = [AboutToStart()] if self._work.starts(job.id) else [*self._work.reasons(job)]
        if not at.in_line:  # those of its line all run: what they have is what it waits for
            found = [one for one in found if not isinstance(one, BehindItsLine)]
        found += of_conditions(at.details.after, at.details.job)
        if at.first is not None and self._work.strict(job.queue):
            found.append(HeldBack(job.queue, at.first))
        if trouble := self._health.store_trouble:
            found.append(NothingRecorded(trouble))
        if at.before or not found:
            found.append(NotItsTurn(job.queue, None if self._work.fair(job.queue) else at.before or 0))
        return found

    def position(self, at: Standing) -> int | None:
        """From 1; None where it has none, as it does not wait, or its queue has no order but of its users."""
        return None if at.before is None or self._work.fair(at.details.job.queue) else at.before + 1

    def stays(self, at: Standing) -> str:
        """What there is to say of a running job that had to end and does not; "" of any other."""
        return self._work.unkillable(at.details.job.id) if at.details.record.state is State.RUNNING else ""
