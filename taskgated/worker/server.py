"""The worker server: a small process that has everything imported and forks workers, and probers, on request.

So a replacement for a dead worker is there within milliseconds, and all share their memory. As a subreaper it
inherits what dead workers leave behind, and buries it. One thread, no state worth keeping: when it dies the
daemon starts another, when the daemon goes it goes too. The workers live on by themselves in both cases; probers end.

Messages, over stdin: those of ``protocol.serving`` and ``protocol.looking``.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable
from math import inf
from typing import NoReturn

from taskgated.errors import ProtocolError
from taskgated.host import kernel, processes
from taskgated.host.clock import boot_id
from taskgated.host.processes import Process, ProcessId
from taskgated.protocol.channel import SHORTLY, Channel, Message
from taskgated.protocol.looking import KILL_AFTER, EndLook, Look
from taskgated.protocol.messages import Ping, Pong, Said
from taskgated.protocol.serving import Buried, Bury, Exited, Failed, Fork, Forked, HeldUp, Settings, for_server
from taskgated.text import printable
from taskgated.worker import cgroup, cookie, sweep
from taskgated.worker.probers import Probers
from taskgated.worker.start import clean_env
from taskgated.worker.worker import Worker

# Between the steps of a burial, seconds: from the first to the longest pause. What dies wakes us anyway.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0
UNKILLABLE = 10.0
"""Seconds after its SIGKILL from which a process that lives on (state D, or another user's) is nobody's but those
burials' that are under way: one that begins now must not wait for it."""
LEAVING = 2 * KILL_AFTER
"""Seconds at the end for probers that are at work: so long they take to end that, and a little more."""


class Server:
    """Serves one daemon, until that closes the channel."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self._env = clean_env()
        self._workers: dict[int, ProcessId] = {}  # our children that are workers, by pid, until they are reaped
        self._probers = Probers(settings, self._env, self._child)
        self._burials: list[sweep.Burial] = []
        self._struck: dict[Process, float] = {}  # killed, and lives on; since when (monotonic)
        self._pause = _FIRST_PAUSE
        self._wakeup = kernel.catch_signals()

    def run(self, messages: list[Message]) -> None:
        """Obey these, and what comes, until the daemon has closed the channel. Raises ``ProtocolError``."""
        for message in messages:
            self._obey(message)
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        while not self._channel.closed:
            pending, short = self._channel.pending > 0, self._channel.short
            poll.register(self._channel, select.POLLIN | (select.POLLOUT if pending and not short else 0))
            pause = min(self._pause if self._burials else inf, SHORTLY if short else inf)
            for fd, _ in poll.poll(None if pause == inf else pause * 1000):
                if fd == self._wakeup:
                    kernel.clear_wakeup(fd)
                    continue
                for message in self._channel.receive():
                    self._obey(message)
            if self._channel.pending:
                self._channel.flush()
            self._reap()
            self._bury()
        self._end_probers()

    def _obey(self, message: Message) -> None:
        match for_server(message):
            case Fork():
                self._fork()
            case Bury() as bury:
                self._begin_burial(bury)
            case Look() as look:
                self._say(self._probers.begin(look))
            case EndLook(look):
                self._probers.end(look)
            case Ping(token):
                self._say(Pong(token))

    def _say(self, message: Said) -> None:
        self._channel.send(message.to_json())

    # -- birth

    def _fork(self) -> None:
        try:
            pid = self._child(lambda: Worker(self._settings, self._env).run())
        except OSError as error:
            self._say(Failed(f"cannot fork a worker: {error.strerror}"))
            return
        # One that has died already has its name until we collect it; that it died is what we say next.
        worker = self._workers[pid] = ProcessId.of(pid) or ProcessId(pid, 0, boot_id())
        self._say(Forked(worker))

    def _child(self, life: Callable[[], int]) -> int:
        """Fork a process that lives so, and exits with what that returns; its pid. Raises ``OSError``."""
        pid = os.fork()
        if pid == 0:
            self._be(life)
        return pid

    def _be(self, life: Callable[[], int]) -> NoReturn:
        status = os.EX_SOFTWARE
        try:
            # The channel is the server's alone: its end must be seen when the server dies.
            devnull = os.open(os.devnull, os.O_RDONLY)
            os.dup2(devnull, self._channel.fileno())
            os.close(devnull)
            os.close(self._wakeup)
            self._probers.forget()
            status = life()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    # -- death

    def _reap(self) -> None:
        """Collect the dead: workers and probers, of which the daemon wants to know, and orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if worker := self._workers.pop(pid, None):
                self._say(Exited(worker, status))
            elif sight := self._probers.reaped(pid, status):
                self._say(sight)

    def _end_probers(self) -> None:
        """At the end: wait until they have ended what they do, but not for what cannot be killed."""
        self._probers.end_all()
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        end = time.monotonic() + LEAVING
        while self._probers and (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                kernel.clear_wakeup(self._wakeup)
            self._reap()

    def _orphans(self) -> list[int]:
        """Our children that are neither workers nor probers. Only dead ones leave us any: the living adopt theirs."""
        ours = (pid for pid in processes.children(os.getpid()) if pid not in self._workers)
        return [pid for pid in ours if pid not in self._probers]

    def _begin_burial(self, bury: Bury) -> None:
        worker, group = bury.worker.process, bury.worker.cgroup
        if worker.boot != boot_id():
            # Nothing outlives a boot; what bears these names now is something else.
            self._say(Buried(worker, 0))
            return
        variable = None if bury.running is None else cookie.variable(self._settings.instance, *bury.running)
        since = time.monotonic() - UNKILLABLE
        of_others = {process for process, struck in self._struck.items() if struck < since}
        self._burials.append(sweep.Burial(worker, group, variable, self._orphans, of_others))
        self._pause = _FIRST_PAUSE

    def _bury(self) -> None:
        """One step of each burial. A process that cannot be killed (state D) holds up those that are under way, for
        it may be theirs, and none that begins later."""
        if not self._burials:
            return
        left = []
        now = time.monotonic()
        for burial in self._burials:
            if burial.step():
                self._say(Buried(burial.worker, len(burial.killed)))
            else:
                left.append(burial)
                self._say_what_holds_up(burial, now)
                for process in burial.killed:
                    self._struck.setdefault(process, now)
        self._struck = {process: at for process, at in self._struck.items() if processes.lives(process)}
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._burials = left

    def _say_what_holds_up(self, burial: sweep.Burial, now: float) -> None:
        """What was killed long ago and lives on keeps the attempt from being over: people are to know of it."""
        since = now - UNKILLABLE
        stubborn = sorted(process for process in burial.left if self._struck.get(process, now) < since)
        named = [processes.describe(process) for process in stubborn]
        if named != burial.told:
            burial.told = named
            self._say(HeldUp(burial.worker, named))


def _first_words(channel: Channel) -> tuple[Settings, list[Message]]:
    """What the daemon has said before the server was there: the settings, and what followed."""
    messages = list(channel.receive())
    if not messages:
        raise ProtocolError("nothing was said")
    return Settings.parse(messages[0]), messages[1:]


def main() -> int:
    """The server's life. Its stdin is its end of the socket to the daemon."""
    try:
        channel = Channel(socket.socket(fileno=0))
    except OSError as error:
        sys.stderr.write(f"taskgated.worker: stdin is no socket ({error}); this is started by taskgated\n")
        return os.EX_USAGE
    if os.getsid(0) != os.getpid():
        os.setsid()  # whatever ends the daemon's session must not end the jobs
    os.chdir("/")
    kernel.drop_capabilities()
    kernel.be_an_ordinary_victim()
    kernel.set_name("taskgate-server")
    kernel.become_subreaper()
    cgroup.remove_stale()
    # What is here now is shared with all workers; a collection that touched it would copy it.
    gc.collect()
    gc.freeze()
    try:
        settings, messages = _first_words(channel)
        Server(channel, settings).run(messages)
    except ProtocolError as error:
        sys.stderr.write(f"taskgated.worker: the daemon cannot be understood: {printable(str(error))}\n")
        return os.EX_PROTOCOL
    finally:
        cgroup.undivide()  # the daemon is gone, and the next one must find its place
    return os.EX_OK
