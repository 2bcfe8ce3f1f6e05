"""What lies in one directory, name by name: each is taken in, put aside, passed over or left for later."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from taskgated.config import Config
from taskgated.errors import Refused, Trouble
from taskgated.intake import scan
from taskgated.intake.data import DataQueues
from taskgated.intake.settle import Opened
from taskgated.intake.shares import Shares
from taskgated.intake.take import Taker
from taskgated.intake.taken import Inlet, Taken
from taskgated.intake.watch import ROOT, Hints

CATCH_UP = 0.1
"""Seconds until a file is looked at again that has to let older ones of its name go first."""


class Drain:
    """``is_queue``: whether a name in the spool, which is open, is a queue directory. ``resumed``: claimed
    files that come before what is still in the spool. ``newest``: the configuration that was given last."""

    def __init__(
        self,
        taker: Taker,
        hints: Hints,
        shares: Shares,
        data: DataQueues,
        is_queue: Callable[[int, bytes], bool],
        resumed: deque[Taken],
        newest: Callable[[], Config],
    ) -> None:
        self._taker = taker
        self._hints = hints
        self._shares = shares
        self._data = data
        self._is_queue = is_queue
        self._resumed = resumed
        self._newest = newest

    def empty(self, inlet: Inlet) -> None:
        """Take in what an inlet has, as far as the batch goes."""
        if inlet.active is not None:
            if not self._taker.advance(inlet.active):
                inlet.active = None
            return
        while inlet.active is None and not self._taker.full and self._taker.config is self._newest():
            if not inlet.names:
                self._refill(inlet)
            if not inlet.names:
                return
            self._look(inlet, inlet.names.popleft())

    def _refill(self, inlet: Inlet) -> None:
        """More names: the next of a scan; else such as wait to be looked at again, and what was heard of."""
        if inlet.cursor is None:
            inlet.waits = inlet.saw
            again, too_many = inlet.later.due()
            names, everything = self._hints.take(inlet.place.key)
            inlet.names.extend(again + names)
            inlet.cursor = scan.START if everything or too_many else None
        if inlet.cursor is None:
            return
        if inlet.cursor == scan.START:
            inlet.saw = False
            self._hints.take(inlet.place.key)  # the scan sees all that was heard of until now
        try:
            chunk = scan.oldest(inlet.place.fd, inlet.cursor)
        except OSError as error:
            if inlet.place.key == ROOT:
                raise
            self._taker.aside.stuck(inlet.place.key, inlet.queue, f"cannot be read: {error.strerror}")
            chunk = []
        inlet.names.extend(name for _, name in chunk)
        inlet.cursor = chunk[-1] if len(chunk) == scan.CHUNK else None

    def _look(self, inlet: Inlet, name: bytes) -> None:
        """Look at one name, and take it in, put it aside or leave it for later."""
        directory = inlet.place.fd
        if inlet.place.key == ROOT and (scan.reserved(name) or self._is_queue(directory, name)):
            inlet.later.forget(name)
            return
        if self._data.lacks_handler(self._taker.config.queue(inlet.queue)):
            self._keep_waiting(inlet, name)
            return
        if self._shares.passes_over(directory, name):
            inlet.later.forget(name)
            return
        try:
            found = self._taker.look(directory, name, inlet.later)
        except Refused as error:
            inlet.later.forget(name)
            self._taker.refuse(directory, name, inlet.queue, error)
            return
        except Trouble as error:
            inlet.later.again(name, self._taker.aside.waits((inlet.queue, name), name, inlet.queue, error))
            return
        if isinstance(found, Opened) and not self._shares.admits(found.stat.st_uid):
            found.close()
            found = None
        if isinstance(found, Opened):
            older, wait = self._taker.catch_up(name, inlet.queue)
            if older or wait:
                self._resumed.extend(older)
                found.close()
                found = CATCH_UP
        if isinstance(found, Opened) and self._taker.config is not self._newest():
            found.close()  # what it is, is to be decided by the newest configuration that was there before the file
            inlet.names.appendleft(name)
        elif isinstance(found, Opened):
            inlet.later.forget(name)
            inlet.active = self._taker.claim(directory, name, inlet.queue, found)
        elif found is None:
            inlet.later.forget(name)
            self._taker.aside.free(name, inlet.queue)
        else:
            inlet.later.again(name, found)

    def _keep_waiting(self, inlet: Inlet, name: bytes) -> None:
        """A file that waits for a handler; and with it, if this is no place of queues, all that lie beside it."""
        inlet.later.forget(name)
        try:
            os.stat(name, dir_fd=inlet.place.fd, follow_symlinks=False)
        except OSError:
            return
        inlet.saw = inlet.waits = True
        if inlet.place.key != ROOT:
            inlet.names.clear()
            inlet.cursor = None
