"""What becomes of names that cannot be taken in: they are put aside, or wait, and each is told of once."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.core.job import to_text
from taskgated.errors import Trouble
from taskgated.intake.events import FileRefused, FileStuck, FileWaits, IntakeEvent
from taskgated.intake.reject import put_aside, sync
from taskgated.intake.told import Key, Told


class Aside:
    """The directory ``rejected`` and those who are told."""

    def __init__(self, rejected: bytes, tell: Callable[[IntakeEvent], None], told: Told) -> None:
        self._rejected = rejected
        self._tell = tell
        self._told = told
        self._unsynced = False

    def put(self, directory: int, path: bytes, name: bytes, queue: str, reason: str) -> bool:
        """Move ``path`` (relative to the open ``directory``) to ``rejected``; False if it stays, which is told."""
        try:
            moved = put_aside(self._rejected, directory, path, name, queue, reason)
        except OSError as error:
            place = to_text(self._rejected)
            self.stuck(name, queue, f"cannot be moved to {place}/: {error.strerror}; refused for: {reason}")
            return False
        if moved is None:
            return True  # whoever dropped it took it back
        self._unsynced = True
        self.free(name, queue)
        self._tell(FileRefused(to_text(name), queue, reason))
        return True

    def sync(self) -> None:
        """What was moved there is there after a power cut, too."""
        if self._unsynced:
            sync(self._rejected)
            self._unsynced = False

    def stuck(self, name: bytes, queue: str, reason: str) -> None:
        """Tell of a name that can be neither taken nor moved away, if that is news."""
        if self._told.news((queue, name)):
            self._tell(FileStuck(to_text(name), queue, reason))

    def waits(self, key: Key, name: bytes, queue: str, error: Trouble) -> float:
        """Tell of a file that cannot be judged now, if that is news; returns in how many seconds to try again.
        ``key``: its queue and name in the spool, or "" and its claim, until that is put by."""
        if self._told.news(key):
            self._tell(FileWaits(to_text(name), queue, str(error)))
        return self._told.pause(key)

    def free(self, name: bytes, queue: str) -> None:
        """A name is not in trouble (any more)."""
        self._told.over((queue, name))

    def done(self, claim: str) -> None:
        """Nor is a claim."""
        self._told.over(("", claim.encode("ascii")))
