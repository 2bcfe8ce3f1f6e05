"""When to look at the jobs whose time has come."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.host.clock import MICROSECONDS
from taskgated.host.loop import Loop, Timer


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

    def _ring(self) -> None:
        self._timer = None
        self._look()
