"""What keeps the queued jobs of each queue from starting, in numbers: for ``Status``, from what is counted anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from taskgated.core.kinds import Kind
from taskgated.core.order import Lane
from taskgated.store.waiting import LOOKED_FOR, NOT_DUE, OTHERS, Waits

KINDS = {
    NOT_DUE: Kind.TIME,
    LOOKED_FOR: Kind.REQUIRES,
    OTHERS: Kind.AFTER,
    "token": Kind.TOKEN,
    "lock": Kind.LOCK,
    "key": Kind.KEY,
    "array": Kind.QUEUE_LIMIT,
    "retries": Kind.RATE,
}
"""Of what a job waits for by itself."""


class Keeps(Protocol):
    """What of the gate keeps more than one job."""

    def all_kept(self) -> Kind | None:
        """Why no job may start now, though workers are idle; None: some may, or none is idle."""

    def whole(self, queue: str) -> Kind | None:
        """Why nothing of a queue may start now; None: something may."""

    def full(self, lane: Lane) -> bool:
        """Whether a user runs as many of a queue as one may."""


def blocked(queued: Mapping[str, int], waits: Waits, keeps: Keeps) -> Mapping[str, Mapping[str, int]]:
    """By queue and kind, how many of the ``queued`` jobs are kept by what, each of them once: by what closes its
    queue, else by the limits of its user, else by what it waits for itself, else by what keeps all. Others have only
    not had their turn."""
    found: dict[str, Counter[str]] = {queue: Counter() for queue in queued}
    for queue, jobs in queued.items():
        if jobs and (kind := keeps.whole(queue)) is not None:
            found[queue][kind] = jobs
    closed = {queue for queue, of_queue in found.items() if of_queue}
    full = {lane for lane in waits.queued if lane.queue not in closed and keeps.full(lane)}
    for lane in full:
        found.setdefault(lane.queue, Counter())[Kind.USER_LIMIT] += waits.queued[lane]
    for one in waits.own:
        if one.lane not in full and one.lane.queue not in closed and (own := KINDS.get(one.waits)) is not None:
            found.setdefault(one.lane.queue, Counter())[own] += one.jobs
    if (everything := keeps.all_kept()) is not None:
        for queue, jobs in queued.items():
            if rest := jobs - found[queue].total():
                found[queue][everything] = max(0, rest)
    return {queue: {str(kind): jobs for kind, jobs in of_queue.items()} for queue, of_queue in found.items()}
