"""Queues of whose starts only a part may be retries (``core/budget.py``)."""

from __future__ import annotations

from typing import ClassVar

from taskgated.core import budget
from taskgated.core.budget import Savings
from taskgated.core.doors import ForRetries
from taskgated.core.job import Job
from taskgated.core.reasons import RetriesUsedUp
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.ledger import Book
from taskgated.host.clock import MICROSECONDS
from taskgated.language.config import Config, QueueConfig


class Budgets(Book[float, Savings]):
    """A part of the doorkeeper."""

    name: ClassVar[str] = "retry_budget"
    kind: ClassVar[str] = name

    def settings(self, queue: QueueConfig, config: Config) -> float | None:
        return queue.retry_budget

    def fresh(self, settings: float) -> Savings:
        return Savings()

    def revived(self, settings: float, known: object) -> Savings:
        return budget.revived(known, self.uptime())

    def cautious(self, settings: float) -> Savings:
        return budget.unknown(self.uptime())

    def starting(self, job: Job, settings: float, page: Savings) -> Savings:
        return page.decided(self.uptime(), retry=job.failed_before)

    def started(self, job: Job, settings: float, page: Savings) -> Savings:
        return page.told(settings)

    def refused(self, job: Job, settings: float, page: Savings) -> Savings:
        return page.refused(settings, retry=job.failed_before)

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        share, page = self.pages[queue]
        free, again = page.free(now.uptime)
        left = None if again is None else (again - now.uptime) / MICROSECONDS
        return Look(ForRetries(free, RetriesUsedUp(queue, share, left or 0.0)), left)
