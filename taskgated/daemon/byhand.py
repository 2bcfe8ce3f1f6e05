"""What people do with single jobs: the store has it first, then the gate hears of it, and the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from taskgated.core.gate import Gate
from taskgated.core.owner import Owner
from taskgated.daemon.conductor import Conductor
from taskgated.errors import NotTheirs, TaskgateError, Trouble
from taskgated.events import Event
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal, Priority
from taskgated.host.names import uid_of
from taskgated.host.paths import Layout
from taskgated.intake.entitled import directory_of, may_use
from taskgated.store.answer import Answer
from taskgated.store.byhand import Came
from taskgated.store.client import StoreClient
from taskgated.store.contract import Record, Store
from taskgated.text import to_text

T = TypeVar("T")
Done = Callable[[Answer[None]], None]


class JobsByHand:
    """``by``: whoever does it. ``done`` is called when it is so, or with what is against it."""

    def __init__(
        self,
        layout: Layout,
        store: StoreClient,
        gate: Gate,
        conductor: Conductor,
        journal: Journal,
        helper: Helper,
    ) -> None:
        self._spool = os.fsencode(layout.spool)
        self._store = store
        self._gate = gate
        self._conductor = conductor
        self._journal = journal
        self._helper = helper

    def hold(self, job: Record, by: Owner, done: Done) -> None:
        self._do(lambda store: store.hold(job.id), Event.JOB_HELD, job, f"held by {by.words}", done)

    def release(self, job: Record, by: Owner, done: Done) -> None:
        self._do(lambda store: store.release(job.id), Event.JOB_RELEASED, job, f"released by {by.words}", done)

    def retry(self, job: Record, by: Owner, done: Done) -> None:
        text = f"to run again, by {by.words}"
        self._do(lambda store: store.retry(job.id), Event.JOB_RETRIED, job, text, done)

    def prioritize(self, job: Record, priority: int, by: Owner, done: Done) -> None:
        text = f"priority {priority}, before {job.priority}, by {by.words}"
        self._do(lambda store: store.prioritize(job.id, priority), Event.JOB_PRIORITIZED, job, text, done)

    def move(self, job: Record, queue: str, by: Owner, done: Done, *, anyhow: bool) -> None:
        """``anyhow``: also if the owner of the job may not use that queue."""
        spool = self._spool
        text = f"moved from queue {job.queue} to {queue} by {by.words}"

        def looked(against: TaskgateError | None) -> None:
            if against is None:
                self._do(lambda store: store.move(job.id, queue), Event.JOB_MOVED, job, text, done)
            else:
                done(Answer[None].failed(against))

        if anyhow:
            looked(None)
        else:  # its file system may not answer
            self._helper.do(lambda: _against(spool, queue, job), looked)

    def _do(self, verb: Callable[[Store], Sequence[Came]], event: Event, job: Record, text: str, done: Done) -> None:
        """``verb`` returns what may start now."""

        def answered(answer: Answer[Sequence[Came]]) -> None:
            if answer.error is not None:
                done(Answer[None].failed(answer.error))
                return
            self._journal.event(
                event,
                f"job {job.id} ({job.name}): {text}",
                Priority.NOTICE,
                job_id=job.id,
                job_name=job.name,
                queue=job.queue,
            )
            self._conductor.do(self._gate.dropped([job.id]))  # as it was
            for came in answer.get():
                self._conductor.do(self._gate.queued(*came))
            self._conductor.wake_at(0)  # its time may not have come
            self._conductor.progressed.tell()
            done(Answer.of(None))

        self._store.submit(verb, answered)


def _against(spool: bytes, queue: str, job: Record) -> TaskgateError | None:
    """What is against it that the owner of a job uses that queue, if anything is."""
    whose = f"the owner of job {job.id}"
    try:
        user = uid_of(job.owner)
        if user is None:
            return NotTheirs(f"{whose} is {job.owner}, and this host knows no such user any more")
        if may_use(spool, queue, user):
            return None
    except (OSError, Trouble) as error:
        return NotTheirs(f"whether {whose} may use the queue {queue} cannot be told now: {error}")
    may = f"those may who may write to {to_text(directory_of(spool, queue))}"
    return NotTheirs(f"{whose} may not use the queue {queue}: {may}")
