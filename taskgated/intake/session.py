"""What exists while the spool is open: the watched directories, the claims, and the parts that work on them.

A session is made anew at each beginning and thrown away at each end, after trouble as after a crash: all that it knew
is in the spool, in ``.claims`` and in the store.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.host.paths import Layout
from taskgated.intake import listing, pending
from taskgated.intake.aside import Aside
from taskgated.intake.batch import Batch
from taskgated.intake.claim import Claims
from taskgated.intake.claimed import Claimed
from taskgated.intake.data import DataQueues
from taskgated.intake.done import Done
from taskgated.intake.drain import Drain
from taskgated.intake.events import Sink, Tell
from taskgated.intake.failed import Failed
from taskgated.intake.fate import Fates
from taskgated.intake.inlet import Inlet
from taskgated.intake.inlets import Inlets
from taskgated.intake.pending import Pending
from taskgated.intake.place import ROOT
from taskgated.intake.pulse import Pulse
from taskgated.intake.read import Reader
from taskgated.intake.recover import Recovery
from taskgated.intake.required import Required
from taskgated.intake.settings import Settings
from taskgated.intake.shares import Shares
from taskgated.intake.standing import Standing
from taskgated.intake.take import Taker
from taskgated.intake.watch import Watch
from taskgated.language.config import Config


class Blinded(Exception):
    """The spool is not watched any more: a new session has to begin."""


class Session:
    """``OSError`` from a method means trouble with the directories. ``close`` forgets everything."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        watch: Watch,
        sink: Sink,
        tell: Tell,
        *,
        aside: Aside,
        shares: Shares,
        data: DataQueues,
        pulse: Pulse,
        standing: Standing,
    ) -> None:
        """Watch first, then look: what comes in between is seen twice, never not at all."""
        self._settings = settings
        self._watch = watch
        self._aside = aside
        self._shares = shares
        self._data = data
        self._pulse = pulse
        self._standing = standing
        self._resumed: deque[Claimed] = deque()  # claimed files that can go on
        self._turns = 0
        spool = os.fsencode(layout.spool)
        with ExitStack() as opened:
            opened.callback(watch.stop)
            watch.start()
            self._claims = Claims(os.fsencode(layout.claims), self._left_behind)
            opened.callback(self._claims.close)
            data.learn(settings.config)
            self._failed = Failed(os.fsencode(layout.failed), self._claims, sink, aside)
            self._done = Done(self._claims, aside, self._failed, sink, pulse)
            self._pending = Pending(pending.PENDING)
            fates = Fates(self._claims, self._pending, self._done, aside, settings, tell)
            self._batch = Batch(sink, tell, shares, fates, pulse)
            opened.callback(self._batch.close)
            reader = Reader(spool, self._claims.path, self._batch, settings, shares, data)
            self._taker = Taker(self._claims, self._batch, self._pending, fates, reader, aside, shares, settings)
            root = Inlet(watch.places[ROOT], DEFAULT_QUEUE)
            self._inlets = Inlets(watch, root, self._batch, aside, self._resumed)
            self._drain = Drain(
                self._taker,
                aside,
                watch.hints,
                shares,
                data,
                self._inlets,
                self._resumed,
                settings,
                Required(self._taker.look, pulse),
            )
            self._recovery = Recovery(spool, self._claims, sink, aside, self._done, self._resumed, settings)
            self._inlets.adopt_all(settings.config.queues)
            self.close = opened.pop_all().close

    # -- the directories -------------------------------------------------------------------------

    @property
    def recovered(self) -> bool:
        """What was left by the last session, or daemon, has been taken up."""
        return self._recovery.over

    def look_after(self) -> list[str]:
        """Mend what can be mended of the queue directories; returns what is wrong with the rest, as ``problems``."""
        self._inlets.check()
        return self.problems()

    def problems(self) -> list[str]:
        """What is wrong with the directories that are worked on, in words."""
        found = self._watch.health()
        if not self._claims.in_place():
            found.append(f"{os.fsdecode(self._claims.path)}: it was moved away")
        return found

    def degraded(self) -> str:
        """Which directories are not watched for want of a watch, in words; empty if all are."""
        return self._inlets.degraded()

    def _left_behind(self, path: bytes, why: str) -> None:
        reason = f"a handler left it behind, and it cannot be removed: {why}; remove it by hand"
        self._aside.stuck(path, "", reason)

    # -- one turn --------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Learn what has changed: the configuration, the room that there is, directories that are gone."""
        if self._settings.outdated:
            self._reconfigure()
        config = self._settings.config
        self._shares.configure(config.max_backlog, config.share)
        self._shares.count()
        if not self._inlets.forget_gone():
            raise Blinded
        self._inlets.poll()

    def let_go(self, claims: Sequence[str], *, failed: bool) -> None:
        """The jobs that worked on these kept files are over. ``failed``: they did not all succeed."""
        self._done.let_go(claims, failed=failed)

    def rescan_if(self, due: bool) -> None:
        """Look at everything, if it is time for that or a user who was held back has room again."""
        if not (self._shares.readmit() or due):
            return
        self._inlets.rescan()
        self._recovery.try_again()
        self._done.try_again()
        if self._failed.forgot:
            raise Blinded  # a new session finds them
        self._claims.litter.try_again()

    def take(self) -> bool:
        """Take in one batch, and put it on stable storage; whether there was anything to do."""
        self._take()
        worked = not self._batch.empty
        self.flush()
        self._done.forget()
        self.tidy()
        self._shares.count()
        return worked

    def flush(self) -> None:
        """Put the batch on stable storage, and close its files."""
        self._batch.flush()

    def tell(self, more: bool) -> None:
        """Say what files wait for, and which stay, if that is news. ``more``: there is something to take in."""
        queues = [inlet.queue for inlet in self._inlets if inlet.waits]
        self._data.tell_waiting(self._settings.config, queues, self._pending.unexplained, more=more)
        self._shares.tell_room(more=more)
        self._standing.tell(self._inlets, self._settings.config)

    def idle_until(self, more: bool) -> float:
        """When there is something to do again (monotonic clock), as far as it is known here; 0 if there is now."""
        if not self._recovery.over:
            return 0.0  # that takes no room
        stalled = self._taker.stalled and not (self._resumed and self._shares.room > 0)
        if (more and not stalled) or self._claims.litter.pending:
            return 0.0
        until = min(self._pending.later.next(), self._done.next, self._shares.next, self._inlets.next)
        return until if stalled else min([until, *(inlet.later.next() for inlet in self._inlets)])

    def has_work(self) -> bool:
        """Whether there is something to take that could be taken now if there were room."""
        now = time.monotonic()
        return (
            not self._recovery.over
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

    def finish(self, seconds: float) -> None:
        """Leave as little as possible for the next daemon; so long at most."""
        self._done.forget(now=True)
        self.tidy(seconds)

    def tidy(self, seconds: float = 0.0) -> None:
        """Remove some of what jobs have left behind: one step, or as many as there is time for."""
        end = time.monotonic() + seconds
        while self._claims.litter.pending:
            self._claims.litter.step()
            self._pulse.steps += 1
            if time.monotonic() >= end:
                break

    # -- inside ----------------------------------------------------------------------------------

    def _reconfigure(self) -> None:
        """From here on another configuration holds, and what waited for one may go on."""
        before, newest = self._settings.config, self._settings.newest
        self._data.learn(newest)
        self._settings.config = newest
        self._resumed.extend(self._pending.explain_again())
        self._inlets.adopt_configured(newest.queues)
        for inlet in self._inlets:
            if inlet.waits or _passed_over(before, inlet.queue) != _passed_over(newest, inlet.queue):
                inlet.cursor = listing.START

    def _take(self) -> None:
        """What was left before, claimed files whose time has come, and then the spool."""
        if not self._recovery.over:
            self._recovery.step()
            return
        self._resumed.extend(self._taker.advance_due())
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


def _passed_over(config: Config, queue: str) -> tuple[object, ...]:
    """What of the configuration may leave files of that queue in the spool."""
    own = config.queue(queue)
    return config.ignore, own.ignore, own.require
