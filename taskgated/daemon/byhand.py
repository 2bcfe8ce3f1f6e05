"""What people do with single jobs: the store has it first, then the gate hears of it, and the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from taskgated.core.gate import Gate
from taskgated.core.order import Lane, Rank
from taskgated.daemon.conductor import Conductor
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Record, Store

T = TypeVar("T")
Done = Callable[[Answer[None]], None]


class JobsByHand:
    """``by``: whoever does it (uid). ``done`` is called when it is so, or with what the store said against it."""

    def __init__(self, store: StoreClient, gate: Gate, conductor: Conductor, journal: Journal) -> None:
        self._store = store
        self._gate = gate
        self._conductor = conductor
        self._journal = journal

    def hold(self, job: Record, by: int, done: Done) -> None:
        def held(_: None) -> None:
            self._gate.forget(job.id)
            self._tell(Event.JOB_HELD, job, f"held by uid {by}")

        self._do(lambda store: store.hold(job.id), held, done)

    def release(self, job: Record, by: int, done: Done) -> None:
        def released(came: tuple[Lane, Rank]) -> None:
            self._tell(Event.JOB_RELEASED, job, f"released by uid {by}")
            self._conductor.do(self._gate.queued(*came))
            self._conductor.wake_at(0)  # its time may not have come

        self._do(lambda store: store.release(job.id), released, done)

    def _do(self, verb: Callable[[Store], T], then: Callable[[T], None], done: Done) -> None:
        def answered(answer: Answer[T]) -> None:
            if answer.error is not None:
                done(Answer[None].failed(answer.error))
                return
            then(answer.get())
            self._conductor.progressed.tell()
            done(Answer.of(None))

        self._store.submit(verb, answered)

    def _tell(self, event: Event, job: Record, text: str) -> None:
        self._journal.event(
            event,
            f"job {job.id} ({job.name}): {text}",
            Priority.NOTICE,
            job_id=job.id,
            job_name=job.name,
            queue=job.queue,
        )
