"""What follows in the daemon when jobs that others wait for are over: these may start, or will not run at all.

The store does that by itself, in pieces, with whatever else it writes (``store/thread.py``). Here it is told; and
where there is more to be done, and nothing else is written, the next piece is asked for.
"""

from __future__ import annotations

from taskgated.core.gate import Gate
from taskgated.daemon.conductor import Conductor
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient, ignore


class Dependants:
    def __init__(self, store: StoreClient, gate: Gate, conductor: Conductor, journal: Journal) -> None:
        self._store = store
        self._gate = gate
        self._conductor = conductor
        self._journal = journal
        store.resolved.add(self._resolved)

    def _resolved(self, answer: Answer[Resolved]) -> None:
        if answer.error is not None:
            text = f"jobs that wait for others cannot be looked at: {answer.error}"
            self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
            return
        resolved = answer.get()
        for cancelled in resolved.over:
            self._gate.forget(cancelled.job)
            self._journal.event(
                Event.JOB_CANCELLED,
                f"job {cancelled.job} ({cancelled.name}): cancelled: {cancelled.why}",
                Priority.NOTICE,
                job_id=cancelled.job,
                job_name=cancelled.name,
                queue=cancelled.queue,
            )
            self._conductor.over.tell(cancelled.job)
        if resolved.let_go:
            self._conductor.let_go.tell(resolved.let_go, True)
        for lane, rank in resolved.best.items():
            self._conductor.do(self._gate.queued(lane, rank))
        if resolved.timed:
            self._conductor.wake_at(0)
        if resolved.over:
            self._conductor.progressed.tell()
        if resolved.more:
            self._store.submit(ignore)
