"""What lies in one directory, name by name: each is taken in, put aside, passed over or left for later."""

from __future__ import annotations

import os
import time
from collections import deque
from functools import partial

from taskgated.errors import Refused, Trouble
from taskgated.intake import listing
from taskgated.intake.aside import Aside
from taskgated.intake.claimed import Claimed
from taskgated.intake.data import DataQueues
from taskgated.intake.hints import Hints
from taskgated.intake.inlet import Inlet
from taskgated.intake.inlets import Inlets
from taskgated.intake.place import ROOT
from taskgated.intake.required import Required
from taskgated.intake.settings import Settings
from taskgated.intake.settle import Opened
from taskgated.intake.shares import Shares
from taskgated.intake.take import Taker
from taskgated.intake.watch import CANARY
from taskgated.language.bynames import companion, left_alone
from taskgated.language.config import Require

CATCH_UP = 0.1
"""Seconds until a file is looked at again that has to let older ones of its name go first."""
LONG = 0.25
"""Seconds with files that are not taken, after which other directories have their turn, and a question for a sign of
life has its answer: a hundred thousand files that wait for their companions fill no batch."""


class Drain:
    """``resumed``: claimed files that come before what is still in the spool."""

    def __init__(
        self,
        taker: Taker,
        aside: Aside,
        hints: Hints,
        shares: Shares,
        data: DataQueues,
        inlets: Inlets,
        resumed: deque[Claimed],
        settings: Settings,
        required: Required,
    ) -> None:
        self._required = required
        self._claims = 0
        self._taker = taker
        self._aside = aside
        self._hints = hints
        self._shares = shares
        self._data = data
        self._inlets = inlets
        self._resumed = resumed
        self._settings = settings

    def empty(self, inlet: Inlet) -> None:
        """Take in what an inlet has, as far as the batch goes."""
        if inlet.active is not None:
            if not self._taker.advance(inlet.active):
                inlet.active = None
            return
        before, in_vain = self._required.pieces, 0.0
        while inlet.active is None and not self._taker.full and not self._settings.outdated:
            if self._required.took_long(before):
                return  # other directories have their turn
            began, claims = time.monotonic(), self._claims
            if not inlet.names:
                self._refill(inlet)
            if not inlet.names:
                inlet.lacking.end()
                inlet.alone.end()
                return
            self._decide(inlet, inlet.names.popleft())
            if self._claims == claims:  # a batch that fills up ends by itself, and is the better the more is in it
                in_vain += time.monotonic() - began
            if in_vain >= LONG:
                return

    def _refill(self, inlet: Inlet) -> None:
        """More names: the next of a scan; else such as wait to be looked at again, and what was heard of."""
        if inlet.cursor is None:
            inlet.waits = inlet.saw
            again, too_many = inlet.later.due()
            inlet.names.extend(again)
            inlet.renamed.clear()
            everything = self._hear(inlet)
            inlet.cursor = listing.START if everything or too_many else None
        if inlet.cursor is None:
            return
        first = inlet.cursor == listing.START
        if first:
            inlet.saw = False
            inlet.lacking.begin()
            inlet.alone.begin()
            self._hear(inlet)  # the scan sees all that was heard of until now
            inlet.names.clear()
        try:
            passed = partial(_passed_over, inlet) if first else None
            chunk = listing.oldest(inlet.place.fd, inlet.cursor, passed=passed)
        except OSError as error:
            if inlet.place.key == ROOT:
                raise
            self._aside.stuck(inlet.place.key, inlet.queue, f"cannot be read: {error.strerror}")
            chunk = []
        inlet.as_of = time.time()
        inlet.names.extend(name for _, name in chunk)
        inlet.cursor = chunk[-1] if len(chunk) == listing.CHUNK else None

    def _hear(self, inlet: Inlet) -> bool:
        """Add the names that were heard of; whether everything is to be looked at."""
        names, everything = self._hints.heard(inlet.place.key)
        inlet.as_of = time.time()
        inlet.names.extend(names)
        inlet.renamed.update(name for name, renamed in names.items() if renamed)
        return everything

    def _is_no_file(self, inlet: Inlet, name: bytes) -> bool:
        """Whether it is the name of a queue, or of what is in the making or to be ignored, or is ours."""
        inlet.lacking.discard(name)
        if inlet.place.key == ROOT and (listing.reserved(name) or self._inlets.is_queue(inlet.place.fd, name)):
            return True
        config = self._settings.config
        require = config.queue(inlet.queue).require
        file = None if require is None else self._required.file_of(inlet.place.fd, name, require)
        if left_alone(name, inlet.queue, config, file):
            inlet.alone.add(name)
            return True
        inlet.alone.discard(name)
        return False

    def _as_of(self, inlet: Inlet, name: bytes) -> float | None:
        """From when its rest is measured; None for one that has just come by rename, and needs none."""
        if name in inlet.renamed:
            inlet.renamed.discard(name)
            return None
        return inlet.as_of

    def _decide(self, inlet: Inlet, name: bytes) -> None:
        """Look at one name, and take it in, put it aside or leave it for later."""
        directory = inlet.place.fd
        if self._is_no_file(inlet, name):
            inlet.later.forget(name)
            return
        as_of = self._as_of(inlet, name)
        if self._data.lacks_handler(self._settings.config.queue(inlet.queue)):
            self._keep_waiting(inlet, name)
            return
        if self._shares.passes_over(directory, name):
            inlet.later.forget(name)
            return
        queue = self._settings.config.queue(inlet.queue)
        require = queue.require
        beside: bytes | None = None
        try:
            if require is not None and (file := self._required.file_of(directory, name, require)) is not None:
                self._companion(inlet, name, file)
                return
            beside = None if require is None else companion(name, require)
            # What its queue never takes is refused, whole or not: its companion may never come.
            takes = queue.takes(name)
            if (
                require is not None
                and takes
                and (rest := self._required.waits(directory, name, require, inlet.later, inlet.lacking))
            ):
                inlet.later.again(name, rest)
                return
            found = self._taker.approach(directory, name, inlet.queue, inlet.later, as_of)
            if isinstance(found, Opened) and require is not None:
                found = self._whole(inlet, name, found, require)
            if isinstance(found, Opened) and not self._admits(found):
                found = None
        except Refused as error:
            inlet.later.forget(name)
            self._taker.refuse(directory, name, inlet.queue, error)
            if beside is not None:
                self._taker.remove_companion(directory, beside, inlet.queue)
            return
        except Trouble as error:
            inlet.later.again(name, self._aside.waits((inlet.queue, name), name, inlet.queue, error))
            return
        if isinstance(found, Opened) and self._comes_after_others(inlet, name):
            found.close()
            found = CATCH_UP
        if isinstance(found, Opened) and self._settings.outdated:
            found.close()  # what it is, is to be decided by the newest configuration that was there before the file
            inlet.names.appendleft(name)
        elif isinstance(found, Opened):
            inlet.later.forget(name)
            if beside is not None:
                inlet.later.forget(beside)
            self._claims += 1
            inlet.active = self._taker.claim(
                directory, name, inlet.queue, found, beside, nested=inlet.place.key != ROOT
            )
        elif found is None:
            inlet.later.forget(name)
            self._aside.free(name, inlet.queue)
        else:
            inlet.later.again(name, found)

    def _admits(self, opened: Opened) -> bool:
        """Whether there is room for its owner; if not, it is closed. ``Trouble`` when it cannot be told whose it is:
        so it rests in the spool, where it keeps nothing else waiting."""
        admitted = False
        try:
            admitted = self._shares.admits(self._shares.owner(opened.stat.st_uid))
        finally:
            if not admitted:
                opened.close()
        return admitted

    def _comes_after_others(self, inlet: Inlet, name: bytes) -> bool:
        """Whether older files of that name have to go first; those that can do so now."""
        older, wait = self._taker.catch_up(name, inlet.queue)
        self._resumed.extend(older)
        return wait or bool(older)

    def _companion(self, inlet: Inlet, name: bytes, file: bytes) -> None:
        """A companion was heard of: its file is to be looked at. Raises ``Refused`` for one that none comes to."""
        if self._required.is_file(inlet.place.fd, file):
            inlet.later.forget(name)
            inlet.names.appendleft(file)
        else:
            inlet.later.again(name, self._required.stray(inlet.place.fd, name, file, inlet.later))

    def _whole(self, inlet: Inlet, name: bytes, opened: Opened, require: Require) -> Opened | float:
        """The opened file if it may be taken, as far as that is up to its companion; else it is closed. Raises
        ``Refused`` and ``Trouble``."""
        rest = None
        try:
            self._taker.check_size(name, inlet.queue, opened)
            settle_time = self._settings.config.settle_time
            rest = self._required.fits(inlet.place.fd, name, opened, require, inlet.later, settle_time)
        finally:
            if rest != 0.0:
                opened.close()
        return rest or opened

    def _keep_waiting(self, inlet: Inlet, name: bytes) -> None:
        """Leave a file in the spool until there is a handler for it; so wait, in a queue directory, all beside it."""
        inlet.later.forget(name)
        try:
            os.stat(name, dir_fd=inlet.place.fd, follow_symlinks=False)
        except OSError:
            return
        inlet.saw = inlet.waits = True
        if inlet.place.key != ROOT:
            inlet.names.clear()
            inlet.cursor = None


def _passed_over(inlet: Inlet, name: bytes) -> None:
    """A look at everything has passed over this file, whose name is nobody's; or it is the one of ours."""
    if name != CANARY:
        inlet.alone.add(name)
