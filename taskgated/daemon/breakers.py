"""Queues that are closed when their jobs fail one after the other (``core/breaker.py``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from taskgated.core import breaker
from taskgated.core.attempts import Finish
from taskgated.core.breaker import Breaker, Circuit
from taskgated.core.doors import MANY, Allowance, Shut
from taskgated.core.job import Job
from taskgated.core.kinds import Kind
from taskgated.core.owner import Owner
from taskgated.core.reasons import BreakerOpen, CanaryFirst
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.ledger import Book
from taskgated.events import Event
from taskgated.host.clock import MICROSECONDS
from taskgated.host.journal import Journal, Priority
from taskgated.language import units
from taskgated.language.config import Config, QueueConfig


class Breakers(Book[Breaker, Circuit]):
    """A part of the doorkeeper. ``runs``: whether a job counts as running."""

    name: ClassVar[str] = "breaker"
    kind: ClassVar[Kind] = Kind.BREAKER

    def __init__(self, uptime: Callable[[], int], journal: Journal, runs: Callable[[int], bool]) -> None:
        super().__init__(uptime)
        self._journal = journal
        self._runs = runs

    def settings(self, queue: QueueConfig, config: Config) -> Breaker | None:
        return queue.breaker

    def fresh(self, settings: Breaker) -> Circuit:
        return Circuit()

    def revived(self, settings: Breaker, known: object) -> Circuit:
        return breaker.revived(known, settings, self.uptime())

    def cautious(self, settings: Breaker) -> Circuit:
        return breaker.unknown(self.uptime())

    def starting(self, job: Job, settings: Breaker, page: Circuit) -> Circuit:
        return page.starting(job.id, alive=page.canary is not None and self._runs(page.canary))

    def refused(self, job: Job, settings: Breaker, page: Circuit) -> Circuit:
        return page.refused(job.id)

    def ended(self, finish: Finish, settings: Breaker, page: Circuit) -> Circuit:
        job = finish.job
        after = page.ended(settings, job.id, breaker.good(finish.outcome, finish.verdict), self.uptime())
        if after.until is not None and after.until != page.until:
            pause = units.format_duration(settings.pause)
            row = f"{settings.failures} in a row have failed"
            why = row if page.until is None else "the job that was tried has failed as well"
            text = f"queue {job.queue} is closed for {pause}: {why}, job {job.id} the last"
            self._journal.event(Event.QUEUE_CLOSED, text, Priority.WARNING, queue=job.queue)
        elif after.until is None and page.until is not None:
            text = f"queue {job.queue} is open again: job {job.id} has succeeded"
            self._journal.event(Event.QUEUE_OPENED, text, Priority.NOTICE, queue=job.queue)
        return after

    def resumed(self, queue: str, by: Owner, settings: Breaker, page: Circuit) -> Circuit | None:
        if page.until is None:
            return None
        self._journal.event(
            Event.QUEUE_OPENED, f"queue {queue} is open again: resumed by {by.words}", Priority.NOTICE, queue=queue
        )
        return Circuit()

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        settings, page = self.pages[queue]
        left = page.left(now.uptime)
        closed = BreakerOpen(queue, settings.failures, left)
        if page.until is None:
            return Look(Allowance(MANY, closed, until_end=True))
        if left:
            return Look(Shut(closed), left / MICROSECONDS)
        if page.canary is not None and self._runs(page.canary):
            return Look(Shut(CanaryFirst(queue, page.canary)))
        return Look(Allowance(1, closed))
