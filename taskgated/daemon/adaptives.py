"""Queues with a limit that adjusts itself (``core/adaptive.py``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

from taskgated.core import adaptive
from taskgated.core.adaptive import Adaptive, Height
from taskgated.core.attempts import Finish
from taskgated.core.doors import Allowance
from taskgated.core.kinds import Kind
from taskgated.core.reasons import QueueFull
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.ledger import Book
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.language.config import Config, QueueConfig

Settings = tuple[Adaptive, int]
"""With how many workers there are."""


class Adaptives(Book[Settings, Height]):
    """A part of the doorkeeper. ``running``: the jobs of a queue that have started and are not over."""

    name: ClassVar[str] = "limit"
    kind: ClassVar[Kind] = Kind.QUEUE_LIMIT

    def __init__(
        self, uptime: Callable[[], int], journal: Journal, running: Callable[[str], Collection[int]]
    ) -> None:
        super().__init__(uptime)
        self._journal = journal
        self._running = running

    def settings(self, queue: QueueConfig, config: Config) -> Settings | None:
        return None if queue.auto is None else (queue.auto, config.workers)

    def fresh(self, settings: Settings) -> Height:
        return Height()

    def revived(self, settings: Settings, known: object) -> Height:
        return adaptive.revived(known)

    def cautious(self, settings: Settings) -> Height:
        return Height()

    def looked_for(self, settings: Settings) -> str:
        return settings[0].overload.output or ""

    def ended(self, finish: Finish, settings: Settings, page: Height) -> Height:
        (auto, workers), job = settings, finish.job
        what = adaptive.says(auto.overload, finish.outcome, finish.verdict)
        after = page.ended(auto, workers, job.id, what, self._running(job.queue))
        if after.limit < (before := auto.within(page.limit, workers)):
            text = f"queue {job.queue}: its limit goes down from {before} to {after.limit}, as job {job.id} says"
            self._journal.event(Event.OVERLOADED, text, Priority.NOTICE, job_id=job.id, queue=job.queue)
        return after

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        limit, running = self.limits()[queue], len(self._running(queue))
        return Look(Allowance(max(0, limit - running), QueueFull(queue, running, limit), until_end=True))

    def limits(self) -> Mapping[str, int]:
        """What they are now."""
        return {queue: auto.within(page.limit, workers) for queue, ((auto, workers), page) in self.pages.items()}
