"""Running one attempt: from its start, which is told of in ``start``, to an outcome, with nothing left of it.

An ``Attempt`` never waits. Its worker polls: ``output_fd`` for reading, SIGCHLD, and ``look_at``; after
each wake-up it calls ``advance`` until that returns the outcome. Its processes are looked after by ``running``.
"""

from __future__ import annotations

import fcntl
import os

from taskgated.attempts.writer import Writer
from taskgated.core.job import Outcome, Result, Spec
from taskgated.host.clock import boottime, wall
from taskgated.protocol.messages import Deadline, Run
from taskgated.worker import terminal
from taskgated.worker.running import Running
from taskgated.worker.start import SHORT, CannotRun, Host, NotNow, Start
from taskgated.worker.tail import Tail
from taskgated.worker.tojournal import lines_of

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
        self._tail = Tail(run.overload) if run.overload else None
        try:
            self.output_fd, self._output_in = terminal.make() if spec.tty else os.pipe()
        except OSError as error:
            if error.errno in SHORT:
                raise NotNow(error.strerror) from None
            raise CannotRun(self._start.no_terminal(error)) from None
        try:
            os.set_blocking(self.output_fd, False)
            self._began = boottime()
            self._running = Running(self._start.spawn(self._output_in), spec, host.cgroup)
        except (CannotRun, NotNow):
            self._leave_nothing()
            raise

    # -- running

    @property
    def look_at(self) -> float:
        """When ``advance`` has to be called at the latest, in monotonic seconds; infinity if never."""
        return self._running.look_at

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
        if self._tail is not None:
            self._tail.write(data)
        if self._lines is not None:
            self._lines.write(data)
        return len(data)

    def warn(self) -> None:
        """Send the signal that its spec has for an end that comes."""
        self._running.warn()

    def stop(self, grace: float | None) -> None:
        """End it: SIGTERM now, SIGKILL to what is left after ``grace`` seconds (None: as its spec says)."""
        self._running.stop(grace)

    def end_by(self, deadline: Deadline) -> None:
        """That is its deadline from now on."""
        self._running.end_by(deadline.at, deadline.result)

    def advance(self) -> Outcome | None:
        """Reap what has ended and do what is due; the outcome when all is over."""
        return self._finish() if self._running.advance() else None

    # -- ending

    def _finish(self) -> Outcome:
        finished, took = wall(), boottime() - self._began
        self._drain()
        failure = self._start.failure()
        self._leave_nothing()
        running = self._running
        code = os.waitstatus_to_exitcode(running.status or 0)
        if running.forced is not None:
            result = running.forced
        else:
            result = Result.SUCCEEDED if code in self._spec.success_exit_codes else Result.FAILED
        messages = []
        if failure is not None:
            if running.forced is None:
                result, code = failure.result, failure.exit_code or code
            messages.append(failure.message)
        messages += running.words()
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
            user=running.user,
            system=running.system,
            max_rss=running.max_rss,
            output=self._writer.total,
            omitted=self._writer.omitted,
            message="; ".join(messages),
            overloaded=self._tail is not None and self._tail.has_it(),
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
