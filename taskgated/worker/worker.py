"""One worker process: asks the daemon for attempts over its socket, runs them, one at a time, and reports.

It outlives the daemon. When the connection ends, an idle worker exits; a busy one carries on, looks for a
new daemon now and then, and tells it what it runs. The worker keeps an outcome until a daemon has
acknowledged it; without a connection it goes to a file, which the next daemon finds.
"""

from __future__ import annotations

import math
import os
import select
import time
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from taskgated import __version__
from taskgated.attempts.outcomes import Outcomes
from taskgated.attempts.partings import Parting, Partings
from taskgated.attempts.scripts import Scripts
from taskgated.core.job import Outcome, Result
from taskgated.errors import ProtocolError
from taskgated.host import kernel
from taskgated.host.alarm import Alarm
from taskgated.host.clock import LONGEST_SLEEP, boottime
from taskgated.host.processes import ProcessId
from taskgated.protocol import sockets
from taskgated.protocol.channel import SHORTLY, Channel, Message
from taskgated.protocol.messages import (
    Ack,
    Deadline,
    Hello,
    Identity,
    Key,
    Ping,
    Pong,
    Quit,
    Report,
    Run,
    Said,
    Stop,
    Unknown,
    Warn,
    for_worker,
)
from taskgated.protocol.serving import Settings
from taskgated.text import printable
from taskgated.worker import mark
from taskgated.worker.attempt import Attempt
from taskgated.worker.cgroup import Cgroup
from taskgated.worker.start import CannotRun, Host, NotNow
from taskgated.worker.unacknowledged import Unacknowledged

AGAIN = 1.0
"""Seconds between tries to start an attempt that the host had nothing left for."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An attempt that the host had nothing left for, until (monotonic) it is tried again, or has its deadline."""

    run: Run
    until: float
    deadline: Deadline | None = None

    @property
    def late(self) -> bool:
        return self.deadline is not None and self.deadline.at is not None and boottime() >= self.deadline.at


class Worker:
    """The life of a worker; ``run`` returns when it is over."""

    def __init__(self, settings: Settings, env: dict[bytes, bytes]) -> None:
        kernel.set_name("taskgate-worker")
        kernel.become_subreaper()
        self._settings = settings
        self._me = ProcessId.own()
        mark.bear(self._me)
        self._host = Host(settings, Scripts(Path(settings.scripts)), Cgroup.create(self._me), env)
        self._wakeup = kernel.catch_signals()
        self._poll = select.poll()
        self._poll.register(self._wakeup, select.POLLIN)
        self._channel: Channel | None = None
        self._polled_for = 0  # the events that the channel is registered for
        self._attempt: Attempt | None = None
        self._waiting: _Waiting | None = None
        self._alarm: Alarm | None = None
        self._unacknowledged = Unacknowledged(Outcomes(Path(settings.outcomes)), _say)
        self._quit = False
        self._last: Key | None = None  # the attempt that it has heard of last
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
            if self._channel is None and not self._quit:
                self._leave_word()
            return os.EX_OK
        finally:
            if self._host.cgroup is not None:
                self._host.cgroup.leave()

    def _leave_word(self) -> None:
        """The daemon may have died when the store had the start of an attempt that was never heard of here."""
        try:
            Partings(Path(self._settings.outcomes)).write(Parting(self._me, self._last))
        except OSError as error:
            _say(f"cannot put down which attempt was the last: {error}")

    def _done(self) -> bool:
        if self._attempt is not None or self._waiting is not None:
            return False
        if self._channel is not None:
            return self._quit and not self._unacknowledged
        if not self._unacknowledged.safe:
            return False
        return not self._unacknowledged or time.monotonic() >= self._leave_at

    def _wait(self) -> None:
        """Sleep until something happens, and deal with it."""
        due = self._retry_at
        if self._waiting is not None:
            due = min(due, self._waiting.until)
        if self._attempt is not None:
            due = min(due, self._attempt.look_at)
        left = min(LONGEST_SLEEP, max(0.0, due - time.monotonic()))
        timeout = None if due == inf else math.ceil(left * 1000)
        talk = False
        for fd, _ in self._poll.poll(timeout):
            if fd == self._wakeup:
                kernel.clear_wakeup(fd)
            elif self._attempt is not None and fd == self._attempt.output_fd:
                self._attempt.read()
            elif self._alarm is not None and fd == self._alarm.fileno():
                self._alarm.clear()
            else:
                talk = True
        # First what has happened to the job, then what the daemon wants of it: an attempt that ended by
        # itself was not killed.
        self._advance()
        if talk:
            self._talk()
        if self._waiting is not None and time.monotonic() >= self._waiting.until:
            self._try_again(self._waiting)
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
            if self._alarm is not None:
                self._alarm.set(None)
            self._report(outcome)

    def _start(self, run: Run) -> None:
        job, attempt = run.job, run.attempt
        if self._attempt is not None:
            raise ProtocolError(f"told to run {job}.{attempt} while {self._attempt.job} is running")
        before, self._waiting = self._waiting, None
        try:
            self._attempt = Attempt(run, run.understood(), self._host)
        except NotNow as error:
            if before is None:
                _say(f"cannot start {job}.{attempt} now, trying again: {error}")
            self._waiting = _Waiting(run, time.monotonic() + AGAIN, None if before is None else before.deadline)
        except CannotRun as error:
            self._report(error.outcome)
        except (TypeError, ValueError, KeyError) as error:  # a spec of another version
            message = f"the worker (version {__version__}) does not understand this job: {error}"
            self._report(Outcome(job, attempt, Result.FAILED, message=message))
        else:
            self._poll.register(self._attempt.output_fd, select.POLLIN)
            if before is not None and before.deadline is not None:
                self._attempt.end_by(before.deadline)

    def _try_again(self, waiting: _Waiting) -> None:
        if waiting.deadline is not None and waiting.late:
            self._waiting = None
            run = waiting.run
            self._report(Outcome(run.job, run.attempt, waiting.deadline.result, message="it had not started"))
        else:
            self._start(waiting.run)

    def _end_by(self, deadline: Deadline) -> None:
        key, running, waiting = (deadline.job, deadline.attempt), self._attempt, self._waiting
        if running and (running.job, running.attempt) == key:
            running.end_by(deadline)
        elif waiting and (waiting.run.job, waiting.run.attempt) == key:
            self._waiting = replace(waiting, deadline=deadline)
        else:
            return
        try:  # so that it is seen at the first instant after a suspension; poll(2) sleeps on by another clock
            if self._alarm is None:
                self._alarm = Alarm()
                self._poll.register(self._alarm, select.POLLIN)
            self._alarm.set(deadline.at)
        except OSError as error:
            _say(f"a deadline is seen late if the host is suspended: {error}")

    def _report(self, outcome: Outcome) -> None:
        self._unacknowledged.add(outcome)
        if self._channel is not None:
            self._say(Report(outcome))
        else:
            self._save()

    def _save(self) -> None:
        """Put down what no daemon has acknowledged, and give daemons some more time to come."""
        self._unacknowledged.put_down()
        self._leave_at = time.monotonic() + self._settings.linger

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
        running: Key | None
        if self._attempt is not None:
            running = self._attempt.job, self._attempt.attempt
        elif self._waiting is not None:
            running = self._waiting.run.job, self._waiting.run.attempt
        else:
            running = self._unacknowledged.last
        group = self._host.cgroup
        self._say(Hello(Identity(self._me, group.path if group else None), __version__, running))
        for outcome in self._unacknowledged:
            self._say(Report(outcome))
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
            self._quit = True  # without a word: what was not understood may have been an attempt

    def _obey(self, message: Message) -> None:
        match for_worker(message):
            case Run() as run:
                self._last = run.job, run.attempt
                self._start(run)
            case Ack(job, attempt):
                self._unacknowledged.acknowledged((job, attempt))
            case Warn(job, attempt):
                if (busy := self._attempt) and (busy.job, busy.attempt) == (job, attempt):
                    busy.warn()
            case Stop(job, attempt, grace):
                running, waiting = self._attempt, self._waiting
                if running and (running.job, running.attempt) == (job, attempt):
                    running.stop(grace)
                elif waiting and (waiting.run.job, waiting.run.attempt) == (job, attempt):
                    self._waiting = None
                    self._report(Outcome(job, attempt, Result.KILLED, message="it had not started", begun=False))
            case Deadline() as deadline:
                self._end_by(deadline)
            case Ping(token):
                self._say(Pong(token))
            case Quit():
                self._quit = True
            case Unknown(kind):
                _say(f"unknown message from the daemon: {kind}")

    def _say(self, message: Said) -> None:
        if self._channel is not None:
            self._channel.send(message.to_json())

    def _look_after_channel(self) -> None:
        """Notice that it has ended, poll for writing while something waits for it, or look for a new one."""
        channel = self._channel
        if channel is None:
            if time.monotonic() >= self._retry_at:
                if not self._unacknowledged.safe:
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
    """A line for the journal. Perhaps nothing reads it any more, or not now: a pipe that is full is not waited for,
    because a worker that looks after a job has no time for that."""
    line = f"taskgated worker {os.getpid()}: {printable(text)}".encode()
    room = select.poll()
    room.register(2, select.POLLOUT)
    try:
        if any(events & select.POLLOUT for _, events in room.poll(0)):
            os.write(2, line[: select.PIPE_BUF - 1] + b"\n")
    except OSError:
        pass
