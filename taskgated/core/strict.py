"""Queues that are strict: no job starts there before those that come before it, whatever keeps these.

A job whose lane is closed is known to be there (``core/lanes.py``). Of those that wait for something by name, or
behind their line, the store knows; it starts no job of a strict queue that comes after one of them, and says which
that is.
"""

from __future__ import annotations

from taskgated.core.capacity import Policy, QueuePlaces
from taskgated.core.job import Job
from taskgated.core.lanes import Unseen
from taskgated.core.order import Rank
from taskgated.core.ready import ReadyQueue


class Kept:
    """Of each queue the first job that waits for something by name, or behind its line, as far as it is known."""

    def __init__(self) -> None:
        self._first: dict[str, Rank] = {}

    def of(self, queue: str) -> Rank | None:
        return self._first.get(queue)

    def keeps(self, queue: str, rank: Rank) -> None:
        """A job of that rank does."""
        self._first[queue] = min(rank, self._first.get(queue, rank))

    def goes(self, job: int) -> str | None:
        """That job waits so no more. Returns its queue, if it was known as the first there."""
        queue = next((queue for queue, rank in self._first.items() if rank[1] == job), None)
        if queue is not None:
            del self._first[queue]
        return queue

    def all(self) -> dict[int, tuple[str, Rank]]:
        """The jobs, each with its queue and its rank."""
        return {rank[1]: (queue, rank) for queue, rank in self._first.items()}

    def forget(self) -> None:
        """All may be otherwise."""
        self._first = {}


def in_front(policy: Policy, ready: ReadyQueue, unseen: Unseen, kept: Kept, job: Job) -> int | None:
    """The job that has to start before this one may; None if there is none, 0 if it is not known which one it is."""
    if job.queue not in policy.strict:
        return None
    best = ready.best_taker(QueuePlaces(job.queue))
    ranks = [unseen.earliest(job.queue), kept.of(job.queue), None if best is None else best.rank]
    first = min((rank for rank in ranks if rank is not None), default=job.rank)
    return first[1] if first < job.rank else None


def kept_before(policy: Policy, unseen: Unseen, kept: Kept, queue: str, rank: Rank) -> bool:
    """Whether a job before that rank is kept, so that nothing of that rank can start."""
    ranks = (unseen.kept(queue), kept.of(queue)) if queue in policy.strict else ()
    return any(one is not None and one < rank for one in ranks)


def behind(policy: Policy, ready: ReadyQueue, queue: str, kept: Rank) -> list[Job]:
    """What is ready of a queue behind a job that is kept, and so only in the way of others."""
    return [job for job in ready if job.queue == queue and job.rank > kept] if queue in policy.strict else []
