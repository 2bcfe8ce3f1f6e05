"""Running one attempt: from its start, which is told of in ``start``, to an outcome, with nothing left of it.

An ``Attempt`` never waits. Its worker polls: ``output_fd`` for reading, SIGCHLD, and ``deadline``; after
each wake-up it calls ``advance`` until that returns the outcome.

The worker is a subreaper and runs one attempt at a time. So whatever the job forks stays a descendant of the
worker, also what double-forks and calls setsid(2): an orphan becomes the worker's child. Hence the one test
for "nothing is left": waitpid(2) says that there is no child.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Set
from math import inf

from taskgated.attempts.writer import Writer
from taskgated.core.job import Outcome, Receiver, Result, Spec
from taskgated.host import processes
from taskgated.host.clock import boottime, wall
from taskgated.host.processes import Process
from taskgated.language.units import format_duration
from taskgated.protocol.messages import Run
from taskgated.worker import terminal
from taskgated.worker.start import SHORT, CannotRun, Host, NotNow, Start
from taskgated.worker.tojournal import lines_of

# Until killing is tried again, seconds: at first, and at most. What dies wakes us at once; the rest has to be found.
# It takes twice as long each time when what is found is what was killed before: another user's process (sudo(8)) does
# not hear a signal of ours, and asking it fifty times a second does not change that.
_AGAIN = 0.02
_AGAIN_AT_MOST = 5.0
_NAMED = 5  # processes that the outcome names at most
_OUTLIVED = 1.0
"""Seconds after its SIGKILL from which a process that lives on is worth a word in the outcome."""

_CHUNK = 64 * 1024


class Attempt:
    """One attempt that runs. Making one starts it; raises ``CannotRun`` or ``NotNow``, and then nothing is left."""

    def __init__(self, run: Run, spec: Spec, host: Host) -> None:
        self.job = job = run.job
        self.attempt = attempt = run.attempt
        self._spec = spec
        self._host = host
        self._start = Start(run, spec, host)
        self._writer = Writer(run.log, spec.output.max_size)
        self._lines = lines_of(job, attempt, spec)
        self._status: int | None = None  # of the main process, as waitpid(2) gives it
        self._forced: Result | None = None
        self._left: Set[Process] = frozenset()  # what its main process had left behind, when that was to end
        self._left_at = self._ended = 0.0
        self._killed: Set[Process] = frozenset()  # by the last sweep
        self._killed_at = 0.0  # by the first sweep
        self._pause = _AGAIN
        self._stubborn = ""  # what lived on long after its SIGKILL, in words
        self._swept = 0
        self._user = self._system = 0.0
        self._max_rss = 0
        try:
            self.output_fd, self._output_in = terminal.make() if spec.tty else os.pipe()
        except OSError as error:
            if error.errno in SHORT:
                raise NotNow(error.strerror) from None
            raise CannotRun(self._start.no_terminal(error)) from None
        try:
            os.set_blocking(self.output_fd, False)
            self._began = boottime()
            self._pid = self._start.spawn(self._output_in)
        except (CannotRun, NotNow):
            self._leave_nothing()
            raise
        now = time.monotonic()
        self._term_at = inf if spec.timeout is None else now + spec.timeout
        self._warned = spec.warn.before <= 0
        self._warn_at = inf if self._warned else max(now, self._term_at - spec.warn.before)
        self._part_at = inf
        self._kill_at = inf

    # -- running

    @property
    def deadline(self) -> float:
        """When ``advance`` has to be called at the latest, in monotonic seconds; infinity if never."""
        return min(self._warn_at, self._term_at, self._part_at, self._kill_at)

    def read(self) -> int:
        """Take some output that is there; returns how many bytes."""
        try:
            data = os.read(self.output_fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            if not self._spec.tty:
                raise
            terminal.silence(self.output_fd, self._output_in)
            return 0
        self._writer.write(data)
        if self._lines is not None:
            self._lines.write(data)
        return len(data)

    def warn(self) -> None:
        """Send the signal that its spec has for an end that comes; once, and never when it is ending or has ended."""
        self._warn_at = inf
        if self._warned or self._forced is not None or self._status is not None:
            return
        self._warned = True
        number = signal.Signals[f"SIG{self._spec.warn.signal}"]
        try:  # it is not reaped yet: neither the pid nor the group's id can be another's
            if self._spec.warn.to is Receiver.GROUP:
                os.killpg(self._pid, number)
            else:
                os.kill(self._pid, number)
        except OSError:
            pass

    def stop(self, grace: float | None) -> None:
        """End it: SIGTERM now, SIGKILL to what is left after ``grace`` seconds (None: as its spec says)."""
        if grace is None:
            grace = self._spec.kill_after
        if self._status is None or self._forced is not None:
            self._terminate(Result.KILLED, grace)
        else:
            self._part(grace)

    def _terminate(self, result: Result, grace: float) -> None:
        if self._forced is None:
            self._forced = result
            # Not reaped yet, so neither the pid nor the group's id can be another's by now.
            for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped could not hear it
                try:
                    os.killpg(self._pid, number)
                except OSError:
                    pass
        self._warn_at = self._term_at = inf
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def _part(self, grace: float) -> None:
        """End what its main process, which has ended by itself, left behind: SIGTERM to each, once, and SIGKILL after
        ``grace`` seconds. (They may be in any process group, and that of the main process may be gone.)"""
        now = time.monotonic()
        if self._part_at < inf:
            self._part_at = inf
            self._left = processes.descendants([os.getpid()])
            self._left_at = now
            for process in self._left:
                for number in (signal.SIGTERM, signal.SIGCONT):
                    processes.send(process, number)
        self._kill_at = min(self._kill_at, now + grace)

    def advance(self) -> Outcome | None:
        """Reap what has ended and do what is due; the outcome when all is over."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return self._finish()  # no child: nothing of the job is left
            if pid == 0:
                break
            self._user += usage.ru_utime
            self._system += usage.ru_stime
            # In KiB: getrusage(2). Never less than the worker's own, in whose memory a child starts.
            self._max_rss = max(self._max_rss, usage.ru_maxrss * 1024)
            if pid == self._pid:
                self._status = status
                if self._forced is None:
                    # What it left behind is of the attempt, so the timeout holds for that as well.
                    self._ended = time.monotonic()
                    self._part_at = min(self._ended + self._spec.linger, self._term_at)
                self._warn_at = self._term_at = inf
        now = time.monotonic()
        if self._forced and self._status is not None and not self._swept and not self._group_lives():
            self._kill_at = now
        if now >= self._kill_at:
            self._kill(now)
            self._kill_at = now + self._pause
        elif now >= self._part_at:
            self._part(self._spec.kill_after)
        elif now >= self._term_at:
            self._terminate(Result.TIMED_OUT, self._spec.kill_after)
        elif now >= self._warn_at:  # last: when everything was stopped meanwhile, what is due may be the end itself
            self.warn()
        return None

    def _group_lives(self) -> bool:
        """Whether one of those that got the SIGTERM is still busy with it, as the child of a shell may be."""
        try:
            os.killpg(self._pid, 0)
        except OSError:
            return False
        return True

    def _kill(self, now: float) -> None:
        """SIGKILL to all of the job. In one stroke by the group; from the second time on by descent, too."""
        self._swept += 1
        if self._swept == 1:
            self._killed_at = now
        group = self._host.cgroup
        if group is None or not group.kill_others() or self._swept > 1:
            before, self._killed = self._killed, processes.kill_descendants()
            alike = self._killed == before and self._swept > 1
            self._pause = min(2 * self._pause, _AGAIN_AT_MOST) if alike else _AGAIN
            if self._killed and now - self._killed_at >= _OUTLIVED:
                self._stubborn = ", ".join(processes.describe(process) for process in sorted(self._killed)[:_NAMED])

    # -- ending

    def _finish(self) -> Outcome:
        finished, took = wall(), boottime() - self._began
        self._drain()
        failure = self._start.failure()
        self._leave_nothing()
        status = self._status or 0
        code = os.waitstatus_to_exitcode(status)
        if self._forced is not None:
            result = self._forced
        else:
            result = Result.SUCCEEDED if code in self._spec.success_exit_codes else Result.FAILED
        messages = []
        if failure is not None:
            if self._forced is None:
                result, code = failure.result, failure.exit_code or code
            messages.append(failure.message)
        if left := len(self._left):
            after = format_duration(round(self._left_at - self._ended, 1))
            were = "1 process that it left behind was" if left == 1 else f"{left} processes that it left behind were"
            messages.append(f"{were} ended after {after}")
        if self._stubborn:
            lasted = format_duration(round(time.monotonic() - self._killed_at, 1))
            messages.append(f"it could not be killed, and ended {lasted} after its SIGKILL: process {self._stubborn}")
        if self._writer.error:
            messages.append(self._writer.error)
        return Outcome(
            self.job,
            self.attempt,
            result,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            # Two looks at the wall clock may have a step between them; what it says now is the better guess.
            started=finished - took,
            finished=finished,
            user=self._user,
            system=self._system,
            max_rss=self._max_rss,
            output=self._writer.total,
            omitted=self._writer.omitted,
            message="; ".join(messages),
        )

    def _drain(self) -> None:
        """Take what the job left in the pipe: no more than fits in, so that a stranger who got hold of the
        other end, and writes on, cannot keep us."""
        taken = self.read()
        if taken:
            size = _CHUNK if self._spec.tty else fcntl.fcntl(self.output_fd, fcntl.F_GETPIPE_SZ)
            while taken < size and (more := self.read()):
                taken += more

    def _leave_nothing(self) -> None:
        os.close(self.output_fd)
        os.close(self._output_in)
        self._writer.finish()
        if self._lines is not None:
            self._lines.finish()
        self._start.leave_nothing()
