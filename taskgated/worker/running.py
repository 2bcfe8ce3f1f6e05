"""What was started, and all that it forks: ended when its time is up, and watched until nothing of it is left.

A ``Running`` never waits. Its worker polls for SIGCHLD and ``look_at``; after each wake-up it calls ``advance``
until that says that all is over.

The worker is a subreaper and runs one thing at a time. So whatever that forks stays a descendant of the worker, also
what double-forks and calls setsid(2): an orphan becomes the worker's child. Hence the one test for "nothing is left":
waitpid(2) says that there is no child.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Set
from math import inf

from taskgated.core.job import Receiver, Result, Spec
from taskgated.host import processes
from taskgated.host.clock import MICROSECONDS, boottime
from taskgated.host.processes import Process
from taskgated.language.units import format_duration
from taskgated.worker.cgroup import Cgroup

# Until killing is tried again, seconds: at first, and at most. What dies wakes us at once; the rest has to be found.
# It takes twice as long each time when what is found is what was killed before: another user's process (sudo(8)) does
# not hear a signal of ours, and asking it fifty times a second does not change that.
_AGAIN = 0.02
_AGAIN_AT_MOST = 5.0
_NAMED = 5  # processes that the words name at most
_OUTLIVED = 1.0
"""Seconds after its SIGKILL from which a process that lives on is worth a word."""


class Running:
    """All processes that come of ``pid``, the leader of a process group. ``spec`` says when they are warned, and when
    ended. ``status``: how the main process ended, as waitpid(2) gives it; ``forced``: as what it ended, if we ended
    it; ``user``, ``system``: CPU seconds; ``max_rss``: bytes."""

    def __init__(self, pid: int, spec: Spec, group: Cgroup | None) -> None:
        self._pid = pid
        self._spec = spec
        self._group = group
        self.status: int | None = None
        self.forced: Result | None = None
        self.user = self.system = 0.0
        self.max_rss = 0
        self._left: Set[Process] = frozenset()  # what its main process had left behind, when that was to end
        self._left_at = self._ended = 0.0
        self._killed: Set[Process] = frozenset()  # by the last sweep
        self._killed_at = 0.0  # by the first sweep
        self._pause = _AGAIN
        self._stubborn = ""  # what lived on long after its SIGKILL, in words
        self._swept = 0
        now = time.monotonic()
        self._term_at = inf if spec.timeout is None else now + spec.timeout
        self._warned = spec.warn.before <= 0
        self._warn_at = inf if self._warned else max(now, self._term_at - spec.warn.before)
        self._part_at = inf
        self._kill_at = inf
        self._end_at: int | None = None
        self._end_as = Result.TIMED_OUT

    @property
    def look_at(self) -> float:
        """When ``advance`` has to be called at the latest, in monotonic seconds; infinity if never. What ``end_by``
        said comes earlier by that clock when the host is suspended, see ``host/alarm.py``."""
        due = min(self._warn_at, self._term_at, self._part_at, self._kill_at)
        left = self._time_left()
        return due if left == inf else min(due, time.monotonic() + max(0.0, left - self._ahead))

    def end_by(self, at: int | None, result: Result) -> None:
        """As a timeout does, end it when it is ``at`` (microseconds since boot), with that result; None: do not. The
        last word counts."""
        self._end_at, self._end_as = at, result

    def _time_left(self) -> float:
        """Seconds until then; infinity if there is no such time, or it is ending already."""
        if self._end_at is None or self._kill_at < inf:
            return inf
        return (self._end_at - boottime()) / MICROSECONDS

    @property
    def _ahead(self) -> float:
        """How long before that it has to be sent a signal; 0 if it is not, or not any more."""
        return 0.0 if self._warned or self.status is not None else self._spec.warn.before

    def warn(self) -> None:
        """Send the signal that its spec has for an end that comes; once, and never when it is ending or has ended."""
        self._warn_at = inf
        if self._warned or self.forced is not None or self.status is not None:
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
        if self.status is None or self.forced is not None:
            self._terminate(Result.KILLED, grace)
        else:
            self._part(grace)

    def _terminate(self, result: Result, grace: float) -> None:
        if self.forced is None:
            self.forced = result
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

    def advance(self) -> bool:
        """Reap what has ended and do what is due; True when nothing is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                break
            self.user += usage.ru_utime
            self.system += usage.ru_stime
            # In KiB: getrusage(2). Never less than the worker's own, in whose memory a child starts.
            self.max_rss = max(self.max_rss, usage.ru_maxrss * 1024)
            if pid == self._pid:
                self.status = status
                if self.forced is None:
                    # What it left behind is of the attempt, so the timeout holds for that as well.
                    self._ended = time.monotonic()
                    self._part_at = min(self._ended + self._spec.linger, self._term_at)
                self._warn_at = self._term_at = inf
        now, left = time.monotonic(), self._time_left()
        if self.forced and self.status is not None and not self._swept and not self._group_lives():
            self._kill_at = now
        if now >= self._kill_at:
            self._kill(now)
            self._kill_at = now + self._pause
        elif now >= self._part_at or (left <= 0 and self.status is not None):
            self._part(self._spec.kill_after)
        elif now >= self._term_at:
            self._terminate(Result.TIMED_OUT, self._spec.kill_after)
        elif left <= 0:
            self._terminate(self._end_as, self._spec.kill_after)
        elif now >= self._warn_at or left <= self._ahead:
            self.warn()  # last: when everything was stopped meanwhile, what is due may be the end itself
        return False

    def _group_lives(self) -> bool:
        """Whether one of those that got the SIGTERM is still busy with it, as the child of a shell may be."""
        try:
            os.killpg(self._pid, 0)
        except OSError:
            return False
        return True

    def _kill(self, now: float) -> None:
        """SIGKILL to all of it. In one stroke by the group; from the second time on by descent, too."""
        self._swept += 1
        if self._swept == 1:
            self._killed_at = now
        group = self._group
        if group is None or not group.kill_others() or self._swept > 1:
            before, self._killed = self._killed, processes.kill_descendants()
            alike = self._killed == before and self._swept > 1
            self._pause = min(2 * self._pause, _AGAIN_AT_MOST) if alike else _AGAIN
            if self._killed and now - self._killed_at >= _OUTLIVED:
                self._stubborn = ", ".join(processes.describe(process) for process in sorted(self._killed)[:_NAMED])

    # -- what there is to say

    def words(self) -> list[str]:
        """What of its end is worth a word, when nothing is left."""
        said = []
        if left := len(self._left):
            after = format_duration(round(self._left_at - self._ended, 1))
            were = "1 process that it left behind was" if left == 1 else f"{left} processes that it left behind were"
            said.append(f"{were} ended after {after}")
        if self._stubborn:
            lasted = format_duration(round(time.monotonic() - self._killed_at, 1))
            said.append(f"it could not be killed, and ended {lasted} after its SIGKILL: process {self._stubborn}")
        return said
