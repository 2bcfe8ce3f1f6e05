"""How a daemon stops: what becomes of the jobs that run, and when it is enough.

The first signal waits for what runs (or leaves it alone, as ``on_stop`` says, and in a restart), the second ends it
politely, the third at once. What the disk does not take by then is kept by the workers that reported it, for the next
daemon: a daemon that waited for room could not be stopped.
"""

from __future__ import annotations

import time
from functools import partial
from math import inf

from taskgated.core.gate import Gate
from taskgated.core.phases import Course
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.in_force import InForce
from taskgated.daemon.life import Life
from taskgated.daemon.roster import Roster
from taskgated.daemon.status import Status
from taskgated.daemon.vigil import Vigil
from taskgated.daemon.workforce import Workforce
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop, Timer
from taskgated.host.systemd import Systemd
from taskgated.intake.intake import Intake
from taskgated.store.client import StoreClient
from taskgated.text import counted

STEP = 5.0
"""Seconds between the requests for more time while the daemon drains."""
PATIENCE = 2
"""Looks, ``STEP`` seconds apart, at a disk that takes nothing, before the daemon stops all the same."""
ENOUGH = 10.0
"""Seconds to write what is known when everything else has ended."""


class Stopping:
    def __init__(
        self,
        loop: Loop,
        systemd: Systemd,
        journal: Journal,
        life: Life,
        in_force: InForce,
        status: Status,
        *,
        gate: Gate,
        conductor: Conductor,
        roster: Roster,
        workforce: Workforce,
        vigil: Vigil,
        intake: Intake,
        store: StoreClient,
    ) -> None:
        self._loop = loop
        self._systemd = systemd
        self._journal = journal
        self._life = life
        self._in_force = in_force
        self._status = status
        self._gate = gate
        self._conductor = conductor
        self._roster = roster
        self._workforce = workforce
        self._vigil = vigil
        self._intake = intake
        self._store = store
        self._signals = 0
        self._futile = 0  # looks in a row that found only the disk in the way
        self._ends: Timer | None = None
        self._ends_at = inf  # when running jobs are ended, in monotonic seconds
        self._warned: set[tuple[int, int]] = set()  # attempts that will hear, or have heard, of that

    def by_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self._begin()
        elif self._signals == 2:
            self._end_jobs()
        else:
            self._conductor.do(self._gate.attempts.stop_all(0))
            self._end_if_futile()
            self._loop.after(ENOUGH, self._end_anyway)

    def _begin(self) -> None:
        self._life.stop()
        self._systemd.stopping("stopping: taking nothing in")
        self._gate.drain()
        self._intake.stop()
        on_stop = self._in_force.now.on_stop
        if self._systemd.restarting() or on_stop == "leave":
            self._leave_jobs()
            return
        if on_stop == "requeue":
            self._ends = self._loop.after(self._in_force.now.stop_timeout, self._end_jobs)
            self._ends_at = time.monotonic() + self._in_force.now.stop_timeout
            self._conductor.progressed.add(self._warn_jobs)  # one that was about to start as well
            self._warn_jobs()
        self._conductor.progressed.add(self._end_if_idle)
        self._drain()

    def _warn_jobs(self) -> None:
        """Have those hear of it that want a signal before they are ended at ``_ends_at``. Where a stop waits for
        them, or leaves them alone, none of them is to be ended."""
        for course in self._gate.attempts.courses():
            before, key = course.job.spec.warn.before, (course.job.id, course.job.attempt)
            if before and key not in self._warned:
                self._warned.add(key)
                self._loop.after(max(0.0, self._ends_at - before - time.monotonic()), partial(self._warn, course))

    def _warn(self, course: Course) -> None:
        if worker := self._roster.workers.get(course.worker):
            self._roster.warn(worker, course.job.id, course.job.attempt)

    def _leave_jobs(self) -> None:
        """End as soon as nothing is half done. What runs goes on; the next daemon counts it and hears of it."""
        if self._gate.attempts:
            text = f"stopping: {len(self._gate.attempts)} jobs run on without the daemon"
            self._journal.event(Event.STOPPED, text, Priority.NOTICE)

        def leave() -> None:
            if self._conductor.quiet:
                self._life.end()

        self._conductor.progressed.add(leave)
        self._loop.after(ENOUGH, self._life.end)  # a disk that takes longer is the next daemon's problem
        leave()

    def _end_jobs(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
        if self._gate.attempts:
            number = counted(len(self._gate.attempts), "job")
            text = f"stopping: ending {number}, to be put back, or to fail if it may not run again"
            self._journal.event(Event.STOPPED, text, Priority.NOTICE)
        self._workforce.end()
        self._conductor.do(self._gate.attempts.stop_all())

    def _drain(self) -> None:
        """Look again and again, asking the manager for time, until nothing runs."""
        self._end_if_idle()
        self._end_if_futile()
        self._systemd.extend(STEP * 2)
        self._systemd.status(self._status.text())
        self._loop.after(STEP, self._drain)

    def _end_if_idle(self) -> None:
        if self._conductor.idle:
            self._life.end()

    def _end_if_futile(self) -> None:
        """Where only the disk is in the way, or what nothing can kill."""
        beyond = self._workforce.held_up + self._vigil.unending
        if len(self._gate.attempts) > beyond or not (self._gate.attempts or self._store.trouble):
            self._futile = 0
            return
        self._futile += 1
        if self._futile > PATIENCE or self._signals > 2:
            self._end_anyway()

    def _end_anyway(self) -> None:
        why = f"the store cannot write: {self._store.trouble}" if self._store.trouble else ""
        if self._gate.attempts:
            why = f"{len(self._gate.attempts)} jobs cannot be ended; the next daemon counts what is left of them"
        text = f"stopping all the same: {why or 'it has taken long enough'}"
        self._journal.event(Event.STOPPED, text, Priority.WARNING)
        self._life.end()
