"""The bounded queue between the store and the workers.

It holds the jobs that are to start next, best first. Being in it changes nothing about a job: it is still
queued in the store. So a better job may push the worst one out, and a crash loses nothing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator

from taskgated.core.job import Job


class ReadyQueue:
    """At most ``capacity`` jobs in order of their rank."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def __contains__(self, job: int) -> bool:
        return any(j.id == job for j in self._jobs)

    @property
    def room(self) -> int:
        return max(0, self.capacity - len(self._jobs))

    def count(self, queue: str) -> int:
        """How many jobs of a queue are in it."""
        return sum(job.queue == queue for job in self._jobs)

    def outranked_by(self, priority: int) -> bool:
        """Whether a new job of that priority has a place here, if need be in place of the worst."""
        return self.room > 0 or priority > self._jobs[-1].priority

    def put(self, job: Job) -> Job | None:
        """Take the job in; what falls out of the end (perhaps the job itself) is returned."""
        if job.id in self:
            return None
        insort(self._jobs, job, key=lambda j: j.rank)
        return self._jobs.pop() if len(self._jobs) > self.capacity else None

    def take(self, may_start: Callable[[Job], bool]) -> Job | None:
        """The best job that may start, removed; None when none may."""
        for index, job in enumerate(self._jobs):
            if may_start(job):
                return self._jobs.pop(index)
        return None

    def remove(self, job: int) -> bool:
        before = len(self._jobs)
        self._jobs = [j for j in self._jobs if j.id != job]
        return len(self._jobs) < before

    def remove_worst(self, queue: str) -> None:
        """Drop the job of that queue that comes last."""
        for index in reversed(range(len(self._jobs))):
            if self._jobs[index].queue == queue:
                del self._jobs[index]
                return
