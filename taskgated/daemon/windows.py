"""The time windows of queues: outside of them nothing of a queue starts, by the wall clock.

The wall clock may be set, and the host may get another time zone: what was found is looked at again within
``WALL_CHECK``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from taskgated.core.doors import Shut
from taskgated.core.gate import Gate
from taskgated.core.kinds import Kind
from taskgated.core.reasons import OutsideWindows
from taskgated.core.window import View, Window, look
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.in_force import InForce
from taskgated.events import Event
from taskgated.host.clock import MICROSECONDS, WALL_CHECK
from taskgated.host.journal import Journal, Priority
from taskgated.host.zones import Zones
from taskgated.text import counted


class PutsBack:
    """Ends what runs of a queue, to run again later; said again, it changes nothing."""

    def __init__(self, gate: Gate, conductor: Conductor, journal: Journal) -> None:
        self._gate = gate
        self._conductor = conductor
        self._journal = journal

    def __call__(self, queue: str) -> None:
        if stops := self._gate.attempts.put_back(queue):
            number = counted(len(stops), "job")
            text = f"queue {queue} has closed: ending {number}, to be put back, or to fail if it may not run again"
            self._journal.event(Event.WINDOW_CLOSED, text, Priority.NOTICE, queue=queue)
            self._conductor.do(stops)


class Windows:
    """A part of the doorkeeper."""

    kind: ClassVar[Kind] = Kind.WINDOW

    def __init__(self, in_force: InForce, zones: Zones, put_back: Callable[[str], None]) -> None:
        """``put_back``: ends what runs of a queue, see ``PutsBack``; it may be called again and again."""
        self._in_force = in_force
        self._zones = zones
        self._put_back = put_back
        self._seen: dict[str, tuple[Sequence[Window], View]] = {}

    def queues(self) -> Iterable[str | None]:
        named = [queue.name for queue in self._in_force.now.queues.values() if queue.windows]
        if named and self._zones.refresh():
            self._seen.clear()
        self._seen = {name: seen for name, seen in self._seen.items() if name in named}
        return named

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        view = self._view(queue, now.wall)
        again = WALL_CHECK if view.until is None else (view.until - now.wall) / MICROSECONDS
        if view.open:
            return Look(None, again)
        left = None if view.opens is None else view.opens - now.wall
        then = partial(self._put_back, queue) if view.stop else None
        return Look(Shut(OutsideWindows(queue, view.opens, left)), again, then)

    def _view(self, queue: str, now: int) -> View:
        windows = self._in_force.now.queue(queue).windows
        seen, view = self._seen.get(queue, ((), None))
        if view is None or seen is not windows or not view.holds(now):
            view = look(windows, now, self._zones)
            self._seen[queue] = windows, view
        return view
