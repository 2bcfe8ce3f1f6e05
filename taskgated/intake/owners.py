"""Whose the directories are that intake works in: root may have made or changed one by mistake since the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from taskgated import directories
from taskgated.intake.events import IntakeEvent, WrongOwners
from taskgated.paths import Layout


class Owners:
    def __init__(self, layout: Layout, tell: Callable[[IntakeEvent], None]) -> None:
        self._layout = layout
        self._tell = tell
        self._wrong: tuple[str, ...] = ()

    def look(self, queues: Iterable[str]) -> bool:
        """Tell of what is wrong now, or of its end; whether that is news."""
        wrong = tuple(directories.wrong_owners(self._layout, queues))
        if wrong == self._wrong:
            return False
        self._wrong = wrong
        self._tell(WrongOwners(wrong))
        return True
