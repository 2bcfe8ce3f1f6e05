"""What intake tells the rest of the daemon, and what it needs from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import State
from taskgated.store.contract import Addition


@dataclass(frozen=True, slots=True)
class Accepted:
    """Jobs from a file are in the store, for that queue; of a spec there is one event for each queue that it names.
    A list that grows while it is taken in may be told twice."""

    source: str
    queue: str
    jobs: int


@dataclass(frozen=True, slots=True)
class FileRefused:
    """A file lies in ``rejected/`` now."""

    source: str
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileStuck:
    """A name that can be neither taken nor moved out of the way; told once, tried again at each rescan."""

    source: str
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileWaits:
    """A file that cannot be judged now, for no fault of its own; told once, tried again with growing pauses."""

    source: str
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileLost:
    """A file that had been taken out of the spool is gone from its claim. ``jobs``: of it in the store."""

    source: str
    queue: str
    claim: str
    jobs: int


@dataclass(frozen=True, slots=True)
class HandlersMissing:
    """Why files wait for a configuration that says what is to be done with them; none does without a reason."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Paused:
    """The backlog is full: files stay where they are."""

    backlog: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """There is room again."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """A user has as many jobs queued as one user may; what else that user dropped stays where it is."""

    owner: int
    share: int


@dataclass(frozen=True, slots=True)
class Uncrowded:
    """That user's files are taken in again."""

    owner: int


@dataclass(frozen=True, slots=True)
class Blind:
    """The spool cannot be watched or worked on; it is tried again every few seconds."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The spool is watched again, and everything in it has been, or is being, looked at."""


@dataclass(frozen=True, slots=True)
class WrongOwners:
    """Directories in the spool that are somebody else's, so that we cannot work there; empty: none any more."""

    problems: tuple[str, ...]


IntakeEvent = (
    Accepted
    | FileRefused
    | FileStuck
    | FileWaits
    | FileLost
    | HandlersMissing
    | Paused
    | Resumed
    | Crowded
    | Uncrowded
    | Blind
    | Repaired
    | WrongOwners
)


class Sink(Protocol):
    """The store as intake sees it. The calls block; what ``add`` was given is durable when it returns."""

    def room(self) -> int:
        """How many more jobs may be queued."""

    def queued_by(self, owner: int) -> int:
        """How many queued jobs came from files of this user (uid)."""

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        """New jobs; parts that are known already are left out. ``accepted`` is told before any of them starts."""

    def known(self, claim: str) -> int | None:
        """How many parts of a claimed file were added; None when it was never heard of."""

    def keeper(self, claim: str) -> State | None:
        """The state of the job that works on this claimed file; None if there is none."""

    def data_queues(self) -> Sequence[str]:
        """The queues that take data for a handler, as they were kept last."""

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        """These queues, and no others, take data for a handler."""

    def settle(self, claims: Sequence[str]) -> None:
        """These claimed files are gone for good and need not be known any more."""
