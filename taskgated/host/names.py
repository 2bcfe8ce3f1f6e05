"""Whose a uid is, by name (``core/owner.py``), asked again and again: of each file that comes, of each caller.

Users of the host itself are read from passwd(5), where the host asks that first: that keeps nobody waiting. Who is
not there is asked for, and each answer holds for a while. As long as the user database cannot be asked, what it said
last holds on; whom it was never asked for cannot be told then. Nothing is remembered from one daemon to the next.

Several uids may have one name: they are one owner. Of several names with one uid that which the database gives for
the uid is the owner's (getpwuid(3)), and the others mean the same.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Mapping

from taskgated.core.owner import number_of, owner_of
from taskgated.errors import Trouble
from taskgated.host import users

KNOWN = 10_000
"""Uids whose names are remembered. A user may have 65,536 of them for containers (subuid(5))."""


NOT_ASKED = float("-inf")
"""When that was said which was read: it is read again before it is asked for, and so is never fresh."""


class Names:
    """For all threads. ``unnamed``: uids that stand for themselves, whoever they are."""

    def __init__(self, unnamed: Collection[int] = ()) -> None:
        self.unnamed = frozenset(unnamed)
        self._local = _Local()
        self._lock = threading.Lock()
        self._said: dict[int, tuple[str, float]] = {}  # who it is, and when that was said; the oldest first

    def owner(self, uid: int) -> str:
        """Whose files have that uid. ``Trouble`` when that cannot be told now; it may take ``users.PATIENCE``."""
        known = self.at_hand(uid)
        if known is not None:
            return known
        try:
            said = owner_of(uid, users.name(uid))
        except Trouble:
            if (last := self.last(uid)) is not None:
                return last
            raise
        self._remember(uid, said, time.monotonic())
        return said

    def at_hand(self, uid: int) -> str | None:
        """The same if nobody need be waited for; else None."""
        if uid in self.unnamed:
            return str(uid)
        local = self._local.name(uid)
        if local is not None:
            owner = owner_of(uid, local)
            if self._said.get(uid) != (owner, NOT_ASKED):
                self._remember(uid, owner, NOT_ASKED)
            return owner
        said, at = self._said.get(uid, ("", NOT_ASKED))
        return said if time.monotonic() - at < users.FRESH else None

    def last(self, uid: int) -> str | None:
        """What ``owner`` would say, or has said last, however long ago; None if it was not asked for that uid."""
        known = self.at_hand(uid)
        return known if known is not None else self._said.get(uid, (None, 0.0))[0]

    def _remember(self, uid: int, owner: str, at: float) -> None:
        with self._lock:
            self._said.pop(uid, None)
            self._said[uid] = owner, at
            while len(self._said) > KNOWN:
                del self._said[next(iter(self._said))]

    def meant(self, names: Collection[str]) -> Mapping[str, str | None]:
        """The owners whom people mean by these names, None where the host knows no such user; of those of which that
        could be told within ``users.PATIENCE``. A number that is nobody's name means the user who has it."""
        return users.each(names, self._meant)

    def _meant(self, name: str) -> str | None:
        number = users.uid(name)
        if number is None and (number := number_of(name)) is None:
            return None
        if number in self.unnamed:
            return str(number)
        known = users.user(number)
        return owner_of(number, None if known is None else known.name)


def uid_of(owner: str) -> int | None:
    """The uid of an owner now, None if there is no such user any more. ``Trouble`` when that cannot be told now."""
    if (number := number_of(owner)) is not None:
        return number
    found = users.each([owner], users.uid)
    if owner not in found:
        raise Trouble("the user database does not answer")
    return found[owner]


class _Local:
    """The names in passwd(5), read anew when that file, or nsswitch.conf(5), is another."""

    def __init__(self) -> None:
        self._read: tuple[object, Mapping[int, str]] = None, {}

    def name(self, uid: int) -> str | None:
        stamp = _stamp(users.SERVICES), _stamp(users.LOCAL)
        known, names = self._read
        if known != stamp:
            names = users.local()
            self._read = stamp, names
        return names.get(uid)


def _stamp(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
