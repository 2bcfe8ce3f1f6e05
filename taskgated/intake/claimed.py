"""A claimed file on its way into the store: what is known of it, and how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from taskgated.core.array import Jobs
from taskgated.core.owner import Owner
from taskgated.errors import Refused
from taskgated.intake import lists
from taskgated.intake.settle import Opened
from taskgated.language.kinds import Kind
from taskgated.text import to_text


@dataclass(slots=True)
class Claimed:
    """A claimed file on its way.

    ``kind``: what it is, as was decided when it was claimed; None if version 0.2.0 did that, until it is decided.
    ``known``: how many of its parts are in the store, None if it never heard of it; ``earlier``: an earlier version
    put the first of them there; ``plan``: what all of them are, of a spec or a script. ``opened``: the file, if this
    batch has it open already. ``busy``: it was being written to when it was looked at last. ``untold``: how many of
    its jobs were not told of yet. ``jobs``: those that it makes, if it has arrays; ``taken``: how many of them were
    taken in; ``awaited``: those for which others of them wait. ``owner``: whose it is, once that was told. ``unfit``:
    why the store cannot keep it.
    """

    claim: str
    queue: str
    name: bytes
    kind: Kind | None
    known: int | None = None
    earlier: bool = False
    plan: str = ""
    opened: Opened | None = None
    lines: lists.Lines | None = None
    jobs: Jobs | None = None
    taken: int = 0
    owner: Owner | None = None
    awaited: frozenset[int] = frozenset()
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
        if self.jobs is not None:
            return self.taken
        return self.known or 0 if self.lines is None else self.lines.parts

    @property
    def source(self) -> str:
        return to_text(self.name)
