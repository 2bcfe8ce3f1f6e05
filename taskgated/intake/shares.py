"""How much of the backlog may still be filled, by all and by each user: a flood by one leaves room for the others.

The store is asked what a user has queued only when what was left at its last answer is used up: until then that
grows by what intake itself takes in, and by nothing else but a job that is put back. A user who has used up the share
is *held back*: nothing more of that user's is taken out of the spool until a part of the share is free again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection

from taskgated.core.owner import Owner
from taskgated.host.names import Names
from taskgated.intake.events import Crowded, Paused, Resumed, Sink, Tell, Uncrowded

UNLIMITED = 2**62
ASK = 1.0
"""Seconds between two questions to the store about the same user."""
PART = 8
"""One such part of a share has to be free before a user who was held back may go on: each time, the whole spool is
looked through for what was passed over. One such part of the backlog has to be free before a pause is over."""


class Shares:
    """For the intake thread. ``exempt``: users (uids) who are not held back, the administrators of the gate."""

    def __init__(self, sink: Sink, tell: Tell, exempt: Collection[int], names: Names) -> None:
        self._sink = sink
        self._tell = tell
        self._exempt = exempt
        self._names = names
        self._backlog = self._share = UNLIMITED
        self._room = 0
        self._paused = False
        self._left: dict[str, int] = {}  # at the last answer, less what was taken in since
        self._ask_at: dict[str, float] = {}  # not before that, in monotonic seconds
        self._unstored: Counter[str] = Counter()  # taken in, and not in the store yet
        self._held: dict[str, Owner] = {}

    def configure(self, backlog: int, share: int) -> None:
        """What all, and what one user, may have queued."""
        if (backlog, share) != (self._backlog, self._share):
            self._backlog, self._share = backlog, share
            self._left.clear()
            self._ask_at.clear()

    @property
    def room(self) -> int:
        """How many more jobs all may have queued: as the store said at ``count``, less what was taken in since."""
        return self._room

    def count(self) -> None:
        """Ask the store how much room there is."""
        self._room = self._sink.room()

    def tell_room(self, *, more: bool) -> None:
        """Say that intake pauses, or goes on, if that is news. ``more``: there is something to take in. A backlog
        that is filled up again with each job that ends stays full, and is told of once."""
        if self._room <= 0 and more and not self._paused:
            self._paused = True
            self._tell(Paused(self._backlog))
        elif self._paused and self._room > 0 and (not more or self._room >= self._backlog // PART):
            self._paused = False
            self._tell(Resumed())

    def owner(self, uid: int) -> Owner:
        """Whose a file is. ``Trouble`` when that cannot be told now."""
        return Owner(self._names.owner(uid), uid)

    def room_of(self, owner: Owner, wanted: int = 1) -> int:
        """How many more jobs of that user may be queued; asked anew, now and then, when fewer than ``wanted``."""
        if owner.uid in self._exempt:
            return UNLIMITED
        name = owner.name
        if self._left.get(name, 0) < wanted and time.monotonic() >= self._ask_at.get(name, 0.0):
            self._left[name] = self._share - self._sink.queued_by(name) - self._unstored[name]
            self._ask_at[name] = time.monotonic() + ASK
        return max(0, self._left.get(name, 0))

    def spend(self, owner: Owner, jobs: int) -> None:
        """So many of that user's were taken in."""
        self._room -= jobs
        if owner.uid not in self._exempt:
            self._unstored[owner.name] += jobs
            self._left[owner.name] = self._left.get(owner.name, 0) - jobs

    def stored(self) -> None:
        """All that was taken in is in the store."""
        self._unstored.clear()

    def admits(self, owner: Owner) -> bool:
        """Whether there is room for that user, who is held back from now on if not."""
        if self.room_of(owner) > 0:
            return True
        if owner.name not in self._held:
            self._held[owner.name] = owner
            self._tell(Crowded(owner.name, self._share))
        return False

    def passes_over(self, directory: int, name: bytes) -> bool:
        """Whether a file is of a user who is held back; there is a look at everything when that is over."""
        if not self._held:
            return False
        try:
            return self._names.last(os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid) in self._held
        except OSError:
            return False

    def readmit(self) -> bool:
        """Whether a user who was held back has room again; then the spool is to be looked through."""
        enough = max(1, self._share // PART)
        gone = [name for name, owner in self._held.items() if self.room_of(owner, enough) >= enough]
        for name in gone:
            del self._held[name]
            self._tell(Uncrowded(name))
        return bool(gone)

    @property
    def next(self) -> float:
        """When ``readmit`` may have something to say (monotonic clock); infinity if never."""
        return min((self._ask_at.get(name, 0.0) for name in self._held), default=float("inf"))
