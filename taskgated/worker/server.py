"""The worker server: a small process that has everything imported and forks workers on request.

So a replacement for a dead worker is there within milliseconds, and all share their memory. As a subreaper it
inherits what dead workers leave behind, and buries it. One thread, no state worth keeping: when it dies the
daemon starts another, when the daemon goes it goes too. The workers live on by themselves in both cases.

Messages, over stdin: see ``Server._obey`` and what it sends.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import time
import traceback
from math import inf
from typing import NoReturn

from taskgated.clock import ProcessId, boot_id
from taskgated.errors import ProtocolError, printable
from taskgated.wire import Channel, Message
from taskgated.worker import cgroup, kernel, sweep
from taskgated.worker.attempt import clean_env
from taskgated.worker.spawn import Settings
from taskgated.worker.worker import Worker

# Between the steps of a burial, seconds: from the first to the longest pause. What dies wakes us anyway.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0
SHORTLY = 0.1
"""Seconds until the kernel is asked again to take what it had no memory for."""
UNKILLABLE = 10.0
"""Seconds after its SIGKILL from which a process that lives on (state D, or another user's) is nobody's but those
burials' that are under way: one that begins now must not wait for it."""


class Server:
    """Serves one daemon, until that closes the channel."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self._env = clean_env()
        self._workers: dict[int, ProcessId] = {}  # our children that are workers, by pid, until they are reaped
        self._burials: list[sweep.Burial] = []
        self._struck: dict[sweep.Process, float] = {}  # killed, and lives on; since when (monotonic)
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

    def _obey(self, message: Message) -> None:
        match message:
            case {"fork": _}:
                self._fork()
            case {"bury": {"pid": int(), "start": int(), "boot": str()} as who}:
                worker = ProcessId.from_json(who)
                self._begin_burial(worker, who.get("cgroup"), who.get("job"), who.get("attempt"))
            case {"ping": number}:
                self._channel.send({"pong": number})
            case _:
                raise ProtocolError(f"unknown message: {', '.join(map(str, message))}")

    # -- birth

    def _fork(self) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._channel.send({"failed": {"error": f"cannot fork a worker: {error.strerror}"}})
            return
        if pid == 0:
            self._be_worker()
        # One that has died already has its name until we collect it; that it died is what we say next.
        worker = self._workers[pid] = ProcessId.of(pid) or ProcessId(pid, 0, boot_id())
        self._channel.send({"forked": worker.to_json()})

    def _be_worker(self) -> NoReturn:
        status = os.EX_SOFTWARE
        try:
            # The channel is the server's alone: its end must be seen when the server dies.
            devnull = os.open(os.devnull, os.O_RDONLY)
            os.dup2(devnull, self._channel.fileno())
            os.close(devnull)
            os.close(self._wakeup)
            status = Worker(self._settings, self._env).run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    # -- death

    def _reap(self) -> None:
        """Collect the dead: workers, which the daemon wants to know of, and orphans, which nobody does."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if worker := self._workers.pop(pid, None):
                self._channel.send({"exited": {**worker.to_json(), "status": status}})

    def _orphans(self) -> list[int]:
        """Our children that are no workers. Only dead workers leave us any: live ones adopt themselves."""
        return [pid for pid in sweep.children(os.getpid()) if pid not in self._workers]

    def _begin_burial(self, worker: ProcessId, group: str | None, job: int | None, attempt: int | None) -> None:
        if worker.boot != boot_id():
            # Nothing outlives a boot; what bears these names now is something else.
            self._channel.send({"buried": {**worker.to_json(), "killed": 0}})
            return
        cookie = None
        if job is not None and attempt is not None:
            cookie = b"TASKGATE_COOKIE=" + self._settings.cookie(job, attempt).encode()
        since = time.monotonic() - UNKILLABLE
        of_others = {process for process, struck in self._struck.items() if struck < since}
        self._burials.append(sweep.Burial(worker, group, cookie, self._orphans, of_others))
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
                self._channel.send({"buried": {**burial.worker.to_json(), "killed": len(burial.killed)}})
            else:
                left.append(burial)
                self._say_what_holds_up(burial, now)
                for process in burial.killed:
                    self._struck.setdefault(process, now)
        self._struck = {process: at for process, at in self._struck.items() if sweep.lives(process)}
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._burials = left

    def _say_what_holds_up(self, burial: sweep.Burial, now: float) -> None:
        """What was killed long ago and lives on keeps the attempt from being over: people are to know of it."""
        since = now - UNKILLABLE
        stubborn = sorted(process for process in burial.left if self._struck.get(process, now) < since)
        processes = [sweep.describe(process) for process in stubborn]
        if processes != burial.told:
            burial.told = processes
            self._channel.send({"held up": {**burial.worker.to_json(), "by": processes}})


def _first_words(channel: Channel) -> tuple[Settings, list[Message]]:
    """What the daemon has said before the server was there: the settings, and what followed."""
    messages = list(channel.receive())
    if not messages:
        raise ProtocolError("nothing was said")
    return Settings.from_message(messages[0]), messages[1:]


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
