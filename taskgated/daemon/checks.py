"""What the health check looks at, one thing each. A check is asked to ``look`` now and then; ``problems`` is what it
found the last time. What it finds is told once in the journal. Only ``Answers`` keeps the watchdog from being
fed: for all else a restart could do no more than is done here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.protocol.door import Door


class Check(Protocol):
    problems: list[str]

    def look(self, elapsed: float) -> None:
        """``elapsed``: seconds that the daemon has lived through since the last time."""


class _Telling:
    """Tells of what was not found the last time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.problems: list[str] = []

    def _found(self, problems: Iterable[str]) -> None:
        before, self.problems = self.problems, list(problems)
        for problem in self.problems:
            if problem not in before:
                self._journal.event(Event.INTERNAL_ERROR, problem, Priority.ERROR)


class Answers(_Telling):
    """Which loops go round. Each of them has to have shown progress since the last look."""

    def __init__(self, journal: Journal, asked: Sequence[tuple[str, Callable[[], bool]]]) -> None:
        """``asked``: whether it did, and in words that it did not."""
        super().__init__(journal)
        self._asked = asked

    def look(self, elapsed: float) -> None:
        self._found([silent for silent, responsive in self._asked if not responsive()])


class Descriptors(_Telling):
    """Whether a file could be opened now. Without a descriptor nobody can even connect to ask what is wrong."""

    def look(self, elapsed: float) -> None:
        try:
            os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
            self._found([])
        except OSError as error:
            self._found([f"the daemon can open nothing more: {error.strerror}"])


class Doors(_Telling):
    """Whether the sockets are at their paths. What clears /run takes them along, and then nobody can ask, and no new
    worker can come."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._doors: list[Door] = []

    def add(self, door: Door) -> None:
        self._doors.append(door)

    def look(self, elapsed: float) -> None:
        lost = []
        for door in self._doors:
            try:
                if door.look():
                    text = f"{door.path} was gone, so that nobody could connect; it has been made again"
                    self._journal.event(Event.SOCKET_REMADE, text, Priority.WARNING)
            except OSError as error:
                lost.append(f"{door.path} is gone, and cannot be made again: {error.strerror}")
        self._found(lost)


class Spell:
    """Something that may be wrong for a while: the journal hears of its beginning, and of its end."""

    def __init__(
        self, now: Callable[[], str], begins: Callable[[str], None], ends: Callable[[], None] = lambda: None
    ) -> None:
        """``now``: what is wrong, in words; "" when nothing is."""
        self._now = now
        self._begins = begins
        self._ends = ends
        self._last = ""

    def look(self) -> None:
        now = self._now()
        if now != self._last:
            self._last = now
            if now:
                self._begins(now)
            else:
                self._ends()
