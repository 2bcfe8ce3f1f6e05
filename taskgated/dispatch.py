"""The daemon's side of the workers' connections.

Workers connect to us, say who they are and what they run, and get attempts. Greeting a new worker and
meeting again one that ran on while no daemon was there is the same code: a ``hello``.

Nothing is decided here. What comes in is passed to a ``Listener``.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from taskgated.clock import ProcessId, wall
from taskgated.connection import Connection
from taskgated.core.job import Job, Outcome, Result
from taskgated.door import Door
from taskgated.errors import MessageTooLong, ProtocolError
from taskgated.loop import Loop
from taskgated.wire import Channel, Message

PROTOCOL = 1
STRANGERS = 64
"""Connections that have not said hello; one more, and the oldest has to go. Workers say it at once."""
LEAVING = 1.0
"""Seconds at the end for workers that have nothing to run."""
LIMIT = 1024 * 1024
"""Bytes of a message: what workers say is short."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker process, so that it can be told from any other there ever was, and where its jobs live."""

    process: ProcessId
    cgroup: str | None = None

    @property
    def key(self) -> str:
        return f"{self.process.pid}.{self.process.start}.{self.process.boot}"

    def to_json(self) -> dict[str, Any]:
        return {**self.process.to_json(), "cgroup": self.cgroup}

    @classmethod
    def from_json(cls, data: Message) -> Identity:
        try:
            process = ProcessId.from_json(data)
            cgroup = data.get("cgroup")
            if cgroup is not None and not (isinstance(cgroup, str) and cgroup.isprintable()):
                raise ValueError(cgroup)  # no path of a control group, and perhaps none at all
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ProtocolError(f"not a worker's identity: {error!r}") from None
        return cls(process, cgroup)


@dataclass(slots=True)
class Worker:
    """One connected worker. ``record``: how the store remembers it; ``running``: the attempt it said it has,
    or was given; ``answers``: it knows what a ping is (not before version 0.3); ``owes``: it has not answered the
    last one; ``untaken``: it was asked before it had read what attempt it was given, and may not have yet."""

    connection: Connection
    identity: Identity
    record: str
    running: tuple[int, int] | None = None
    retiring: bool = False
    answers: bool = False
    owes: bool = False
    untaken: bool = False
    unheard: set[tuple[int, int]] = field(default_factory=set)  # attempts that it has reported, and may not know so
    acks: list[tuple[int, int]] = field(default_factory=list)  # of these: said, and not sent yet

    @property
    def key(self) -> str:
        return self.identity.key


class Listener(Protocol):
    """Who is told what workers say."""

    def worker_arrived(self, worker: Worker) -> None: ...

    def worker_reported(self, worker: Worker, outcome: Outcome) -> None: ...

    def worker_answered(self, worker: Worker) -> None: ...

    def worker_gone(self, worker: Worker) -> None: ...


class Dispatch:
    """The listening socket and every connected worker."""

    def __init__(self, loop: Loop, path: Path, listener: Listener) -> None:
        self._loop = loop
        self._listener = listener
        self._strangers: dict[Connection, None] = {}  # connected, no hello yet; the oldest first
        self.workers: dict[str, Worker] = {}
        self._told: dict[str, Worker] = {}  # has messages that are to be sent in this turn
        self._acked: dict[str, Worker] = {}  # has an ack that can wait
        loop.at_end_of_turn(self._flush)
        self.door = Door(loop, path, 0o600, self._welcome)

    def run(self, worker: Worker, job: Job, log: str) -> None:
        """Hand an attempt over; its start is already durable. One that is too large for that (a file with such a job
        is refused now, but was not always) has failed, as if the worker had found that it cannot run."""
        message = {"job": job.id, "attempt": job.attempt, "spec": job.spec.to_json(), "log": log}
        try:
            self._send(worker, {"run": message})
        except MessageTooLong as error:
            now = wall()
            text = f"cannot be handed to a worker: {error}"
            outcome = Outcome(job.id, job.attempt, Result.FAILED, started=now, finished=now, message=text)
            self._loop.after(0, lambda: self._listener.worker_reported(worker, outcome))
        else:
            worker.running = (job.id, job.attempt)
            worker.untaken = worker.owes

    def ack(self, worker: Worker, job: int, attempt: int) -> None:
        """Its outcome is on stable storage. A busy worker is told with the next thing it is told: nothing hangs on
        it while this daemon lives, and to a later one it would only report what that one knows."""
        worker.acks.append((job, attempt))
        message = {"ack": {"job": job, "attempt": attempt}}
        if worker.running is None:
            self._send(worker, message)
        else:
            worker.connection.queue(message)
            self._acked[worker.key] = worker

    def send_acks(self) -> None:
        """Tell busy workers after all; called now and then."""
        self._told |= self._acked
        self._acked.clear()

    def stop(self, worker: Worker, job: int, attempt: int, grace: float | None) -> None:
        self._send(worker, {"stop": {"job": job, "attempt": attempt, "grace": grace}})

    def ping(self, worker: Worker) -> None:
        """Ask for a sign of life; ``worker_answered`` follows. One question at a time, and only of who knows it."""
        worker.owes = True
        worker.untaken = worker.running is not None and worker.connection.unread
        self._send(worker, {"ping": {}})

    def quit(self, worker: Worker) -> None:
        """Leave when idle."""
        worker.retiring = True
        self._send(worker, {"quit": {}})

    def close(self) -> None:
        """Hang up on everybody. Workers that have nothing to run leave; they are waited for a moment, so that nobody
        (systemd, which counts what a service leaves behind) meets any after us that are no use to anybody."""
        self.send_acks()
        self._flush()
        self.door.close()
        for connection in [*self._strangers, *(w.connection for w in self.workers.values())]:
            connection.close()
        end = time.monotonic() + LEAVING
        idle = [worker.identity.process for worker in self.workers.values() if worker.running is None]
        while any(process.alive() for process in idle) and time.monotonic() < end:
            time.sleep(0.01)

    # -- inside ----------------------------------------------------------------------------------

    def _send(self, worker: Worker, message: Message) -> None:
        """What a worker is told in one turn goes in one piece: it wakes up once."""
        worker.connection.queue(message)
        self._told[worker.key] = worker

    def _flush(self) -> None:
        while self._told:
            key, worker = self._told.popitem()
            self._acked.pop(key, None)
            if not worker.connection.closed:
                worker.connection.flush()
            if not worker.connection.closed:
                worker.unheard.difference_update(worker.acks)
                worker.acks.clear()

    def _welcome(self, sock: socket.socket, pid: int, uid: int) -> None:
        if uid != os.getuid():
            sock.close()
            return
        if len(self._strangers) >= STRANGERS:
            oldest = next(iter(self._strangers))
            self._forget(oldest)
            oldest.close()

        def first_words(message: Message) -> None:
            worker = self._hello(connection, pid, message)
            connection.heard = lambda message: self._heard(worker, message)
            connection.gone = lambda: self._lost(worker)
            self._listener.worker_arrived(worker)

        connection = Connection(self._loop, Channel(sock, LIMIT), first_words, lambda: self._forget(connection))
        self._strangers[connection] = None

    def _forget(self, stranger: Connection) -> None:
        self._strangers.pop(stranger, None)

    def _hello(self, connection: Connection, pid: int, message: Message) -> Worker:
        hello = message.get("hello")
        if not isinstance(hello, dict) or hello.get("protocol") != PROTOCOL:
            raise ProtocolError("expected a hello")
        identity = Identity.from_json(hello)
        # One that is gone already cannot be asked; its last words count.
        if identity.process.pid != pid or ProcessId.of(pid) not in (None, identity.process):
            raise ProtocolError(f"pid {pid} says it is {identity.process}")
        if identity.key in self.workers:
            raise ProtocolError(f"pid {pid} is connected already")
        attempt = _attempt(hello.get("running"))
        record = json.dumps(identity.to_json(), separators=(",", ":"))
        worker = Worker(connection, identity, record, attempt, answers=hello.get("answers") is True)
        self._strangers.pop(connection, None)
        self.workers[worker.key] = worker
        return worker

    def _heard(self, worker: Worker, message: Message) -> None:
        if "pong" in message:
            worker.owes = worker.untaken = False
            self._listener.worker_answered(worker)
            return
        try:
            outcome = Outcome.from_json(message["outcome"])
        except Exception as error:  # whatever it is that it said: it costs nobody else anything
            raise ProtocolError(f"not an outcome: {error!r}") from None
        worker.unheard.add((outcome.job, outcome.attempt))
        if worker.running == (outcome.job, outcome.attempt):
            worker.running = None
        self._listener.worker_reported(worker, outcome)

    def _lost(self, worker: Worker) -> None:
        del self.workers[worker.key]
        self._acked.pop(worker.key, None)
        self._listener.worker_gone(worker)


def _attempt(running: object) -> tuple[int, int] | None:
    """What a worker says it has: job and number of the attempt."""
    match running:
        case None:
            return None
        case {"job": int(job), "attempt": int(attempt)}:
            return job, attempt
    raise ProtocolError(f"not an attempt: {running!r}")
