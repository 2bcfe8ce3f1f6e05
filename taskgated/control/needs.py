"""What control needs of the daemon's other parts, by which it is handed them: it knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import Job
from taskgated.core.kinds import Kind
from taskgated.core.order import Lane
from taskgated.core.owner import Owner
from taskgated.core.reasons import Reason
from taskgated.language.config import Config
from taskgated.store.answer import Answer
from taskgated.store.contract import Backlog, Ended, Record


@dataclass(frozen=True, slots=True)
class Busy:
    """A worker that is connected. ``job``: the id of the one that it runs, or is about to; ``leaving``: it gets no
    other."""

    pid: int
    job: int | None
    leaving: bool


@dataclass(frozen=True, slots=True)
class Files:
    """Files of one queue that stay in the spool: so many wait for the second file that is required, whose name ends
    in ``ending``, since ``oldest`` (microseconds since the epoch), and so many are left ``alone`` for their names."""

    queue: str
    waiting: int
    ending: str
    oldest: int | None
    hint: str
    alone: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a probe. ``state``: open, closed, or unknown, if nothing that it said still holds; ``answer``:
    what it said last, open, closed, or error; None: nothing yet; ``words``: and why; ``asked``: when (microseconds
    since the epoch); ``allowance``: how many could start from then on, None: as many as there are, or it is not open;
    ``queues``: those that name it."""

    name: str
    state: str
    answer: str | None
    words: str
    asked: int | None
    allowance: int | None
    queues: Sequence[str]


class Work(Protocol):
    """The jobs that run, and those that are about to."""

    def workers(self) -> Sequence[Busy]: ...

    def ready(self) -> Sequence[int]:
        """The ids in the ready queue, the next to start first."""

    def unkillable(self, job: int) -> str:
        """What there is to say of a running job that had to end and does not; "" of any other."""

    def starts(self, job: int) -> bool:
        """Whether a start of that job is decided."""

    def strict(self, queue: str) -> bool:
        """Whether no job of it starts before those that come before it."""

    def fair(self, queue: str) -> bool:
        """Whether its users share it, so that who starts next follows from what each has used."""

    def limits(self) -> Mapping[str, int]:
        """Of the queues that have one, what it is now."""

    def adjusting(self) -> Mapping[str, int]:
        """Of the queues whose limit adjusts itself, what that has come to."""

    def tokens(self) -> Mapping[str, int]:
        """How many there are of each kind now."""

    def free(self) -> Mapping[str, int]:
        """How many of them are free; less than none, where there were more."""

    def whole(self, queue: str) -> Kind | None:
        """Why nothing of a queue may start now; None: something may."""

    def full(self, lane: Lane) -> bool:
        """Whether a user runs as many of a queue as one may."""

    def all_kept(self) -> Kind | None:
        """Why no job may start now, though workers are idle; None: some may, or none is idle."""

    def users(self) -> Collection[str]:
        """Of whom something runs."""

    def closed(self) -> Sequence[tuple[str | None, Reason]]:
        """The queues of which nothing may start now, and why; None: all."""

    def probes(self) -> Sequence[Probe]:
        """All that are configured."""

    def reasons(self, job: Job) -> Sequence[Reason]:
        """All that keeps a queued or held job from starting now; empty when it is only not its turn."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """What an operator has set. ``kind``: pause, ...; ``of``: the queue, or whatever it is about, None: all;
    ``value``: what it is set to, None where its being set says all; ``at``: since when (microseconds since the
    epoch); ``by``: whom; ``text``: what is set, in words."""

    kind: str
    of: str | None
    value: int | None
    at: int
    by: Owner
    text: str


class Hand(Protocol):
    """What operators set by hand. ``done`` is called with the answer of the store; None named: all queues."""

    def pause(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> None: ...

    def resume(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> Sequence[str]:
        """Returns those of the named that were closed as their jobs failed; they are open now."""

    def paused(self) -> Sequence[str | None]:
        """Which are; None among them: all are."""

    def limit(self, queue: str | None, limit: int | None, by: Owner, done: Callable[[Answer[None]], None]) -> None:
        """Of a queue, None: of all together; None: as configured again."""

    def tokens(self, token: str, total: int | None, by: Owner, done: Callable[[Answer[None]], None]) -> None:
        """How many there are of a kind; None: as configured again."""

    def all(self) -> Sequence[ByHand]: ...


class Health(Protocol):
    """What the daemon says of itself."""

    def ready(self) -> bool:
        """Whether it takes jobs in and runs them."""

    def text(self, backlog: Backlog | None = None) -> str:
        """What it does, in one line; ``backlog``: what waits, as the store has just said."""

    def problems(self) -> list[str]:
        """What a person should see to, a sentence each."""

    def files(self) -> Sequence[Files]:
        """What stays in the spool."""

    def notes(self) -> list[str]:
        """What may not be meant as it is, a sentence each."""

    @property
    def store_trouble(self) -> str:
        """Why nothing can be written, and so nothing started, now; "" when it can."""


Done = Callable[[Answer[None]], None]


class JobsByHand(Protocol):
    """What people do with single jobs. ``by``: whoever does it; ``done`` is called when it is so, or with what
    the store said against it."""

    def hold(self, job: Record, by: Owner, done: Done) -> None: ...

    def release(self, job: Record, by: Owner, done: Done) -> None: ...

    def retry(self, job: Record, by: Owner, done: Done) -> None: ...

    def move(self, job: Record, queue: str, by: Owner, done: Done, *, anyhow: bool) -> None:
        """``anyhow``: also if the owner of the job may not use that queue."""

    def prioritize(self, job: Record, priority: int, by: Owner, done: Done) -> None: ...


Configuration = Callable[[], Config]
"""The one in force."""

Reload = Callable[[], list[str]]
"""Puts the configuration on disk in force and returns notes on it, or raises ``ConfigError`` and changes nothing."""

Cancel = Callable[[int, Callable[[Answer[Ended]], None]], None]
"""Ends a job by its id; the store's answer comes later."""

CancelArray = Callable[[int, Callable[[Answer[tuple[int, int]]], None]], None]
"""Ends all of an array, by its id; how many jobs will not start, and how many are told to end, comes later."""
