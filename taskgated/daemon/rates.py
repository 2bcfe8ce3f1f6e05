"""Queues of which only so many jobs may start within a time (``core/rate.py``)."""

from __future__ import annotations

from typing import ClassVar

from taskgated.core import rate
from taskgated.core.doors import Allowance
from taskgated.core.job import Job
from taskgated.core.kinds import Kind
from taskgated.core.rate import Pace, Rate
from taskgated.core.reasons import RateUsedUp
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.ledger import Book
from taskgated.host.clock import MICROSECONDS
from taskgated.language.config import Config, QueueConfig


class Rates(Book[Rate, Pace]):
    """A part of the doorkeeper. A start waits for the disk: the power may fail at any moment, and come back within
    the time."""

    name: ClassVar[str] = "rate"
    kind: ClassVar[Kind] = Kind.RATE
    durable: ClassVar[bool] = True

    def settings(self, queue: QueueConfig, config: Config) -> Rate | None:
        return queue.rate

    def fresh(self, settings: Rate) -> Pace:
        return Pace()

    def revived(self, settings: Rate, known: object) -> Pace:
        return rate.revived(known, settings, self.uptime())

    def cautious(self, settings: Rate) -> Pace:
        return rate.unknown(settings, self.uptime())

    def starting(self, job: Job, settings: Rate, page: Pace) -> Pace:
        return page.decided()

    def started(self, job: Job, settings: Rate, page: Pace) -> Pace:
        return page.told(settings, self.uptime())

    def refused(self, job: Job, settings: Rate, page: Pace) -> Pace:
        return page.refused()

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        settings, page = self.pages[queue]
        free, again = page.free(settings, now.uptime)
        left = 0 if again is None else max(0, again - now.uptime)
        reason = RateUsedUp(queue, settings.starts, settings.per, left)
        return Look(Allowance(free, reason), None if again is None else left / MICROSECONDS)
