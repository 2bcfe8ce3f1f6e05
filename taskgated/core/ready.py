"""The bounded queue between the store and the workers.

It holds the jobs that are to start next, best first. Being in it changes nothing about a job: it is still
queued in the store. So a better job may push the worst one out, and a crash loses nothing.

All jobs are in one order, and those of a line once more in one of their own. So whatever happens to one job costs a
few steps in heaps, however many are ready, and what can be counted is counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

from taskgated.core.capacity import Line, line
from taskgated.core.job import Job

_Rank = tuple[int, int]


class _Ends:
    """Some jobs, the best and the worst of them at hand.

    A job that has left stays in the heaps until it is on top of one, or until more of them is gone than there.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self._best: list[_Rank] = []
        self._worst: list[_Rank] = []  # negated

    def add(self, job: Job) -> None:
        self.jobs[job.id] = job
        priority, id_ = job.rank
        heappush(self._best, (priority, id_))
        heappush(self._worst, (-priority, -id_))
        for heap in (self._best, self._worst):
            if len(heap) > 2 * len(self.jobs) + 16:
                heap[:] = {rank for rank in heap if self._there(rank)}
                heapify(heap)

    @property
    def best(self) -> Job:
        return self._top(self._best)

    @property
    def worst(self) -> Job:
        return self._top(self._worst)

    def _top(self, heap: list[_Rank]) -> Job:
        while not self._there(heap[0]):
            heappop(heap)
        return self.jobs[abs(heap[0][1])]

    def _there(self, rank: _Rank) -> bool:
        job = self.jobs.get(abs(rank[1]))
        return job is not None and abs(rank[0]) == job.priority


class ReadyQueue:
    """At most ``capacity`` jobs in order of their rank."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._all = _Ends()
        self._queues: dict[str, dict[Line, _Ends]] = {}  # no empty ones

    def __len__(self) -> int:
        return len(self._all.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(sorted(self._all.jobs.values(), key=lambda job: job.rank))

    def __contains__(self, job: int) -> bool:
        return job in self._all.jobs

    @property
    def room(self) -> int:
        return max(0, self.capacity - len(self))

    @property
    def queues(self) -> list[str]:
        """Those of which there are jobs."""
        return list(self._queues)

    def count(self, queue: str) -> int:
        """How many jobs of a queue are in it."""
        return sum(len(ends.jobs) for ends in self._queues.get(queue, {}).values())

    def ids(self, queue: str) -> list[int]:
        """The jobs of a queue that are in it, in no order."""
        return [job for ends in self._queues.get(queue, {}).values() for job in ends.jobs]

    def outranked_by(self, priority: int) -> bool:
        """Whether a new job of that priority has a place here, if need be in place of the worst."""
        return self.room > 0 or priority > self._all.worst.priority

    def put(self, job: Job) -> Job | None:
        """Take the job in; what falls out of the end (perhaps the job itself) is returned."""
        if job.id in self:
            return None
        self._all.add(job)
        self._queues.setdefault(job.queue, {}).setdefault(line(job), _Ends()).add(job)
        return self._drop(self._all.worst) if len(self) > self.capacity else None

    def take(self, may_start: Callable[[Job], bool]) -> Job | None:
        """The best job that may start, removed; None when none may. Of each line only the best is asked about: what
        keeps that one keeps the others."""
        if not len(self):
            return None
        if may_start(self._all.best):
            return self._drop(self._all.best)
        best = [ends.best for lines in self._queues.values() for ends in lines.values()]
        for job in sorted(best, key=lambda job: job.rank)[1:]:
            if may_start(job):
                return self._drop(job)
        return None

    def remove(self, job: int) -> bool:
        """Drop that job; whether it was there."""
        found = self._all.jobs.get(job)
        if found is not None:
            self._drop(found)
        return found is not None

    def remove_worst(self, queue: str) -> None:
        """Drop the job of that queue that comes last, if there is one."""
        if lines := self._queues.get(queue):
            self._drop(max((ends.worst for ends in lines.values()), key=lambda job: job.rank))

    def _drop(self, job: Job) -> Job:
        del self._all.jobs[job.id]
        lines = self._queues[job.queue]
        ends = lines[line(job)]
        del ends.jobs[job.id]
        if not ends.jobs:
            del lines[line(job)]
            if not lines:
                del self._queues[job.queue]
        return job

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        assert len(self) <= self.capacity
        by_line = [(queue, key, ends) for queue, lines in self._queues.items() for key, ends in lines.items()]
        assert sorted(job for *_, ends in by_line for job in ends.jobs) == sorted(self._all.jobs)
        for queue, key, ends in by_line:
            assert ends.jobs and all(line(job) == key and job.queue == queue for job in ends.jobs.values())
        for ends in (self._all, *(ends for *_, ends in by_line)):
            ranked = sorted(ends.jobs.values(), key=lambda job: job.rank)
            assert not ranked or (ends.best, ends.worst) == (ranked[0], ranked[-1])
