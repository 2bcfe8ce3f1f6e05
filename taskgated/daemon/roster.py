"""The workers that are connected, and what each is told.

Nothing is decided here. What a worker is told in one turn of the loop goes in one piece, at the turn's end: it wakes
up once. What workers say is heard by ``dispatch``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from taskgated.core.job import Job
from taskgated.host.loop import Loop, Timer
from taskgated.protocol.connection import Connection
from taskgated.protocol.messages import Ack, Deadline, Identity, Key, Ping, Quit, Run, Said, Stop, Warn
from taskgated.store.placement import Placement

LEAVING = 1.0
"""Seconds at the end for workers that have nothing to run."""
ACK_WITHIN = 10.0
"""Seconds for which an ack may wait for something else that its worker is told."""


@dataclass(slots=True)
class Worker:
    """One connected worker. ``placement``: where the store has it; ``running``: the attempt that it said it has,
    or was given; ``answers``: it knows what a ping is (not before version 0.3); ``features``: what else it knows;
    ``owes``: it has not answered the last ping; ``untaken``: it was asked before it had read what attempt it was
    given, and may not have yet."""

    connection: Connection
    identity: Identity
    placement: Placement
    running: Key | None = None
    retiring: bool = False
    answers: bool = False
    features: tuple[str, ...] = ()
    owes: bool = False
    untaken: bool = False
    unheard: set[Key] = field(default_factory=set)  # attempts that it has reported, and may not know so
    acks: list[Key] = field(default_factory=list)  # of these: said, and not sent yet

    @property
    def key(self) -> str:
        return self.identity.key


class Roster:
    """``workers``: those that are connected, by key; ``dispatch`` adds and removes them."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.workers: dict[str, Worker] = {}
        self._told: dict[str, Worker] = {}  # has messages that are to be sent in this turn
        self._acked: dict[str, Worker] = {}  # has an ack that can wait
        self._late: Timer | None = None  # until that has waited for long enough
        loop.at_end_of_turn(self.flush)

    def remove(self, worker: Worker) -> None:
        del self.workers[worker.key]
        self._acked.pop(worker.key, None)

    def jobs(self) -> list[int]:
        """Those that its workers have."""
        return [worker.running[0] for worker in self.workers.values() if worker.running is not None]

    # -- what a worker is told -------------------------------------------------------------------

    def run(self, worker: Worker, job: Job, log: str, source: str, overload: str = "") -> None:
        """Hand an attempt over; its start is already durable. ``source``: where its file lay; ``overload``:
        what is looked for in the end of its output. Raises
        ``MessageTooLong`` for one that no worker would take: a file with such a job is refused now, but was not
        always."""
        self._send(worker, Run.of(_as_it_is(job), log, source, overload))
        worker.running = (job.id, job.attempt)
        worker.untaken = worker.owes

    def ack(self, worker: Worker, job: int, attempt: int) -> None:
        """Its outcome is on stable storage. A busy worker is told with the next thing that it is told, or within
        ``ACK_WITHIN`` seconds: nothing hangs on it while this daemon lives, and to a later one it would only report
        what that one knows."""
        worker.acks.append((job, attempt))
        message = Ack(job, attempt)
        if worker.running is None:
            self._send(worker, message)
            return
        worker.connection.queue(message.to_json())
        self._acked[worker.key] = worker
        if self._late is None:
            self._late = self._loop.after(ACK_WITHIN, self._send_acks)

    def warn(self, worker: Worker, job: int, attempt: int) -> None:
        """Its attempt is to end soon."""
        self._send(worker, Warn(job, attempt))

    def deadline(self, worker: Worker, job: int, attempt: int, at: int) -> None:
        """End its attempt when it is ``at``, in microseconds since boot. Only a worker that has the feature."""
        self._send(worker, Deadline(job, attempt, at))

    def stop(self, worker: Worker, job: int, attempt: int, grace: float | None) -> None:
        """End its attempt; ``grace``: seconds from SIGTERM to SIGKILL, None as the job says."""
        self._send(worker, Stop(job, attempt, grace))

    def ping(self, worker: Worker) -> None:
        """Ask for a sign of life. One question at a time, and only of a worker that ``answers``."""
        worker.owes = True
        worker.untaken = worker.running is not None and worker.connection.unread
        self._send(worker, Ping({}))

    def quit(self, worker: Worker) -> None:
        """Leave when idle."""
        worker.retiring = True
        self._send(worker, Quit())

    def hang_up(self) -> None:
        """On every worker. Those that have nothing to run leave; they are waited for a moment, so that systemd, which
        counts what a service leaves behind, meets none that is of no use any more."""
        self._send_acks()
        self.flush()
        for worker in self.workers.values():
            worker.connection.close()
        end = time.monotonic() + LEAVING
        idle = [worker.identity.process for worker in self.workers.values() if worker.running is None]
        while any(process.alive() for process in idle) and time.monotonic() < end:
            time.sleep(0.01)

    def flush(self) -> None:
        """Send what was said in this turn."""
        while self._told:
            key, worker = self._told.popitem()
            self._acked.pop(key, None)
            if not worker.connection.closed:
                worker.connection.flush()
            if not worker.connection.closed:
                worker.unheard.difference_update(worker.acks)
                worker.acks.clear()

    # -- inside ----------------------------------------------------------------------------------

    def _send(self, worker: Worker, message: Said) -> None:
        worker.connection.queue(message.to_json())
        self._told[worker.key] = worker

    def _send_acks(self) -> None:
        """Those that have waited for nothing."""
        self._late = None
        self._told |= self._acked
        self._acked.clear()


def _as_it_is(job: Job) -> Job:
    """With a spec that says into which queue, and on which priority, somebody may have put it by hand."""
    spec = job.spec
    if (spec.queue, spec.priority) == (job.queue, job.priority):
        return job
    return replace(job, spec=replace(spec, queue=job.queue, priority=job.priority))
