"""The deadlines of jobs that run. What waits, the store ends when its time has passed (``Store.wake``).

A worker is told when its attempt has to end, and ends it by itself, whatever becomes of the daemon. One of an earlier
version does not know what that is: it is told to stop when it is time, by whichever daemon is there then.
"""

from __future__ import annotations

from functools import partial

from taskgated.core.job import Job
from taskgated.daemon.roster import Roster, Worker
from taskgated.host.clock import Steady
from taskgated.host.loop import Loop
from taskgated.protocol.messages import DEADLINES

LOOK = 30.0
"""Seconds between looks at the clock: the timers of the loop stand still while the host is suspended."""


class Deadlines:
    def __init__(self, loop: Loop, roster: Roster, clock: Steady) -> None:
        self._loop = loop
        self._roster = roster
        self._clock = clock

    def left(self, job: Job) -> float:
        """Seconds until its deadline; infinity where it has none."""
        return self._clock.until(job.deadline)

    def keep(self, worker: Worker, job: Job) -> None:
        """That worker has the attempt which the job is at."""
        if job.deadline is None:
            return
        if DEADLINES in worker.features:
            at = self._clock.since_boot(job.deadline)
            self._roster.deadline(worker, job.id, job.attempt, at)
        else:
            self._stop_in_time(worker.key, job)

    def _stop_in_time(self, key: str, job: Job) -> None:
        worker = self._roster.workers.get(key)
        if worker is None or worker.running != (job.id, job.attempt):
            return
        if (left := self.left(job)) > 0:
            self._loop.after(min(left, LOOK), partial(self._stop_in_time, key, job))
        else:
            self._roster.stop(worker, job.id, job.attempt, None)
