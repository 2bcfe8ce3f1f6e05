"""What intake has in hand: a claimed file on its way, and what is to be done in one directory."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from taskgated.core.job import to_text
from taskgated.errors import Refused
from taskgated.formats.jobfile import Kind
from taskgated.intake import lists, scan
from taskgated.intake.settle import Later, Opened
from taskgated.intake.watch import Place


@dataclass(slots=True)
class Taken:
    """A claimed file on its way.

    ``kind``: what it is, as was decided when it was claimed; None if version 0.2.0 did that, until it is decided.
    ``known``: how many of its parts are in the store, None if it never heard of it. ``opened``: the file, if this
    batch has it open already. ``busy``: somebody was writing to it when it was looked at last. ``untold``: jobs that
    nobody was told of yet. ``unfit``: why the store cannot keep it.
    """

    claim: str
    queue: str
    name: bytes
    kind: Kind | None
    known: int | None = None
    opened: Opened | None = None
    lines: lists.Lines | None = None
    since: float = field(default_factory=time.monotonic)
    busy: bool = False
    untold: int = 0
    unfit: Refused | None = None

    @property
    def key(self) -> bytes:
        return self.claim.encode("ascii")

    @property
    def parts(self) -> int:
        """How many of its jobs were taken in."""
        return self.known or 0 if self.lines is None else self.lines.parts

    @property
    def source(self) -> str:
        return to_text(self.name)


class Pending:
    """Claimed files that wait, most of them lists for their end."""

    def __init__(self, most: int) -> None:
        self.later = Later(limit=4 * most)
        self._most = most
        self._taken: dict[str, Taken] = {}
        self._named: dict[tuple[str, bytes], dict[str, Taken]] = {}

    @property
    def full(self) -> bool:
        return len(self._taken) >= self._most

    def wait(self, taken: Taken, seconds: float) -> None:
        self._taken[taken.claim] = taken
        self._named.setdefault((taken.queue, taken.name), {})[taken.claim] = taken
        self.later.again(taken.key, seconds)

    def resume(self, taken: Taken) -> None:
        """It does not wait any more, if it did."""
        if self._taken.pop(taken.claim, None) is not None:
            namesakes = self._named[taken.queue, taken.name]
            del namesakes[taken.claim]
            if not namesakes:
                del self._named[taken.queue, taken.name]

    def due(self, most: int) -> list[Taken]:
        """Those whose time has come."""
        found = (self._taken.get(key.decode("ascii")) for key in self.later.due(most)[0])
        return [taken for taken in found if taken is not None]

    def named(self, queue: str, name: bytes) -> list[Taken]:
        """Those of that name, the oldest first."""
        return list(self._named.get((queue, name), {}).values())


@dataclass(slots=True, eq=False)
class Inlet:
    """What is to be done in one directory: names in order, then what was heard of meanwhile."""

    place: Place
    queue: str
    names: deque[bytes] = field(default_factory=deque)
    cursor: scan.Age | None = scan.START  # how far a scan has come; None: none is under way
    saw: bool = False  # a file that waits for a handler, since the last scan began
    waits: bool = False  # there is such a file
    active: Taken | None = None  # a list that is taken in by and by; what came after it waits
    later: Later = field(default_factory=Later)
