"""The bounded queue between the store and the workers.

It holds the jobs that are to start next, best first. Being in it changes nothing about a job: it is still
queued in the store. So a better job may push the worst one out, and a crash loses nothing.

All jobs are in one order, and those of a lane, and those that take of one scarce thing, once more in one of their
own. So whatever happens to one job costs a few steps in heaps, however many are ready, and what can be counted is
counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from taskgated.core.capacity import Capacity
from taskgated.core.job import Job
from taskgated.core.order import Lane, Rank
from taskgated.core.ranked import Ranked


class _Ends:
    """Some jobs, the best and the worst of them at hand."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self._up = Ranked[int]()
        self._down = Ranked[int]()

    def add(self, job: Job) -> None:
        turn, id_ = job.rank
        self.jobs[job.id] = job
        self._up.put(job.id, (turn, id_))
        self._down.put(job.id, (-turn, -id_))

    def drop(self, job: Job) -> None:
        del self.jobs[job.id]
        self._up.drop(job.id)
        self._down.drop(job.id)

    @property
    def best(self) -> Job | None:
        return None if (first := self._up.first) is None else self.jobs[first]

    @property
    def worst(self) -> Job | None:
        return None if (last := self._down.first) is None else self.jobs[last]


class ReadyQueue:
    """At most ``capacity`` jobs in order of their rank. ``scarce``: of what such a job takes that there is a bound
    on, beside what all take; it is the same for a job as long as that is here."""

    def __init__(self, capacity: int, scarce: Callable[[Lane], Iterable[Capacity]] = lambda lane: ()) -> None:
        self.capacity = capacity
        self._scarce = scarce
        self._all = _Ends()
        self._lanes: dict[Lane, _Ends] = {}  # no empty ones
        self._takers: dict[Capacity, _Ends] = {}  # no empty ones

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
    def worst(self) -> Job | None:
        return self._all.worst

    @property
    def queues(self) -> list[str]:
        """Those of which there are jobs."""
        return list({lane.queue: None for lane in self._lanes})

    def takers(self, capacity: Capacity) -> int:
        """How many of them take some of that."""
        return 0 if (ends := self._takers.get(capacity)) is None else len(ends.jobs)

    def best_taker(self, capacity: Capacity) -> Job | None:
        """The one of those that comes first."""
        return None if (ends := self._takers.get(capacity)) is None else ends.best

    def worst_taker(self, capacity: Capacity) -> Job | None:
        """The one of those that comes last."""
        return None if (ends := self._takers.get(capacity)) is None else ends.worst

    def ids(self, lane: Lane) -> list[int]:
        """The jobs of a lane that are in it, in no order."""
        return [] if (ends := self._lanes.get(lane)) is None else list(ends.jobs)

    def by_lane(self) -> dict[Lane, list[int]]:
        """The jobs that are in it, by their lanes."""
        return {lane: list(ends.jobs) for lane, ends in self._lanes.items()}

    def count(self, lane: Lane) -> int:
        """How many of a lane are in it."""
        return 0 if (ends := self._lanes.get(lane)) is None else len(ends.jobs)

    def last_of(self, queue: str, standing: Callable[[Lane, int], float]) -> Job | None:
        """The one of a queue that is shared fairly that comes last. ``standing``: of a lane, when so many of it have
        started."""
        found: list[tuple[tuple[float, Rank], Job]] = []
        for lane, ends in self._lanes.items():
            if lane.queue == queue and (last := ends.worst) is not None:
                found.append(((standing(lane, self.count(lane) - 1), last.rank), last))
        return max(found, key=lambda one: one[0])[1] if found else None

    def put(self, job: Job) -> None:
        """Take the job in, also beyond the capacity: it is for the caller to have the worst leave then."""
        if job.id in self:
            return
        self._all.add(job)
        self._lanes.setdefault(job.lane, _Ends()).add(job)
        for capacity in self._scarce(job.lane):
            self._takers.setdefault(capacity, _Ends()).add(job)

    def take(self, may_start: Callable[[Job], bool], standing: Callable[[Lane], float] | None = None) -> Job | None:
        """The best job that may start, removed; None when none may. Of each lane only the best is asked about: what
        keeps that one keeps the others, for none that is here lacks what it needs by name. ``standing``: of a lane,
        where it is not the same for all; in each queue that with the least comes first, and of the jobs that come
        first in their queues the best is taken."""
        first = self._all.best
        if first is None:
            return None
        if standing is None and may_start(first):
            return self.drop(first)
        best = [job for ends in self._lanes.values() if (job := ends.best) is not None]
        if standing is None:
            for job in sorted(best, key=lambda job: job.rank)[1:]:
                if may_start(job):
                    return self.drop(job)
            return None
        firsts: dict[str, Job] = {}
        for job in sorted(best, key=lambda job: (standing(job.lane), job.rank)):
            if job.queue not in firsts and may_start(job):
                firsts[job.queue] = job
        return self.drop(min(firsts.values(), key=lambda job: job.rank)) if firsts else None

    def remove(self, job: int) -> Job | None:
        """Drop that job; None if it was not there."""
        found = self._all.jobs.get(job)
        return None if found is None else self.drop(found)

    def drop(self, job: Job) -> Job:
        """It leaves; it is here."""
        self._all.drop(job)
        ends = self._lanes[job.lane]
        ends.drop(job)
        if not ends.jobs:
            del self._lanes[job.lane]
        for capacity in self._scarce(job.lane):
            takers = self._takers[capacity]
            takers.drop(job)
            if not takers.jobs:
                del self._takers[capacity]
        return job

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        assert len(self) <= self.capacity
        assert sorted(job for ends in self._lanes.values() for job in ends.jobs) == sorted(self._all.jobs)
        for lane, ends in self._lanes.items():
            assert ends.jobs and all(job.lane == lane for job in ends.jobs.values())
        takers: dict[Capacity, set[int]] = {}
        for job in self._all.jobs.values():
            for capacity in self._scarce(job.lane):
                takers.setdefault(capacity, set()).add(job.id)
        assert {capacity: set(ends.jobs) for capacity, ends in self._takers.items()} == takers
        for ends in (self._all, *self._lanes.values(), *self._takers.values()):
            ranked = sorted(ends.jobs.values(), key=lambda job: job.rank)
            assert (ends.best, ends.worst) == ((ranked[0], ranked[-1]) if ranked else (None, None))
