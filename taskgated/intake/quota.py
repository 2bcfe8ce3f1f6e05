"""How many queue directories are used, and which of them is given up for another.

Anybody may make a directory in the spool. What is configured is bound by the descriptors that there are, the rest by
``PLACES``; and of that rest the administrators' come first, and no user has more than a share.
"""

from __future__ import annotations

import errno
import os
import resource
from collections import Counter
from collections.abc import Sequence

from taskgated.intake.place import Place

PLACES = 100
"""Queue directories that nobody has configured are used up to this, together with the configured ones: each costs a
thread and an inotify instance, of which a user has 128 (inotify(7))."""
SHARE = 25
"""Of these, what one user may have who is neither root nor ourselves."""
COST, KEPT = 3, 256
"""Descriptors that a place takes, and those that are left for everything else: the bound on configured queues."""
UNBOUNDED = 2**31


def most() -> int:
    """How many directories can be open, watched and unwatched."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNBOUNDED if descriptors == resource.RLIM_INFINITY else max(PLACES, (descriptors - KEPT) // COST)


def given_up(place: Place, configured: bool, used: int, others: Sequence[Place]) -> Place | None:
    """The directory that is given up to make room for ``place``, which is ``configured`` or not; None if there is
    room. ``used``: how many there are, with the spool; ``others``: those of them that nobody has configured, in the
    order in which they came. Raises ``OSError`` (EDQUOT) when there is no room to be made."""
    if configured and used >= most():
        raise _too_many(place, f"the descriptors (LimitNOFILE=) do for {most()} of them")
    if configured and (used < PLACES or not others):
        return None
    theirs = [other for other in others if not _administrators(other.owner)]
    if configured:
        may_go = list(others)
    elif _administrators(place.owner):
        may_go = theirs
    elif sum(other.owner == place.owner for other in theirs) >= SHARE:
        raise _too_many(place, f"its owner has {SHARE} of them already")
    else:
        may_go = []
    if used < PLACES:
        return None
    if not may_go:
        raise _too_many(place, f"there are {PLACES} of them already")
    have = Counter(other.owner for other in may_go)  # the user with the most gives one up, the last one
    return max(enumerate(may_go), key=lambda it: (it[1] in theirs, have[it[1].owner], it[0]))[1]


def _administrators(owner: int) -> bool:
    return owner in (0, os.geteuid())


def _too_many(place: Place, why: str) -> OSError:
    return OSError(errno.EDQUOT, why, place.path)
