"""Queues that are strict: no job starts there before those that come before it."""

from __future__ import annotations

from taskgated.core.capacity import Policy, QueuePlaces
from taskgated.core.job import Job
from taskgated.core.lanes import Unseen
from taskgated.core.order import Rank
from taskgated.core.ready import ReadyQueue


def in_front(policy: Policy, ready: ReadyQueue, unseen: Unseen, job: Job) -> int | None:
    """The job that has to start before this one may; None if there is none, 0 if it is not known which one it is."""
    if job.queue not in policy.strict:
        return None
    best, early = ready.best_taker(QueuePlaces(job.queue)), unseen.earliest(job.queue)
    first = min((rank for rank in (early, None if best is None else best.rank) if rank is not None), default=job.rank)
    return first[1] if first < job.rank else None


def kept_before(policy: Policy, unseen: Unseen, queue: str, rank: Rank) -> bool:
    """Whether a job before that rank is kept, so that nothing of that rank can start."""
    kept = unseen.kept(queue) if queue in policy.strict else None
    return kept is not None and kept < rank


def behind(policy: Policy, ready: ReadyQueue, queue: str, kept: Rank) -> list[Job]:
    """What is ready of a queue behind a job that is kept, and so only in the way of others."""
    return [job for job in ready if job.queue == queue and job.rank > kept] if queue in policy.strict else []
