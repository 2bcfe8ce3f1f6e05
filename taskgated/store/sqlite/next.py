"""The next jobs of some lanes: each lane is read in its order, and no further than the merge of all needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heapreplace

from taskgated.core.job import Job
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.store.sqlite.rows import job_or_part, rank_of
from taskgated.store.sqlite.statements import Row, Statements
from taskgated.store.turns import Found


def fetch(sql: Statements, steady: int, wanted: Mapping[Lane, int], known: Collection[int], most: int) -> Found:
    """``Next.fetch`` at that time of the steady clock."""
    step = (most + len(known)) // max(1, len(wanted)) + 2
    heap: list[tuple[Rank, Lane, Row, Iterator[Row], int]] = []  # the first of each lane, and how many to take of it
    for lane, number in wanted.items():
        rows = _rows(sql, steady, lane, known, step)
        if (row := next(rows, None)) is not None:
            heap.append((rank_of(row), lane, row, rows, number))
    heapify(heap)
    jobs: list[Job] = []
    rest: dict[Lane, Rank] = {}
    while heap:
        rank, lane, row, rows, left = heap[0]
        if left <= 0 or len(jobs) >= most:
            rest[lane] = rank
            heappop(heap)
            continue
        jobs.append(job_or_part(row, State.QUEUED))
        if (row := next(rows, None)) is None:
            heappop(heap)
        else:
            heapreplace(heap, (rank_of(row), lane, row, rows, left - 1))
    return Found(jobs, rest)


def _rows(sql: Statements, steady: int, lane: Lane, known: Collection[int], step: int) -> Iterator[Row]:
    """The jobs of a lane in their order, but for those that are known; ``step`` of them are read at first."""
    read = 0
    while rows := sql.rows("fetch", queue=lane.queue, owner=lane.owner, steady=steady, limit=step, offset=read):
        yield from (row for row in rows if row[0] not in known)
        if len(rows) < step:
            return
        read, step = read + step, 2 * step
