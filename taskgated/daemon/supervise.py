"""Keeping the worker server and the right number of workers alive.

Workers are forked by a small server process, so a replacement is there in milliseconds. A worker that dies
is replaced at once; one that keeps dying, ever more slowly. When not one worker has ever come up after
``HOPELESS`` tries, the gate cannot work and says so.

It also looks after the dead: ``bury`` has the server make sure that a worker is gone and nothing of its
attempt is left. A burial that was under way when the server died is asked for again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from taskgated.errors import ProtocolError
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop, Timer
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Channel, Message
from taskgated.protocol.connection import Connection
from taskgated.protocol.looking import EndLook, Look, Looking, Seen, Sight, Unseen, is_look
from taskgated.protocol.messages import Identity, Ping, Pong, Said, Unknown
from taskgated.protocol.serving import Buried, Bury, Exited, Failed, Fork, Forked, HeldUp, from_server

HOPELESS = 8
"""Failures to bring up a worker, with none ever up, after which there is no hope."""
GREETING = 30.0
"""Seconds for a forked worker to say hello, before it counts as failed and is killed."""
CHANCES = 3
PATIENCE = 3
"""Times in a row that the server may fail to answer before it is replaced."""
SLOWEST = 30.0
"""The longest delay before a replacement, in seconds."""
DYING = 0.02
"""Seconds between looks whether a server that is to end has ended."""
STEADY = 10.0
"""A worker that lived this many seconds did not die of starting."""


LEAVING = 5.0
"""Seconds that the server has to end when its channel has, and again when it is killed."""

Spawn = Callable[[], tuple["subprocess.Popen[bytes]", Channel]]


class Supervisor:
    """It tells ``buried`` of a worker of which nothing is left, and how many processes had to be killed for that;
    ``held_up`` of one with processes that were killed and live on, in words (none: they are gone by now);
    ``prober_buried`` and ``prober_held_up`` the same of probers; ``sighted`` what the server says of looks;
    ``server_died`` with the status of the server; ``unavailable`` why there will be no workers."""

    def __init__(self, loop: Loop, spawn: Spawn) -> None:
        self._loop = loop
        self._spawn = spawn
        self.buried = Listeners[Identity, int]()
        self.held_up = Listeners[Identity, Sequence[str]]()
        self.prober_buried = Listeners[Identity, int]()
        self.prober_held_up = Listeners[Identity, Sequence[str]]()
        self.sighted = Listeners[Sight]()
        self.server_died = Listeners[int]()
        self.unavailable = Listeners[str]()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._wanted = 0
        self._up: dict[ProcessId, float] = {}  # each worker that said hello, since when (monotonic)
        self._coming: dict[ProcessId, Timer] = {}  # forked, no hello yet
        self._asked = 0  # forks asked for, not yet answered
        self._failures = 0
        self._ever_up = False
        self._whole_since: float | None = None  # all that are wanted are up (monotonic)
        self._retry: Timer | None = None
        self._burials: dict[str, Bury] = {}
        self._closing = False
        self._unanswered = 0  # times in a row that the server had not answered
        self._why = ""  # the last failure to bring one up
        self.pings = self.pongs = 0

    # -- what is wanted --------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        self._start_server()
        self.want(workers)

    def want(self, workers: int) -> None:
        """How many workers there shall be; those that are too many are the caller's to dismiss."""
        self._wanted = workers
        self._fill()
        self._look()

    @property
    def trouble(self) -> str:
        """Why a worker that is wanted is not there; empty when there are enough."""
        return self._why if len(self._up) < self._wanted else ""

    @property
    def count(self) -> int:
        return len(self._up)

    def arrived(self, process: ProcessId) -> None:
        """A worker said hello, whether this server forked it or an earlier one."""
        if timer := self._coming.pop(process, None):
            timer.cancel()
        self._up[process] = time.monotonic()
        self._why = ""
        self._ever_up = True
        self._look()

    def departed(self, process: ProcessId, *, expected: bool) -> None:
        """A worker is gone; replaced as long as there are fewer than wanted."""
        since = self._up.pop(process, None)
        if not expected and since is not None:
            self._forgive()
            self._failures = 1 if time.monotonic() - since > STEADY else self._failures + 1
        if self._failures > 1:
            self._later()
        else:
            self._fill()

    def bury(self, identity: Identity, job: int | None, attempt: int | None) -> None:
        """``buried`` is told when the process is gone and nothing of its attempt is left."""
        running = None if job is None or attempt is None else (job, attempt)
        bury = self._burials[identity.key] = Bury(identity, running)
        self._tell(bury)

    def look(self, message: Look | EndLook) -> bool:
        """What the server is to do about looks; ``sighted`` is told what comes of it. False if no server is there."""
        self._tell(message)
        return self._connection is not None

    def responsive(self) -> bool:
        """Whether the server has answered since this was last asked, or owes only one answer; for a watchdog. Each
        call asks for the next. A server that has not answered ``PATIENCE`` calls in a row is replaced."""
        alive = self.pongs == self.pings and self._connection is not None
        if alive:
            self.pings += 1
            self._tell(Ping(self.pings))
        self._unanswered = 0 if alive else self._unanswered + 1
        if self._unanswered == PATIENCE:
            self._end_server()
        return self._unanswered < 2

    def _end_server(self) -> None:
        """What follows is what follows its death."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let the server go; it ends when its channel does."""
        self._closing = True
        for timer in [*self._coming.values(), *([self._retry] if self._retry else [])]:
            timer.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            _end_of(self._process)

    # -- the server ------------------------------------------------------------------------------

    def _start_server(self) -> None:
        try:
            self._process, channel = self._spawn()
        except OSError as error:
            self._failed(f"the worker server cannot be started: {error}")
            return
        self._asked = 0
        self.pings = self.pongs = 0
        try:
            self._connection = Connection(self._loop, channel, self._heard, self._server_gone)
        except OSError:
            channel.close()
            self._server_gone()
            return
        for bury in self._burials.values():
            self._tell(bury)
        self._fill()
        self._look()

    def _heard(self, message: Message) -> None:
        try:
            said = from_server(message)
        except ProtocolError:  # nothing it says can be relied on
            self._end_server()
            raise
        match said:
            case Forked(worker):
                self._asked = max(0, self._asked - 1)
                if worker not in self._up:
                    self._await(worker, CHANCES)
            case Failed(why):
                self._asked = max(0, self._asked - 1)
                self._failed(f"a worker cannot be forked: {why}")
            case Exited(worker, status):
                if timer := self._coming.pop(worker, None):
                    timer.cancel()
                    self._failed(f"worker {worker.pid} ended with status {_exit(status)} before it said hello")
            case Buried(worker, killed):
                if burial := self._burials.pop(Identity(worker).key, None):
                    told = self.prober_buried if _of_look(burial) else self.buried
                    told.tell(burial.worker, killed)
            case HeldUp(worker, by):
                if waiting := self._burials.get(Identity(worker).key):
                    (self.prober_held_up if _of_look(waiting) else self.held_up).tell(waiting.worker, by)
            case Looking() | Seen() | Unseen():
                self.sighted.tell(said)
            case Pong(token):
                if isinstance(token, int):
                    self.pongs = token
            case Unknown():
                pass  # a later version has come since this daemon was started

    def _await(self, worker: ProcessId, chances: int) -> None:
        """Its hello, for a while; that is cut into pieces, so that it has time left when all of us were stopped."""
        self._coming[worker] = self._loop.after(GREETING / CHANCES, lambda: self._silent(worker, chances - 1))

    def _silent(self, worker: ProcessId, chances: int) -> None:
        if chances:
            self._await(worker, chances)
            return
        self._coming.pop(worker, None)
        self.bury(Identity(worker), None, None)
        self._failed(f"worker {worker.pid} did not say hello within {GREETING:.0f} s")

    def _server_gone(self) -> None:
        """There is no connection to it any more: whatever it is busy with, it is of no use."""
        self._connection = None
        for timer in self._coming.values():
            timer.cancel()
        self._coming.clear()
        self._when_dead(time.monotonic())

    def _when_dead(self, since: float) -> None:
        """Look until it has ended, if need be by force. What cannot even be killed (state D) is not waited for."""
        if self._closing:
            return
        status = self._process.poll() if self._process is not None else 0
        waited = time.monotonic() - since
        if self._process is not None and status is None and waited < 2 * LEAVING:
            if waited > LEAVING:
                self._process.kill()
            self._loop.after(DYING, lambda: self._when_dead(since))
            return
        self._process = None
        status = -signal.SIGKILL if status is None else status
        self.server_died.tell(status)
        self._failed(f"the worker server ended with status {status}")

    def _tell(self, message: Said) -> None:
        if self._connection is not None:
            self._connection.send(message.to_json())

    # -- enough workers --------------------------------------------------------------------------

    def _fill(self) -> None:
        if self._closing or self._connection is None or self._retry is not None:
            return
        missing = self._wanted - len(self._up) - len(self._coming) - self._asked
        for _ in range(missing):
            self._asked += 1
            self._tell(Fork())

    def _look(self) -> None:
        if self._connection is not None and len(self._up) >= self._wanted:
            if self._whole_since is None:
                self._whole_since = time.monotonic()
        else:
            self._whole_since = None

    def _forgive(self) -> None:
        """At a failure: those from before a time in which all was well do not count."""
        if self._whole_since is not None and time.monotonic() - self._whole_since > STEADY:
            self._failures = 0
        self._whole_since = None

    def _failed(self, why: str) -> None:
        self._forgive()
        self._failures += 1
        self._why = why
        if not self._ever_up and self._failures >= HOPELESS:
            self.unavailable.tell(why)
            return
        self._later()

    def _later(self) -> None:
        """Try again after a delay that doubles with each failure in a row."""
        if self._closing or self._retry is not None:
            return
        delay = 0.0 if self._failures <= 1 else min(SLOWEST, 0.1 * 2 ** (self._failures - 2))
        self._retry = self._loop.after(delay, self._again)

    def _again(self) -> None:
        self._retry = None
        if self._process is None and not self._closing:
            self._start_server()
        else:
            self._fill()


def _of_look(burial: Bury) -> bool:
    return burial.running is not None and is_look(burial.running)


def _exit(status: int) -> int:
    """As people know it: the exit code, or minus the signal."""
    try:
        return os.waitstatus_to_exitcode(status)
    except ValueError:
        return status


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """The status of a server that is to end now. One that cannot even be killed (state D) is not waited for."""
    for _ in range(2):
        try:
            return process.wait(LEAVING)
        except subprocess.TimeoutExpired:
            process.kill()
    return -signal.SIGKILL
