"""Time windows: whether a queue is open at an instant, and when that may be otherwise.

A window is open when the last time at which it ``opens`` is later than the last time at which it ``closes``; it is
closed when these are the same, and before it first opens. Of several windows one that is open is enough.

Instants are microseconds since the epoch, as the wall clock has them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from taskgated.core.calendar import Calendar

Zones = Callable[[str | None], tzinfo]
"""A time zone by its name, and that of the host by None."""

ENOUGH = 1000
"""So many openings that are closings as well are passed over in one look; it is looked again after the last one."""


class AtClose(enum.StrEnum):
    """What becomes of jobs that run when a window closes: nothing, or they are ended and put back."""

    LEAVE = "leave"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Window:
    opens: Calendar
    closes: Calendar
    at_close: AtClose = AtClose.LEAVE


@dataclass(frozen=True, slots=True)
class View:
    """What holds of some windows from ``since`` until ``until``, which is not in it; None: for ever.

    ``open``: whether one is open. ``opens``: when one opens next at the earliest, if none is; None: none ever does.
    ``stop``: none is open, and the one that was open last says that nothing runs on.
    """

    open: bool
    since: int | None
    until: int | None
    opens: int | None = None
    stop: bool = False

    @property
    def shut_for_good(self) -> bool:
        return not self.open and self.opens is None

    def holds(self, now: int) -> bool:
        """Whether it still does, or does again, if the clock was set meanwhile."""
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


def look(windows: Sequence[Window], now: int, zones: Zones) -> View:
    """What holds of them at that instant. There is at least one."""
    views = [_look(window, now, zones) for window in windows]
    since = max((view.since for view in views if view.since is not None), default=None)
    until = min((view.until for view in views if view.until is not None), default=None)
    if any(view.open for view in views):
        return View(True, since, until)
    opens = min((view.opens for view in views if view.opens is not None), default=None)
    ends = [end for window in windows if (end := _end(window, now, zones)) is not None]
    return View(False, since, until, opens, max(ends, default=(0, False))[1])


def opens_ever(window: Window, zones: Zones) -> bool:
    """Whether it may open at some time, past or future: False is certain."""
    return window.opens.elapses(zones(window.opens.zone)) and not window.opens.within(window.closes)


def _look(window: Window, now: int, zones: Zones) -> View:
    opens, closes = zones(window.opens.zone), zones(window.closes.zone)
    opened, closed = window.opens.latest(now, opens), window.closes.latest(now, closes)
    since = max((at for at in (opened, closed) if at is not None), default=None)
    if opened is not None and (closed is None or opened > closed):
        return View(True, since, window.closes.following(now, closes))
    at = window.opens.following(now, opens)
    for _ in range(ENOUGH):
        if at is None or window.closes.latest(at, closes) != at:
            break
        at = window.opens.following(at, opens)
    return View(False, since, at, at)


def _end(window: Window, now: int, zones: Zones) -> tuple[int, bool] | None:
    """When a window that is closed was closed last, and whether nothing runs on then; None: it never was open."""
    opened = window.opens.latest(now, zones(window.opens.zone))
    closed = None if opened is None else window.closes.following(opened - 1, zones(window.closes.zone))
    return None if closed is None else (closed, window.at_close is AtClose.STOP)
