"""What intake has in hand: a claimed file on its way, and what is to be done in one directory."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from taskgated.core.job import to_text
from taskgated.intake import lists, scan
from taskgated.intake.settle import Later, Opened
from taskgated.intake.watch import Place


@dataclass(slots=True)
class Taken:
    """A claimed file on its way.

    ``known``: how many of its parts are in the store, None if it never heard of it. ``opened``: the file, if
    this batch has it open already. ``busy``: somebody was writing to it when it was looked at last.
    ``untold``: jobs that nobody was told of yet.
    """

    claim: str
    queue: str
    name: bytes
    known: int | None = None
    opened: Opened | None = None
    lines: lists.Lines | None = None
    since: float = field(default_factory=time.monotonic)
    busy: bool = False
    untold: int = 0

    @property
    def key(self) -> bytes:
        return self.claim.encode("ascii")

    @property
    def source(self) -> str:
        return to_text(self.name)


@dataclass(slots=True, eq=False)
class Inlet:
    """What is to be done in one directory: names in order, then what was heard of meanwhile."""

    place: Place
    queue: str
    names: deque[bytes] = field(default_factory=deque)
    cursor: scan.Age | None = scan.START  # how far a scan has come; None: none is under way
    active: Taken | None = None  # a list that is taken in by and by; what came after it waits
    later: Later = field(default_factory=Later)
