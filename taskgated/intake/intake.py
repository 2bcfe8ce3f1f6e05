"""The intake thread: looks where it is told to look, and at everything now and then.

All state is in the spool, in ``.claims`` and in the store. Whatever goes wrong with the directories, the way
back is the same as after a crash: forget everything, open and watch again, take up the claims, scan.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.errors import TaskgateError
from taskgated.host import directories
from taskgated.host.names import Names
from taskgated.host.paths import Layout
from taskgated.intake.aside import Aside
from taskgated.intake.condition import Condition
from taskgated.intake.data import DataQueues
from taskgated.intake.events import Sink, Tell
from taskgated.intake.owners import Owners
from taskgated.intake.pulse import Pulse
from taskgated.intake.session import Blinded, Session
from taskgated.intake.settings import Settings
from taskgated.intake.shares import Shares
from taskgated.intake.standing import Standing
from taskgated.intake.troubled import Troubled
from taskgated.intake.watch import Watch
from taskgated.language.config import Config

BLIND_RESCAN = 5.0
"""Seconds between looks at everything while events do not come."""
TIDY_UP = 1.0
"""Seconds that the thread spends at its end on what jobs have left behind; the rest is for the next daemon."""


class Intake(threading.Thread):
    """Takes files from the spool into the sink until ``stop``. Public methods are for other threads.

    The thread knows when something is to be done, a ``Session`` what. What is kept here lasts from one session to the
    next.
    """

    def __init__(self, layout: Layout, config: Config, sink: Sink, tell: Tell, names: Names) -> None:
        super().__init__(name="intake", daemon=True)
        self._layout = layout
        self._settings = Settings(config)
        self._sink = sink
        self._tell = tell
        self._wake = threading.Event()
        self._stopping = False
        self._over: deque[tuple[Sequence[str], bool]] = deque()  # claims that jobs do not work on any more
        self._pulse = Pulse(self._wake.set)
        self._condition = Condition(tell)
        self._owners = Owners(layout, tell)
        self._watch = Watch(os.fsencode(layout.spool), self._wake.set)
        self._aside = Aside(os.fsencode(layout.rejected), tell, Troubled())
        self._shares = Shares(sink, tell, {0, os.geteuid()}, names)
        self._data = DataQueues(sink, tell)
        self._standing = Standing(tell)
        self._rescan_at = 0.0
        self._recovered = False

    # -- for other threads -----------------------------------------------------------------------

    def poke(self) -> None:
        """There may be room again."""
        self._wake.set()

    def let_go(self, claims: Sequence[str], failed: bool = False) -> None:
        """The jobs that worked on these kept files are over. ``failed``: they did not all succeed."""
        self._over.append((tuple(claims), failed))
        self._wake.set()

    def reload(self, config: Config) -> None:
        self._settings.newest = config
        self._wake.set()

    def stop(self) -> None:
        """Finish the step at hand and end; ``join`` waits for it."""
        self._stopping = True
        self._wake.set()

    @property
    def watching(self) -> bool:
        """The spool is watched, and what was left by the last daemon has been taken up."""
        return self._recovered and not self._condition.blind

    def responsive(self) -> bool:
        """Whether the thread has gone round since this was last asked, or has come on with its round, or waits for
        the store. On each round asked for, it checks the watch."""
        felt = self._pulse.felt()
        return self.is_alive() and (felt or self._sink.waits)

    # -- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        while not self._stopping:
            try:
                with closing(self._begin()) as session:
                    self._work(session)
            except Blinded:
                pass  # begin anew at once
            except OSError as error:
                self._failed(error)
                self._rest()
            except TaskgateError:
                if not self._stopping:
                    raise
            finally:
                self._recovered = False

    def _begin(self) -> Session:
        config = self._settings.config = self._settings.newest
        self._owners.check(config.queues)
        if self._condition.blind:  # not at once: an administrator may be about to put another directory in its place
            try:
                os.mkdir(self._layout.spool, 0o700)
                for queue in config.queues:
                    if queue != DEFAULT_QUEUE:
                        directories.make_queue(self._layout.spool, self._layout.spool / queue)
            except OSError:
                pass  # it is there; if not, opening it says what is wrong
        return Session(
            self._layout,
            self._settings,
            self._watch,
            self._sink,
            self._tell,
            aside=self._aside,
            shares=self._shares,
            data=self._data,
            pulse=self._pulse,
            standing=self._standing,
        )

    def _work(self, session: Session) -> None:
        self._condition.found(tuple(session.problems()), time.monotonic())
        self._plan_rescan()
        try:
            while not self._stopping:
                self._round(session)
            session.finish(TIDY_UP)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                try:
                    session.flush()  # what the batch holds are descriptors: else the next would be the same again
                except OSError:
                    pass
            raise

    def _round(self, session: Session) -> None:
        """Do what can be done at once, a batch of it; then sleep if nothing is left."""
        self._wake.clear()
        if self._pulse.asked or time.monotonic() >= self._condition.over_at:
            self._check(session)
        session.prepare()
        while self._over:
            claims, failed = self._over[0]
            session.let_go(claims, failed=failed)
            self._over.popleft()
        due = time.monotonic() >= self._rescan_at
        if due:
            self._plan_rescan()
        session.rescan_if(due)
        worked = session.take()
        self._recovered = session.recovered
        more = session.has_work()
        if (worked or not more) and self._condition.went_well():
            self._check(session)
        session.tell(more)
        self._condition.unwatched(session.degraded())
        until = min(session.idle_until(more), self._rescan_at, self._condition.over_at)
        if until > (now := time.monotonic()):
            self._wake.wait(until - now)

    def _check(self, session: Session) -> None:
        """Look after the watch; if it is broken, begin anew, but not all the time: without events the
        rescans still find everything."""
        question = self._pulse.question
        if self._owners.check(self._settings.newest.queues):
            raise Blinded  # what was stuck, in the spool or as a claim, may go now
        problems = tuple(session.look_after())
        self._pulse.answer(question)
        now = time.monotonic()
        if problems and now < self._condition.repair_at:
            return
        self._condition.found(problems, now)
        if problems:
            raise Blinded

    def _failed(self, error: OSError) -> None:
        """Work on the spool failed; said once, although each time it may be another file that shows it."""
        why = error.strerror or str(error)
        name = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        self._condition.failed(why, f"{self._layout.spool}: {why}{name}", time.monotonic())

    def _rest(self) -> None:
        """Let some time go by before the spool is tried again."""
        while not self._stopping and (left := self._condition.repair_at - time.monotonic()) > 0:
            self._wake.clear()
            self._pulse.answer(self._pulse.question)
            self._wake.wait(left)

    def _plan_rescan(self) -> None:
        interval = self._settings.newest.rescan_interval
        self._rescan_at = time.monotonic() + (min(interval, BLIND_RESCAN) if self._condition.blind else interval)
