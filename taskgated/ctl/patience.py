"""The wait for a job goes on over restarts, upgrades and crashes of the daemon, until the job is over."""

from __future__ import annotations

import argparse
import time

from taskgated.ctl.client import CallError, Client, Gone, Unreachable
from taskgated.ctl.terminal import warn
from taskgated.protocol.replies import UNAVAILABLE

AGAIN = 0.5
"""Seconds between attempts to reach the daemon again."""
STEADY = 10.0
"""Seconds that a connection has to last before the next loss is another one."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """``--patience``, for each verb that waits."""
    what = "how long the daemon may be away meanwhile, as in a restart (default: for ever)"
    parser.add_argument("--patience", type=_duration, metavar="DURATION", help=what)


def _duration(text: str) -> float:
    from taskgated.language.units import duration  # most commands need none of the formats

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def passes(error: Unreachable | CallError) -> bool:
    """Whether the same may well be answered later: the daemon has gone, or what it would have to read cannot be read
    now."""
    return isinstance(error, Gone) or (isinstance(error, CallError) and error.kind == UNAVAILABLE)


class Patience:
    """How long a daemon that was there may be away: ``limit`` seconds, or for ever (None).

    For ever is right for most: the jobs are not lost, and people who do not hear of its end would submit one again.
    """

    def __init__(self, gate: Client, limit: float | None) -> None:
        self._gate = gate
        self._limit = limit
        self._lost_at: float | None = None
        self._back_at = 0.0
        self._said = False

    def answered(self) -> None:
        """All is well again."""
        self._lost_at = None
        self._say_back()

    def lost(self, error: Unreachable | CallError) -> None:
        """There is no connection, or no answer now: returns when it is worth another try; raises ``error`` when it
        takes too long."""
        now = time.monotonic()
        if self._lost_at is None or now - self._back_at > STEADY:
            self._lost_at = now
            self._said = True
            warn(f"{error}; trying again")
        while True:
            if self._limit is not None and time.monotonic() - self._lost_at >= self._limit:
                raise error
            time.sleep(AGAIN)
            self._back_at = time.monotonic()
            if isinstance(error, CallError):
                return
            try:
                self._gate.reconnect()
            except Unreachable:
                continue
            self._say_back()
            return

    def _say_back(self) -> None:
        if self._said:
            self._said = False
            warn("the daemon answers again")
