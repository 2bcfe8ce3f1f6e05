"""How long a start may take, and what becomes of it then.

A disk that is full, or a large spool, is waited for: the manager is asked for more time. What started the gate
(``systemctl start``, the upgrade of a package) waits as well, so not for ever. After ``PATIENCE`` a daemon that
cannot open what it needs ends, with words; one that serves what it can says so, and goes on trying.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from taskgated.errors import StoreTrouble
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.systemd import Systemd

PATIENCE = 120.0
"""Seconds from the start until it is said how it stands, to all that waits for it. Ten ends, each after so long, are
no reason for the manager to give the service up (``StartLimitIntervalSec=`` in the unit is less)."""
AGAIN = 1.0
"""Seconds between attempts at a disk that refuses."""
A_STEP = 60.0
"""Seconds that the manager is asked for while there is progress. A commit, with its sync, may take as long."""

T = TypeVar("T")


class Start:
    """The start of one daemon."""

    def __init__(self, systemd: Systemd, journal: Journal) -> None:
        self._systemd = systemd
        self._journal = journal
        self._ends = time.monotonic() + PATIENCE
        self._told = False
        self._asked = float("-inf")
        self.announced = False
        """The manager was told that the start is over. (``READY=1``; whether the gate is ready says its status.)"""

    def insist(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns when nothing is in its way; raises its ``StoreTrouble`` when that takes too
        long."""
        while True:
            try:
                return attempt()
            except StoreTrouble as error:
                self._systemd.extend(10 * AGAIN)
                if self.late:
                    text = f"{error}; given up after {PATIENCE:.0f} s, for the service manager to start it again"
                    raise StoreTrouble(text) from None
                if not self._told:
                    self._told = True
                    text = f"{error}; it is tried every second"
                    self._journal.event(Event.STORE_TROUBLE, text, Priority.CRITICAL)
                    self._journal.flush()
                    self._systemd.status(f"starting: {error}")
                time.sleep(AGAIN)  # there is nothing else to do yet, and a signal still ends us by itself

    def goes_on(self) -> None:
        """The database of an earlier version is being brought up to date. That comes to an end; a manager
        that stopped it for its length would have it begin again at each start."""
        if (now := time.monotonic()) - self._asked >= AGAIN:
            self._asked = now
            self._systemd.extend(A_STEP)
            self._systemd.status("starting: the database is being brought up to date")

    @property
    def late(self) -> bool:
        """The start has had its time."""
        return time.monotonic() >= self._ends

    def over(self, status: str) -> None:
        """Nobody shall wait any longer for the start."""
        self.announced = True
        self._systemd.ready(status)
