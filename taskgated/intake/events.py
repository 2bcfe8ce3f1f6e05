"""What intake tells the rest of the daemon, and what it needs from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.state import State
from taskgated.store.contract import Addition, Record


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

    owner: str
    share: int


@dataclass(frozen=True, slots=True)
class Uncrowded:
    """That user's files are taken in again."""

    owner: str


@dataclass(frozen=True, slots=True)
class Blind:
    """The spool cannot be watched or worked on; it is tried again every few seconds."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The spool is watched again, and everything in it has been, or is being, looked at."""


@dataclass(frozen=True, slots=True)
class Unwatched:
    """For so many directories the host has no watch left: they are looked through now and then, and all else is as
    ever; empty: all are watched."""

    reason: str


@dataclass(frozen=True, slots=True)
class WrongOwners:
    """Directories of the spool that belong to another user: intake cannot work there; empty: none any more."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stays:
    """Files of one queue that stay in the spool. ``waiting``: so many have no companion yet, whose name ends in
    ``ending``, the first since ``oldest`` (microseconds since the epoch); ``hint``: what may be wrong with that.
    ``alone``: so many are left alone for their names."""

    queue: str
    waiting: int
    ending: str
    oldest: int | None
    hint: str
    alone: int


@dataclass(frozen=True, slots=True)
class Staying:
    """What stays in the spool, by queue; empty: nothing."""

    queues: tuple[Stays, ...]


@dataclass(frozen=True, slots=True)
class MisnamedQueues:
    """Directories that may be a slip for a configured queue, in words; empty: none any more."""

    notes: tuple[str, ...]


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
    | Unwatched
    | WrongOwners
    | Staying
    | MisnamedQueues
)


Tell = Callable[[IntakeEvent], None]
"""Called on intake's thread, with each event once; it must not block."""


class Sink(Protocol):
    """The store as intake sees it; called on intake's thread alone. All but ``room`` wait for the store, for as long
    as it takes, and what they change is on stable storage when they return.

    Raises ``StoreClosed`` when the daemon stops, ``OSError`` when nothing can be taken in now, and ``StoreError``
    when the store can never keep one of the jobs that it is to ``add``: then none was added.
    """

    @property
    def waits(self) -> bool:
        """Whether a call is under way; for another thread. Intake that waits for the store is alive. Whether the
        store is, is asked of the store."""

    def room(self) -> int:
        """How many more jobs may be queued."""

    def queued_by(self, owner: str) -> int:
        """How many queued jobs came from files of this user."""

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        """New jobs; parts that are known already are left out. ``accepted`` is told before any of them starts."""

    def known(self, claim: str) -> int | None:
        """How many parts of a claimed file were added; None when it was never heard of."""

    def plan(self, claim: str) -> str:
        """What all parts of a claimed file are of which some were added; "" of a list, and of what an earlier version
        added."""

    def known_to_earlier(self, claim: str) -> bool:
        """Whether a version that counted the lines of a list otherwise began to take it in."""

    def keeper(self, claim: str) -> State | None:
        """The state of the job that works on this claimed file; None if there is none."""

    def worked_on(self, claim: str) -> Record | None:
        """The job that works, or worked, on this claimed file; None if there is none."""

    def data_queues(self) -> Sequence[str]:
        """The queues that take data for a handler, as they were kept last."""

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        """These queues, and no others, take data for a handler."""

    def forget_claims(self, claims: Sequence[str]) -> None:
        """These claimed files do not come back; how many of their parts were added need not be known any more."""
