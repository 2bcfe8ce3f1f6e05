"""Names that cannot be taken in: they are put aside, or they wait, and each is told of once."""

from __future__ import annotations

from taskgated.errors import Trouble
from taskgated.intake.events import FileRefused, FileStuck, FileWaits, Tell
from taskgated.intake.reject import put_aside, sync
from taskgated.intake.troubled import Key, Troubled
from taskgated.text import to_text


class Aside:
    """Moves files to the directory ``rejected``, and tells of all that is not taken in."""

    def __init__(self, rejected: bytes, tell: Tell, troubled: Troubled) -> None:
        self._rejected = rejected
        self._tell = tell
        self._troubled = troubled
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
        """Put on stable storage what was moved there."""
        if self._unsynced:
            sync(self._rejected)
            self._unsynced = False

    def stuck(self, name: bytes, queue: str, reason: str) -> None:
        """Tell of a name that can be neither taken nor moved away, if that is news."""
        if self._troubled.news((queue, name)):
            self._tell(FileStuck(to_text(name), queue, reason))

    def waits(self, key: Key, name: bytes, queue: str, error: Trouble) -> float:
        """Tell of a file that cannot be judged now, if that is news; returns in how many seconds to try again.
        ``key``: its queue and name in the spool, or "" and its claim, until that is put by."""
        if self._troubled.news(key):
            self._tell(FileWaits(to_text(name), queue, str(error)))
        return self._troubled.pause(key)

    def free(self, name: bytes, queue: str) -> None:
        """A name is not in trouble (any more)."""
        self._troubled.over((queue, name))

    def done(self, claim: str) -> None:
        """A claim is done with, and so is its trouble."""
        self._troubled.over(("", claim.encode("ascii")))
