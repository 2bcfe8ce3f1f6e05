"""Whose the directories are that intake works in: root may have made or changed one by mistake since the start."""

from __future__ import annotations

from collections.abc import Iterable

from taskgated.host import directories
from taskgated.host.paths import Layout
from taskgated.intake.events import Tell, WrongOwners


class Owners:
    """Tells of directories that belong to another user, each time that they change."""

    def __init__(self, layout: Layout, tell: Tell) -> None:
        self._layout = layout
        self._tell = tell
        self._wrong: tuple[str, ...] = ()

    def check(self, queues: Iterable[str]) -> bool:
        """Tell of what is wrong now, or of its end; whether that is news."""
        wrong = tuple(directories.wrong_owners(self._layout, queues))
        if wrong == self._wrong:
            return False
        self._wrong = wrong
        self._tell(WrongOwners(wrong))
        return True
