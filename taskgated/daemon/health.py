"""Is it alive? Every loop has to show progress; what is broken is said, and repaired where it can be.

The watchdog is fed only when the main loop, both store threads, intake with its observer, and the worker server have
each answered since the last time. A disk that refuses to write is trouble, not death: the store's thread shows
progress by trying.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from taskgated import __version__
from taskgated.daemon.checks import Answers, Check, Spell
from taskgated.daemon.in_force import InForce
from taskgated.daemon.life import Life
from taskgated.daemon.starting import Start
from taskgated.daemon.status import Status, StatusLine
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop, Timer
from taskgated.host.paths import Layout
from taskgated.host.systemd import Systemd

EVERY = 10.0
"""Seconds between checks when no watchdog wants them more often."""


class Health:
    """``alive``: whether a thread is there without which nothing can go on, and in words that it is not. These,
    ``answers`` and ``checks`` are looked at every few seconds, ``spells`` after anything happened. ``complete``:
    whether a start has nothing more to wait for."""

    def __init__(
        self,
        layout: Layout,
        loop: Loop,
        systemd: Systemd,
        journal: Journal,
        life: Life,
        start: Start,
        in_force: InForce,
        status: Status,
        line: StatusLine,
        *,
        alive: Sequence[tuple[str, Callable[[], bool]]],
        answers: Answers,
        checks: Sequence[Check],
        spells: Sequence[Spell],
        complete: Callable[[], bool],
    ) -> None:
        self._layout = layout
        self._loop = loop
        self._systemd = systemd
        self._journal = journal
        self._life = life
        self._start = start
        self._in_force = in_force
        self._status = status
        self._line = line
        self._alive = alive
        self._answers = answers
        self._checks = checks
        self._spells = spells
        self._complete = complete
        self._interval = min(EVERY, systemd.watchdog_interval or EVERY)
        self._timer: Timer | None = None
        self._checked = time.monotonic()

    def start(self) -> None:
        self._loop.on_wake(self._look)
        self._check()
        self._look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """After anything happened."""
        for spell in self._spells:
            spell.look()
        if self._life.starting and self._complete():
            self._serve()

    def _serve(self) -> None:
        """Recovery is done, workers are up and the spool is watched."""
        self._life.serve()
        self._start.over(self._status.text())
        workers = self._in_force.now.workers
        text = f"taskgated {__version__} is ready: {workers} workers, spool {self._layout.spool}"
        self._journal.event(Event.STARTED, text)

    def _check(self) -> None:
        self._timer = self._loop.after(self._interval, self._check)
        now = time.monotonic()
        # While the daemon was stopped (SIGSTOP, suspend), so may everything else have been.
        elapsed = min(self._interval, now - self._checked)
        self._checked = now
        # What has ended (for want of memory, say) does not come back; the next daemon has it all.
        for ended, alive in self._alive:
            if not alive():
                self._life.give_up(ended)
        self._answers.look(elapsed)
        for check in self._checks:
            check.look(elapsed)
        self._look()
        self._line.now()
        well = not self._answers.problems  # a restart could do no more for what else is wrong
        if well:
            self._systemd.alive()
        if self._life.starting and not self._start.announced:
            self._look_after_start(well=well)

    def _look_after_start(self, *, well: bool) -> None:
        """Recovering a large spool may take long, and so may mending it; but what started us waits, too."""
        if self._start.late:
            self._start.announced = True  # so that the text says what is missing
            self._start.over(text := self._status.text())
            self._journal.event(Event.NOT_READY, text, Priority.ERROR)
        elif well:
            self._systemd.extend(3 * self._interval)
