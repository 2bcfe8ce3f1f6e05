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
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from taskgated import directories
from taskgated.config import Config
from taskgated.errors import TaskgateError, Trouble
from taskgated.intake import data, scan
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims
from taskgated.intake.drain import Drain
from taskgated.intake.events import Blind, HandlersMissing, IntakeEvent, Repaired, Sink
from taskgated.intake.inlets import Inlets
from taskgated.intake.owners import Owners
from taskgated.intake.patient import Patient, Progress
from taskgated.intake.shares import Shares
from taskgated.intake.take import FILES, Taker
from taskgated.intake.taken import Inlet, Taken
from taskgated.intake.told import Told
from taskgated.intake.watch import ROOT, Watch
from taskgated.paths import Layout

DEFAULT_QUEUE = "default"
MAX_PAUSE = 5.0
"""Seconds between attempts to get the spool back, at most; the first is after one."""
CALM = 15.0
"""Seconds within which trouble that comes again is the same: a disk that is full, and has room for one more name."""
BLIND_RESCAN = 5.0
"""Seconds between looks at everything while events do not come."""
TIDY_UP = 1.0
"""Seconds that the thread spends at its end on what jobs have left behind; the rest is for the next daemon."""
RECOVER = 256
"""Claims from before that are looked at in one turn."""


class _Blinded(Exception):
    """The spool is not watched any more."""


class Intake(threading.Thread):
    """Takes files from the spool into the sink until ``stop``. Public methods are for other threads."""

    def __init__(self, layout: Layout, config: Config, sink: Sink, tell: Callable[[IntakeEvent], None]) -> None:
        super().__init__(name="intake", daemon=True)
        self._layout = layout
        self._config = config
        self._sink = Patient(sink)
        self._tell = tell
        self._shares = Shares(self._sink, tell, {0, os.geteuid()})
        self._wake = threading.Event()
        self._stopping = False
        self._released: deque[Sequence[str]] = deque()
        self._asked = self._answered = 0
        self._progress = Progress()
        self._seen = 0  # of its steps, when it was last asked
        self._names = Told()
        self._told: tuple[str, ...] = ()  # what is wrong with the spool
        self._owners = Owners(layout, tell)
        self._unproven = False  # work on it failed, and none has gone well since
        self._pause = 1.0
        self._repair_at = 0.0
        self._said: set[str] = set()  # of that, since it was well
        self._calm = 0.0  # for how long it has to be well before that is told
        self._over_at = float("inf")  # when it is told, if it stays well
        self._repaired_at = float("-inf")
        self._claims: Claims | None = None
        self._watch = Watch(os.fsencode(layout.spool), self._wake.set)
        self._data = data.DataQueues(self._sink)
        self._waiting: tuple[str, ...] = ()  # why files wait for another configuration, as was told
        # Claims from before that were not looked at yet, and claimed files that can go on.
        self._left: Iterator[tuple[str, bool]] | None = iter(())
        self._troubled: list[tuple[str, bool]] = []  # such as could not be looked at, and are later
        self._resumed: deque[Taken] = deque()
        self._turns = 0
        self._rescan_at = 0.0

    # -- for other threads -----------------------------------------------------------------------

    def poke(self) -> None:
        """There may be room again."""
        self._wake.set()

    def release(self, claims: Sequence[str]) -> None:
        """The jobs that worked on these kept files are over."""
        self._released.append(tuple(claims))
        self._wake.set()

    def reload(self, config: Config) -> None:
        self._config = config
        self._wake.set()

    def stop(self) -> None:
        """Finish the step at hand and end; ``join`` waits for it."""
        self._stopping = True
        self._wake.set()

    @property
    def watching(self) -> bool:
        """The spool is watched, and what was left by the last daemon has been taken up."""
        return self._left is None and not self._told

    def responsive(self) -> bool:
        """Whether the thread has gone round since this was last asked, or has come on with its round: on a slow disk
        a batch takes long. On each round asked for, it checks the watch. Waiting for the store counts as life:
        whether the store is alive is asked of the store."""
        answered = self._answered == self._asked
        if answered:
            self._asked += 1
            self._wake.set()
        seen, self._seen = self._seen, self._progress.steps
        return self.is_alive() and (answered or seen != self._seen or self._sink.busy)

    # -- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        while not self._stopping:
            try:
                self._begin()
                while not self._stopping:
                    self._round()
                self._taker.settle(now=True)
                self._tidy(TIDY_UP)
            except _Blinded:
                pass  # begin anew at once
            except OSError as error:
                self._failed(error)
                self._rest()
            except TaskgateError:
                if not self._stopping:
                    raise
            finally:
                self._end()

    def _failed(self, error: OSError) -> None:
        """Work on the spool failed; said once, although each time it may be another file that shows it."""
        if error.errno in (errno.EMFILE, errno.ENFILE) and self._claims is not None:
            try:
                self._taker.flush()  # what the batch holds are descriptors: else the next would be the same again
            except OSError:
                pass
        self._unproven = True
        why = error.strerror or str(error)
        name = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        known = any(why in problem for problem in self._said)
        self._judge(self._told if known else (f"{self._layout.spool}: {why}{name}",))

    def _rest(self) -> None:
        """Let some time go by before the spool is tried again."""
        while not self._stopping and (left := self._repair_at - time.monotonic()) > 0:
            self._wake.clear()
            self._answered = self._asked
            self._wake.wait(left)

    def _begin(self) -> None:
        """Watch first, then look: what comes in between is seen twice, never not at all."""
        self._owners.look(self._config.queues)
        if self._told:  # not at once: somebody may be about to put another directory in its place
            try:
                os.mkdir(self._layout.spool, 0o700)
                for queue in self._config.queues:
                    if queue != DEFAULT_QUEUE:
                        directories.make_queue(self._layout.spool, self._layout.spool / queue)
            except OSError:
                pass  # it is there; if not, opening it says what is wrong
        self._watch.start()
        root = self._watch.places[ROOT]
        self._claims = Claims(os.fsencode(self._layout.claims), self._left_behind)
        config = self._config
        self._data.learn(config)
        spool = os.fsencode(self._layout.spool)
        aside = Aside(os.fsencode(self._layout.rejected), self._tell, self._names)
        self._taker = Taker(
            self._claims, aside, spool, config, self._sink, self._tell, self._progress, self._shares, self._data
        )
        parts = self._taker, self._watch.hints, self._shares, self._data
        self._inlets = Inlets(self._watch, Inlet(root, DEFAULT_QUEUE), self._taker, self._resumed)
        self._drain = Drain(*parts, self._inlets.is_queue, self._resumed, lambda: self._config)
        self._left, self._troubled = self._claims.all(), []
        self._inlets.adopt_all(config.queues)
        problems = self._problems()
        if problems or not self._unproven:
            self._judge(problems)
        self._plan_rescan()

    def _end(self) -> None:
        """Forget everything; it is all on disk."""
        self._left = iter(())
        if self._claims is not None:
            self._taker.abandon()
            self._claims.close()
            self._claims = None
        self._watch.stop()
        self._resumed.clear()

    def _tidy(self, seconds: float = 0.0) -> None:
        """Remove some of what jobs have left behind: one step, or as many as there is time for."""
        assert self._claims is not None
        end = time.monotonic() + seconds
        while self._claims.litter.pending:
            self._claims.litter.step()
            self._progress.steps += 1
            if time.monotonic() >= end:
                break

    def _left_behind(self, path: bytes, why: str) -> None:
        reason = f"a handler left it behind, and it cannot be removed: {why}; remove it by hand"
        self._taker.aside.stuck(path, "", reason)

    def _check(self) -> None:
        """Look after the watch; if it is broken, begin anew, but not all the time: without events the
        rescans still find everything."""
        asked = self._asked
        if self._owners.look(self._config.queues):
            raise _Blinded  # what was stuck, in the spool or as a claim, may go now
        self._inlets.check()
        problems = self._problems()
        self._answered = asked
        if not problems:
            if not self._unproven:
                self._judge(())
        elif time.monotonic() >= self._repair_at:
            self._judge(problems)
            raise _Blinded

    def _problems(self) -> tuple[str, ...]:
        """What is wrong with the directories that are worked on, in words."""
        found = self._watch.health()
        if self._claims is not None and not self._claims.in_place():
            found.append(f"{self._layout.claims}: it was moved away")
        return tuple(found)

    def _judge(self, problems: tuple[str, ...]) -> None:
        """Tell what is wrong with the spool, or that it is well again, if that is news."""
        now = time.monotonic()
        if problems:
            self._repair_at = now + self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE)
            if not self._told and now - self._repaired_at < CALM:
                self._calm = CALM  # it was not over; of what comes and goes the end is told when it stays away
            self._over_at = float("inf")
            if set(problems) - self._said:
                self._said.update(problems)
                self._told = problems
                self._tell(Blind(problems))
        elif self._told:
            self._repair_at = 0.0
            self._over_at = min(self._over_at, now + self._calm)
            if now >= self._over_at:
                self._told, self._calm, self._pause, self._repaired_at = (), 0.0, 1.0, now
                self._over_at = float("inf")
                self._said.clear()
                self._tell(Repaired())

    def _plan_rescan(self) -> None:
        interval = self._config.rescan_interval
        self._rescan_at = time.monotonic() + (min(interval, BLIND_RESCAN) if self._told else interval)

    def _round(self) -> None:
        """Do what can be done at once, a batch of it; then sleep if nothing is left."""
        assert self._claims is not None
        self._wake.clear()
        if self._asked != self._answered or time.monotonic() >= self._over_at:
            self._check()
        if self._taker.config is not self._config:
            self._reconfigure()
        self._taker.room = self._sink.room()
        self._shares.configure(self._config.max_backlog, self._config.share)
        if not self._inlets.forget_gone():
            raise _Blinded
        self._inlets.poll()
        while self._released:
            self._taker.release(self._released[0])
            self._released.popleft()
        due = time.monotonic() >= self._rescan_at
        if due:
            self._plan_rescan()
        if self._shares.let_go() or due:
            self._inlets.rescan()
            if self._troubled and self._left is None:
                self._left, self._troubled = iter(self._troubled), []
            self._claims.litter.try_again()
        self._take()
        worked = self._taker.holds
        self._taker.flush()
        self._taker.settle()
        self._tidy()
        self._taker.room = self._sink.room()
        stalled = self._taker.stalled and not (self._resumed and self._taker.room > 0)
        more = self._has_work()
        if self._unproven and (worked or not more):
            self._unproven = False
            self._check()
        self._tell_waiting(more)
        self._shares.tell_room(self._taker.room, more=more)
        if (stalled or not more) and not self._claims.litter.pending:
            until = min(self._rescan_at, self._taker.next, self._shares.next, self._inlets.next, self._over_at)
            if not stalled:
                until = min([until, *(inlet.later.next() for inlet in self._inlets)])
            self._wake.wait(max(0.0, until - time.monotonic()))

    def _reconfigure(self) -> None:
        """From here on another configuration holds, and what waited for one may go on."""
        config = self._config
        self._data.learn(config)
        self._taker.config = config
        self._resumed.extend(self._taker.explain_again())
        self._inlets.adopt_configured(config.queues)
        for inlet in self._inlets:
            if inlet.waits:
                inlet.cursor = scan.START

    def _tell_waiting(self, more: bool) -> None:
        """Say why files wait, if that is news. While there is ``more``, nobody knows yet that none is left."""
        config = self._taker.config
        queues = [inlet.queue for inlet in self._inlets if inlet.waits]
        queues = [queue for queue in queues if self._data.lacks_handler(config.queue(queue))]
        reasons = tuple(data.reasons(config, queues, self._taker.unexplained.values()))
        if set(reasons) - set(self._waiting) or (reasons != self._waiting and not more):
            self._waiting = reasons
            self._tell(HandlersMissing(reasons))

    def _take(self) -> None:
        """One batch: what was left before, claimed files whose time has come, and then the spool."""
        if self._left is not None:
            self._recover()
            return
        for taken in self._taker.pending.due(FILES):
            if self._taker.advance(taken):
                self._resumed.append(taken)
        while self._resumed:  # they came before all that is still in the spool
            if self._taker.advance(self._resumed[0]):
                return
            self._resumed.popleft()
            if self._taker.full:
                return
        inlets = list(self._inlets)
        self._turns += 1
        first = self._turns % len(inlets)  # each gets its turn, however much there is in another
        for inlet in inlets[first:] + inlets[:first]:
            if not self._taker.full and self._inlets.holds(inlet):
                self._drain.empty(inlet)

    def _recover(self) -> None:
        """Take up the next claims from before."""
        assert self._left is not None
        claims = list(islice(self._left, RECOVER))
        for claim in claims:
            try:
                taken = self._taker.recover(*claim)
            except Trouble:
                if len(self._troubled) < RECOVER:
                    self._troubled.append(claim)
                continue
            if taken is not None:
                self._resumed.append(taken)
        if not claims:
            in_order = sorted(self._resumed, key=lambda taken: taken.claim)
            self._resumed.clear()
            self._resumed.extend(in_order)
            self._left = None

    def _has_work(self) -> bool:
        """Whether there is something to take that could be taken now if there were room."""
        now = time.monotonic()
        return (
            self._left is not None
            or bool(self._resumed)
            or any(
                inlet.names
                or inlet.active is not None
                or inlet.cursor is not None
                or inlet.later.next() <= now
                or self._watch.hints.pending(inlet.place.key)
                for inlet in self._inlets
            )
        )
