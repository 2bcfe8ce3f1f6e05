"""How many more jobs of a lane, or of a queue, could start, were it not for what they need by name."""

from __future__ import annotations

from taskgated.core.capacity import ALL, Capacities, Capacity, QueuePlaces
from taskgated.core.doors import Doors
from taskgated.core.order import Lane


class Rooms:
    """By what is in use, and by the doors."""

    def __init__(self, capacities: Capacities, doors: Doors) -> None:
        self._capacities = capacities
        self._doors = doors

    def of(self, capacity: Capacity) -> int | None:
        """How many more jobs that take of it could start, if nothing else kept them; None: as many as there are."""
        rooms = [self._capacities.room(capacity)]
        if isinstance(capacity, QueuePlaces):
            rooms.append(self._doors.room(capacity.queue))
        return min((room for room in rooms if room is not None), default=None)

    def open(self, lane: Lane) -> bool:
        """Whether a job of that lane could start, if all together let it."""
        return all(self._some(capacity) for capacity in self._capacities.scarce(lane))

    @property
    def any(self) -> bool:
        """Whether all together let a job start, if none of its own keeps it."""
        return self._some(ALL)

    def _some(self, capacity: Capacity) -> bool:
        room = self.of(capacity)
        return room is None or room > 0
