"""When to look at the jobs whose time has come."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.host.clock import MICROSECONDS, WALL_CHECK
from taskgated.host.loop import Loop, Timer
from taskgated.store.waking import Coming


class Alarm:
    """``clock``: the steady clock of the store, in microseconds. ``look`` is called when it is time."""

    def __init__(self, loop: Loop, clock: Callable[[], int], look: Callable[[], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._look = look
        self._timer: Timer | None = None
        self._at = 0.0

    def set(self, delay: float) -> None:
        """In that many seconds, or earlier."""
        at = self._clock() / MICROSECONDS + delay
        if self._timer is not None and self._timer.call is not None and self._at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.after(delay, self._ring)

    def comes(self, coming: Coming) -> None:
        """When that says, or earlier."""
        if coming.steady is not None:
            self.set(min(WALL_CHECK, (coming.steady - self._clock()) / MICROSECONDS))
        if coming.until_date is not None:
            self.set(min(WALL_CHECK, coming.until_date))

    def stop(self) -> None:
        """It is not time, for all that is known."""
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        self._timer = None
        self._look()
