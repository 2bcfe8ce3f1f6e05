"""The life of a daemon: in which phase it is, and with which status it exits."""

from __future__ import annotations

import enum
import os

from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop

EX_OK = os.EX_OK
EX_UNAVAILABLE = os.EX_UNAVAILABLE  # 69: no worker can be started
EX_IOERR = os.EX_IOERR  # 74: the database cannot be used
EX_TEMPFAIL = os.EX_TEMPFAIL  # 75: another daemon has this gate, or a directory cannot be made
EX_NOPERM = os.EX_NOPERM  # 77: the gate, or one of its directories, is another user's
EX_CONFIG = os.EX_CONFIG  # 78: the configuration is not usable; a restart would not help


class Phase(enum.Enum):
    STARTING = enum.auto()
    """Recovery is not done, no worker is up, or the spool is not watched."""
    SERVING = enum.auto()
    STOPPING = enum.auto()
    """It was told to stop: nothing is taken in or started any more."""


class Life:
    """``phase`` goes forward only. ``status``: what ``run`` returns when the loop has stopped."""

    def __init__(self, loop: Loop, journal: Journal) -> None:
        self._loop = loop
        self._journal = journal
        self.phase = Phase.STARTING
        self.status = EX_OK

    @property
    def starting(self) -> bool:
        return self.phase is Phase.STARTING

    @property
    def serving(self) -> bool:
        return self.phase is Phase.SERVING

    @property
    def stopping(self) -> bool:
        return self.phase is Phase.STOPPING

    def serve(self) -> None:
        self.phase = Phase.SERVING

    def stop(self) -> None:
        self.phase = Phase.STOPPING

    def end(self) -> None:
        """All is done that had to be done: the loop stops after this turn."""
        self._loop.stop()

    def give_up(self, why: str) -> None:
        """Nothing can be relied on any more: end at once, for a daemon that went on could accept what is lost later.
        Running jobs go on, and the next daemon finds them."""
        self._fail(EX_IOERR, Event.INTERNAL_ERROR, f"giving up: {why}")

    def no_workers(self, why: str) -> None:
        """Not one worker has ever come up, and none will."""
        self._fail(EX_UNAVAILABLE, Event.WORKERS_UNAVAILABLE, f"no worker can be started: {why}")

    @property
    def given_up(self) -> bool:
        """Nothing can be relied on any more, so nothing that is under way is waited for."""
        return self.status == EX_IOERR

    def _fail(self, status: int, event: Event, text: str) -> None:
        """The first reason counts."""
        if self.status == EX_OK:
            self.status = status
            self._journal.event(event, text, Priority.CRITICAL)
            self.end()
