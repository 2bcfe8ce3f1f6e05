"""One directory that files are taken from, and what is to be done in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from taskgated.intake import listing
from taskgated.intake.claimed import Claimed
from taskgated.intake.later import Later
from taskgated.intake.place import Place
from taskgated.intake.tally import Tally


@dataclass(slots=True, eq=False)
class Inlet:
    """The names that are to be looked at: those of a scan in order, then those that were heard of meanwhile."""

    place: Place
    queue: str
    names: deque[bytes] = field(default_factory=deque)
    renamed: set[bytes] = field(default_factory=set)  # those of them that are known to have come by rename
    as_of: float = 0.0  # when they were gathered (time.time()): all are measured by it, so that they stay in order
    cursor: listing.Age | None = listing.START  # how far a scan has come; None: none is under way
    saw: bool = False  # a file that waits for a handler, since the last scan began
    waits: bool = False  # there is such a file
    active: Claimed | None = None  # a list that is taken in by and by; what came after it waits
    later: Later = field(default_factory=Later)
    lacking: Tally = field(default_factory=Tally)  # files whose companion is not there
    alone: Tally = field(default_factory=Tally)  # those that are left alone for their names
