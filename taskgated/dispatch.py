"""The daemon's side of the workers' connections.

Workers connect to us, say who they are and what they run, and get attempts. Greeting a new worker and
meeting again one that ran on while no daemon was there is the same code: a ``hello``.

Nothing is decided here. What comes in is passed to a ``Listener``.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from taskgated.clock import ProcessId
from taskgated.core.job import Job, Outcome
from taskgated.errors import ProtocolError
from taskgated.loop import Loop
from taskgated.sockets import listen, peer
from taskgated.wire import Channel, Message

PROTOCOL = 1
STRANGERS = 64
"""Connections that have not said hello; one more, and the oldest has to go. Workers say it at once."""
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
    or was given."""

    channel: Channel
    identity: Identity
    record: str
    running: tuple[int, int] | None = None
    retiring: bool = False

    @property
    def key(self) -> str:
        return self.identity.key


class Listener(Protocol):
    """Who is told what workers say."""

    def worker_arrived(self, worker: Worker) -> None: ...

    def worker_reported(self, worker: Worker, outcome: Outcome) -> None: ...

    def worker_gone(self, worker: Worker) -> None: ...


class Dispatch:
    """The listening socket and every connected worker."""

    def __init__(self, loop: Loop, path: Path, listener: Listener) -> None:
        self._loop = loop
        self._path = path
        self._listener = listener
        self._strangers: dict[Channel, None] = {}  # connected, no hello yet; the oldest first
        self.workers: dict[str, Worker] = {}
        self._told: dict[str, Worker] = {}  # has messages that are to be sent in this turn
        self._acked: dict[str, Worker] = {}  # has an ack that can wait
        loop.at_end_of_turn(self._flush)
        self._sock = listen(path, 0o600)
        loop.add(self._sock, self._accept)

    def run(self, worker: Worker, job: Job, log: str) -> None:
        """Hand an attempt over; its start is already durable."""
        worker.running = (job.id, job.attempt)
        message = {"job": job.id, "attempt": job.attempt, "spec": job.spec.to_json(), "log": log}
        self._send(worker, {"run": message})

    def ack(self, worker: Worker, job: int, attempt: int) -> None:
        """Its outcome is on stable storage. A busy worker is told with the next thing it is told: nothing hangs on
        it while this daemon lives, and to a later one it would only report what that one knows."""
        message = {"ack": {"job": job, "attempt": attempt}}
        if worker.running is None:
            self._send(worker, message)
        else:
            worker.channel.queue(message)
            self._acked[worker.key] = worker

    def send_acks(self) -> None:
        """Tell busy workers after all; called now and then."""
        self._told |= self._acked
        self._acked.clear()

    def stop(self, worker: Worker, job: int, attempt: int, grace: float | None) -> None:
        self._send(worker, {"stop": {"job": job, "attempt": attempt, "grace": grace}})

    def quit(self, worker: Worker) -> None:
        """Leave when idle."""
        worker.retiring = True
        self._send(worker, {"quit": {}})

    def close(self) -> None:
        self.send_acks()
        self._flush()
        self._loop.remove(self._sock)
        self._sock.close()
        self._path.unlink(missing_ok=True)
        for channel in [*self._strangers, *(w.channel for w in self.workers.values())]:
            self._loop.remove(channel)
            channel.close()

    # -- inside ----------------------------------------------------------------------------------

    def _send(self, worker: Worker, message: Message) -> None:
        """What a worker is told in one turn goes in one piece: it wakes up once."""
        worker.channel.queue(message)
        self._told[worker.key] = worker

    def _flush(self) -> None:
        while self._told:
            key, worker = self._told.popitem()
            self._acked.pop(key, None)
            worker.channel.flush()
            if worker.channel.pending and worker.key in self.workers:
                self._want_write(worker.channel)

    def _want_write(self, channel: Channel) -> None:
        self._loop.want_write(channel, lambda: self._writable(channel))

    def _writable(self, channel: Channel) -> None:
        channel.flush()
        if not channel.pending or channel.closed:
            self._loop.want_write(channel, None)

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # who waits goes on waiting; the health check says why
                self._loop.add_later(self._sock, self._accept)
            return
        pid, uid = peer(sock)
        if uid != os.getuid():
            sock.close()
            return
        if len(self._strangers) >= STRANGERS:
            self._forget(next(iter(self._strangers)))
        channel = Channel(sock, LIMIT)
        self._strangers[channel] = None
        self._loop.add(channel, lambda: self._first_words(channel, pid))

    def _first_words(self, channel: Channel, pid: int) -> None:
        worker = None
        try:
            for message in channel.receive():
                if worker is None:
                    worker = self._hello(channel, pid, message)
                else:
                    self._heard(worker, message)
        except ProtocolError:
            channel.closed = True
        if channel.closed and worker is None:
            self._forget(channel)
        elif channel.closed and worker is not None:
            self._lost(worker)

    def _forget(self, stranger: Channel) -> None:
        if self._strangers.pop(stranger, stranger) is None:
            self._loop.remove(stranger)
            stranger.close()

    def _hello(self, channel: Channel, pid: int, message: Message) -> Worker:
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
        worker = Worker(channel, identity, record, attempt)
        self._strangers.pop(channel, None)
        self._loop.remove(channel)
        self._loop.add(channel, lambda: self._readable(worker))
        self.workers[worker.key] = worker
        self._listener.worker_arrived(worker)
        return worker

    def _readable(self, worker: Worker) -> None:
        try:
            for message in worker.channel.receive():
                self._heard(worker, message)
        except ProtocolError:
            worker.channel.closed = True
        if worker.channel.closed:
            self._lost(worker)

    def _heard(self, worker: Worker, message: Message) -> None:
        try:
            outcome = Outcome.from_json(message["outcome"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"not an outcome: {error!r}") from None
        if worker.running == (outcome.job, outcome.attempt):
            worker.running = None
        self._listener.worker_reported(worker, outcome)

    def _lost(self, worker: Worker) -> None:
        if self.workers.pop(worker.key, None) is None:
            return
        self._acked.pop(worker.key, None)
        self._loop.remove(worker.channel)
        worker.channel.close()
        self._listener.worker_gone(worker)


def _attempt(running: object) -> tuple[int, int] | None:
    """What a worker says it has: job and number of the attempt."""
    match running:
        case None:
            return None
        case {"job": int(job), "attempt": int(attempt)}:
            return job, attempt
    raise ProtocolError(f"not an attempt: {running!r}")
