"""Which attempts surely never began: the daemon died between the store's start of one and its worker hearing of it.

A worker that lives says what it had last when it comes; one that left has put that down (``attempts/partings.py``).
An attempt that it has not heard of is told by that only if the store is later than what the worker had last: one that
was put back from a copy has an old attempt of it as running, which the worker has left behind long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from taskgated.attempts.partings import Partings
from taskgated.core.job import Job
from taskgated.host.processes import ProcessId
from taskgated.protocol.messages import Identity, Key
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Record

WHY = "the daemon died before its worker heard of it"


class Unbegun:
    """``outcomes``: the directory of these."""

    def __init__(self, store: StoreClient, outcomes: Path) -> None:
        self._store = store
        self._partings = Partings(outcomes)
        self._said: dict[str, Key] = {}  # by worker: what it had last, which is not what it was expected to have

    def said(self, worker: str, last: Key) -> None:
        self._said[worker] = last

    def forget_all_but(self, workers: Collection[ProcessId]) -> None:
        """At start. What ``workers`` have left, those with an attempt, stays until the next start: this one may die,
        and the next one asks again."""
        self._partings.forget_all_but(workers)

    def ask(self, worker: Identity, job: Job, then: Callable[[bool], None]) -> None:
        """Whether that worker, which is gone, surely never heard of the attempt; ``then`` is told at once if nothing
        has to be asked of the store for that."""
        last = self._said.pop(worker.key, None)
        if last is None:
            parting = self._partings.read(worker.process)
            if parting is None or parting.last is None:
                then(parting is not None)
                return
            last = parting.last
        if last == (job.id, job.attempt):
            then(False)
            return
        before, number = last

        def found(answer: Answer[Sequence[Record]]) -> None:
            then(answer.error is None and any(record.attempt >= number for record in answer.get()))

        self._store.ask(lambda store: store.records([before]), found)
