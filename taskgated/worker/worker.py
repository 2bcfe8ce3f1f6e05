"""One worker process: asks the daemon for attempts over its socket, runs them, one at a time, and reports.

It outlives the daemon. When the connection ends, an idle worker leaves; a busy one carries on, looks for a
new daemon now and then, and tells it what it runs. An outcome is the worker's to keep until a daemon has
acknowledged it; without a connection it goes to a file, which whoever is the next daemon finds.
"""

from __future__ import annotations

import math
import os
import select
import time
from math import inf
from pathlib import Path

from taskgated import __version__, sockets
from taskgated.clock import LONGEST_SLEEP, ProcessId
from taskgated.core.job import Outcome, Result, Spec
from taskgated.errors import ProtocolError, printable
from taskgated.outcomes import Outcomes
from taskgated.wire import Channel, Message
from taskgated.worker import kernel, mark
from taskgated.worker.attempt import Attempt, CannotRun, Host, NotNow
from taskgated.worker.cgroup import Cgroup
from taskgated.worker.spawn import Settings

PROTOCOL = 1
SHORTLY = 0.1
"""Seconds until the kernel is asked again to take what it had no memory for."""
AGAIN = 1.0
"""Seconds between tries to start an attempt that the host had nothing left for."""

_Key = tuple[int, int]  # job, attempt


class Worker:
    """The life of a worker; ``run`` returns when it is over."""

    def __init__(self, settings: Settings, env: dict[bytes, bytes]) -> None:
        kernel.set_name("taskgate-worker")
        kernel.become_subreaper()
        self._settings = settings
        self._outcomes = Outcomes(Path(settings.outcomes))
        self._me = ProcessId.own()
        mark.bear(self._me)
        self._host = Host(settings, Cgroup.create(self._me), env)
        self._wakeup = kernel.catch_signals()
        self._poll = select.poll()
        self._poll.register(self._wakeup, select.POLLIN)
        self._channel: Channel | None = None
        self._polled_for = 0  # the events that the channel is registered for
        self._attempt: Attempt | None = None
        self._waiting: tuple[int, int, Message, str] | None = None  # one that could not be started yet
        self._start_at = inf
        self._unacknowledged: dict[_Key, Outcome] = {}
        self._saved: set[_Key] = set()
        self._unkept = False  # it has been said that an outcome cannot be put down
        self._quit = False
        self._retry_at = inf
        self._leave_at = inf

    def run(self) -> int:
        """Work until there is nothing more to do; returns the exit status."""
        try:
            self._connect()
            if self._channel is None:
                _say(f"no daemon at {self._settings.worker_socket}")
                return os.EX_UNAVAILABLE
            while not self._done():
                self._wait()
            return os.EX_OK
        finally:
            if self._host.cgroup is not None:
                self._host.cgroup.leave()

    def _done(self) -> bool:
        if self._attempt is not None or self._waiting is not None:
            return False
        if self._channel is not None:
            return self._quit and not self._unacknowledged
        if len(self._saved) < len(self._unacknowledged):
            return False  # whoever leaves now takes them to the grave
        return not self._unacknowledged or time.monotonic() >= self._leave_at

    def _wait(self) -> None:
        """Sleep until something happens, and deal with it."""
        due = min(self._retry_at, self._start_at)
        if self._attempt is not None:
            due = min(due, self._attempt.deadline)
        left = min(LONGEST_SLEEP, max(0.0, due - time.monotonic()))
        timeout = None if due == inf else math.ceil(left * 1000)
        talk = False
        for fd, _ in self._poll.poll(timeout):
            if fd == self._wakeup:
                kernel.clear_wakeup(fd)
            elif self._attempt is not None and fd == self._attempt.output_fd:
                self._attempt.read()
            else:
                talk = True
        # First what has happened to the job, then what the daemon wants of it: an attempt that ended by
        # itself was not killed.
        self._advance()
        if talk:
            self._talk()
        if self._waiting is not None and time.monotonic() >= self._start_at:
            self._start(*self._waiting)
        self._look_after_channel()

    # -- the attempt

    def _advance(self) -> None:
        if self._attempt is None:
            return
        fd = self._attempt.output_fd
        outcome = self._attempt.advance()
        if outcome is not None:
            self._poll.unregister(fd)
            self._attempt = None
            self._report(outcome)

    def _start(self, job: int, attempt: int, spec: Message, log: str) -> None:
        if self._attempt is not None:
            raise ProtocolError(f"told to run {job}.{attempt} while {self._attempt.job} is running")
        before, self._waiting, self._start_at = self._waiting, None, inf
        try:
            self._attempt = Attempt(job, attempt, Spec.from_json(spec), log, self._host)
        except NotNow as error:
            if before is None:
                _say(f"cannot start {job}.{attempt} now, trying again: {error}")
            self._waiting, self._start_at = (job, attempt, spec, log), time.monotonic() + AGAIN
        except CannotRun as error:
            self._report(error.outcome)
        except (TypeError, ValueError, KeyError) as error:  # a spec of another version
            message = f"the worker (version {__version__}) does not understand this job: {error}"
            self._report(Outcome(job, attempt, Result.FAILED, message=message))
        else:
            self._poll.register(self._attempt.output_fd, select.POLLIN)

    def _report(self, outcome: Outcome) -> None:
        self._unacknowledged[outcome.job, outcome.attempt] = outcome
        if self._channel is not None:
            self._channel.send({"outcome": outcome.to_json()})
        else:
            self._save()

    def _save(self) -> None:
        """Put down what no daemon has acknowledged, and give daemons some more time to come."""
        for key, outcome in self._unacknowledged.items():
            if key not in self._saved:
                try:
                    self._outcomes.write(outcome)
                except OSError as error:
                    if not self._unkept:
                        _say(f"cannot keep the outcome of {key[0]}.{key[1]}, trying again and again: {error}")
                    self._unkept = True
                else:
                    self._saved.add(key)
        self._look_what_is_kept()
        self._leave_at = time.monotonic() + self._settings.linger

    def _look_what_is_kept(self) -> None:
        if self._unkept and len(self._saved) == len(self._unacknowledged):
            self._unkept = False
            _say("no outcome has to be kept any more" if not self._saved else "the outcome is kept now")

    # -- the daemon

    def _connect(self) -> None:
        """Try to reach a daemon; if there is one tell it all that it has to know."""
        # A busy daemon may keep an idle worker waiting, but not one that looks after a job.
        idle = self._attempt is None and self._waiting is None and not self._unacknowledged
        try:
            sock = sockets.connect(Path(self._settings.worker_socket), wait=idle)
        except OSError:
            self._retry_at = time.monotonic() + self._settings.reconnect
            return
        self._leave_at = inf
        self._channel = Channel(sock)
        self._polled_for = select.POLLIN
        self._poll.register(sock, select.POLLIN)
        running: Message | None = None
        if self._attempt is not None:
            running = {"job": self._attempt.job, "attempt": self._attempt.attempt}
        elif self._waiting is not None:
            running = {"job": self._waiting[0], "attempt": self._waiting[1]}
        elif self._unacknowledged:
            job, attempt = next(reversed(self._unacknowledged))
            running = {"job": job, "attempt": attempt}
        group = self._host.cgroup
        hello = {
            "protocol": PROTOCOL,
            "version": __version__,
            "pid": self._me.pid,
            "start": self._me.start,
            "boot": self._me.boot,
            "running": running,
            "cgroup": group.path if group else None,
            "answers": True,  # to pings, which a daemon sends to those only that say so
        }
        self._channel.send({"hello": hello})
        for outcome in self._unacknowledged.values():
            self._channel.send({"outcome": outcome.to_json()})
        self._poll_for(self._channel)

    def _talk(self) -> None:
        if self._channel is None:
            return
        try:
            for message in self._channel.receive():
                self._obey(message)
        except ProtocolError as error:
            _say(f"the daemon cannot be understood: {error}")
            self._channel.closed = True

    def _obey(self, message: Message) -> None:
        try:
            match message:
                case {"run": {"job": job, "attempt": attempt, "spec": spec, "log": log}}:
                    self._start(job, attempt, spec, log)
                case {"ack": {"job": job, "attempt": attempt}}:
                    self._forget((job, attempt))
                case {"stop": {"job": job, "attempt": attempt, "grace": grace}}:
                    running = self._attempt
                    if running and (running.job, running.attempt) == (job, attempt):
                        running.stop(grace)
                    elif self._waiting and self._waiting[:2] == (job, attempt):
                        self._waiting, self._start_at = None, inf
                        self._report(Outcome(job, attempt, Result.KILLED, message="it had not started"))
                case {"ping": number}:
                    if self._channel is not None:
                        self._channel.send({"pong": number})
                case {"quit": _}:
                    self._quit = True
                case _:
                    _say(f"unknown message from the daemon: {', '.join(map(str, message))}")
        except TypeError as error:
            raise ProtocolError(f"wrong type in a message: {error}") from None

    def _forget(self, key: _Key) -> None:
        self._unacknowledged.pop(key, None)
        if key in self._saved:
            self._saved.discard(key)
            self._outcomes.forget(*key)
        self._look_what_is_kept()

    def _look_after_channel(self) -> None:
        """Notice that it has ended, poll for writing while something waits for it, or look for a new one."""
        channel = self._channel
        if channel is None:
            if time.monotonic() >= self._retry_at:
                if len(self._saved) < len(self._unacknowledged):
                    self._save()
                self._connect()
            return
        if channel.pending:
            channel.flush()
        if channel.closed:
            self._poll.unregister(channel)
            channel.close()
            self._channel = None
            self._retry_at = time.monotonic() + self._settings.reconnect
            if self._unacknowledged:
                self._save()
            return
        self._poll_for(channel)

    def _poll_for(self, channel: Channel) -> None:
        """What it waits for: always to hear something, and perhaps for room, or for memory, to say something."""
        self._retry_at = time.monotonic() + SHORTLY if channel.short else inf
        wanted = select.POLLIN | (select.POLLOUT if channel.pending and not channel.short else 0)
        if wanted != self._polled_for:
            self._polled_for = wanted
            self._poll.modify(channel, wanted)


def _say(text: str) -> None:
    """A line for the journal. There may be nobody to read it any more, or nobody who does: a pipe that is full is not
    waited for, whoever looks after a job has no time for that."""
    line = f"taskgated worker {os.getpid()}: {printable(text)}".encode()
    room = select.poll()
    room.register(2, select.POLLOUT)
    try:
        if any(events & select.POLLOUT for _, events in room.poll(0)):
            os.write(2, line[: select.PIPE_BUF - 1] + b"\n")
    except OSError:
        pass
