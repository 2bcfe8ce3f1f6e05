"""What workers say: the socket to which they connect, and what comes in by it.

A worker connects to the daemon, says what it is and what it runs, and gets attempts. Greeting a new one and meeting
again one that ran on while no daemon was there is the same code: a ``Hello``.

Nothing is decided here. What comes in is passed to a ``Listener``; what goes out is the ``roster``'s.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Protocol

from taskgated.core.job import Outcome
from taskgated.daemon.roster import Roster, Worker
from taskgated.errors import ProtocolError
from taskgated.host.loop import Loop
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Channel, Message
from taskgated.protocol.connection import Connection
from taskgated.protocol.door import Door
from taskgated.protocol.messages import Hello, Pong, Report, from_worker
from taskgated.store.placement import here

STRANGERS = 64
"""Connections that have not said hello; one more, and the oldest has to go. Workers say it at once."""
LIMIT = 1024 * 1024
"""Bytes of a message: what workers say is short."""


class Listener(Protocol):
    """Is told what workers say: a hello, an outcome, a sign of life; and that a connection has ended."""

    def worker_arrived(self, worker: Worker) -> None: ...

    def worker_reported(self, worker: Worker, outcome: Outcome) -> None: ...

    def worker_answered(self, worker: Worker) -> None: ...

    def worker_gone(self, worker: Worker) -> None: ...


class Dispatch:
    """The listening socket. A worker that has said hello there is on the roster."""

    def __init__(self, loop: Loop, path: Path, roster: Roster, listener: Listener) -> None:
        self._loop = loop
        self._roster = roster
        self._listener = listener
        self._strangers: dict[Connection, None] = {}  # connected, no hello yet; the oldest first
        self.door = Door(loop, path, 0o600, self._welcome)

    def close(self) -> None:
        """Hang up on every connection, see ``Roster.hang_up``."""
        self.door.close()
        for connection in self._strangers:
            connection.close()
        self._roster.hang_up()

    # -- inside ----------------------------------------------------------------------------------

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
        hello = Hello.parse(message)
        identity = hello.identity
        # One that is gone already cannot be asked; its last words count.
        if identity.process.pid != pid or ProcessId.of(pid) not in (None, identity.process):
            raise ProtocolError(f"pid {pid} says it is {identity.process}")
        if identity.key in self._roster.workers:
            raise ProtocolError(f"pid {pid} is connected already")
        placement = here(json.dumps(identity.to_json(), separators=(",", ":")))
        features = hello.features
        worker = Worker(connection, identity, placement, hello.running, answers=hello.answers, features=features)
        self._strangers.pop(connection, None)
        self._roster.workers[worker.key] = worker
        return worker

    def _heard(self, worker: Worker, message: Message) -> None:
        match from_worker(message):
            case Pong():
                worker.owes = worker.untaken = False
                self._listener.worker_answered(worker)
            case Report(outcome):
                worker.unheard.add((outcome.job, outcome.attempt))
                if worker.running == (outcome.job, outcome.attempt):
                    worker.running = None
                self._listener.worker_reported(worker, outcome)

    def _lost(self, worker: Worker) -> None:
        self._roster.remove(worker)
        self._listener.worker_gone(worker)
