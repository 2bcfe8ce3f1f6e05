"""The configuration: what holds when nothing is said, and what follows from what is said.

Defaults of its keys stand in these classes alone; ``configkeys`` says how each is written, ``configfiles`` reads the
files.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from taskgated.core import plain
from taskgated.core.adaptive import Adaptive
from taskgated.core.breaker import Breaker
from taskgated.core.capacity import Policy
from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.core.job import Dialect, Output, Spec
from taskgated.core.rate import Rate
from taskgated.errors import Unexplained
from taskgated.language.declare import Values, below
from taskgated.language.keys import merge
from taskgated.language.names import matches


class Mark(enum.StrEnum):
    """What stands in the command of a handler for the data: a file's path, or each of its lines."""

    FILE = "{file}"
    LINE = "{line}"


def marks_in(command: Iterable[str]) -> list[Mark]:
    """The marks that stand somewhere in a command, each once."""
    parts = tuple(command)
    return [mark for mark in Mark if any(mark in part for part in parts)]


@dataclass(frozen=True, slots=True)
class Require:
    """What has to lie beside a file before it is taken: a second file, named as the file with this ending behind it,
    which is a ``marker`` whatever is in it, or has the ``sha256`` sum of it. One of them is given."""

    marker: str | None = None
    sha256: str | None = None

    @property
    def ending(self) -> bytes:
        return (self.marker or self.sha256 or "").encode("ascii")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """One queue.

    ``limit``: jobs of it that run at once; None: as many as there are workers, or what comes of ``auto``.
    ``defaults``: checked values for keys
    that a job leaves out. ``handler``: argv with a ``Mark`` in it. ``runs``: ``handler: none`` is said, and what is
    dropped there runs, also where there was a handler before. ``ignore``: globs of names that are left alone;
    ``match``: of those that are data for its handler; none: all.
    """

    name: str
    limit: int | None = None
    auto: Adaptive | None = None
    rate: Rate | None = None
    breaker: Breaker | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    handler: tuple[str, ...] | None = None
    require: Require | None = None
    ignore: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    runs: bool = False

    @property
    def mark(self) -> Mark | None:
        """What its handler takes; None if it has none."""
        return next(iter(marks_in(self.handler or ())), None)

    def takes(self, name: bytes) -> bool:
        """Whether a file of that name is one for its handler, if it has one."""
        return self.handler is None or not self.match or matches(name, self.match)

    def handler_with(self, mark: Mark) -> tuple[str, ...]:
        """Its handler, which must be one for that; ``Unexplained`` if it is not."""
        if self.handler is None or self.mark != mark:
            raise Unexplained(f"queue {self.name} has no handler with {mark}")
        return self.handler


@dataclass(frozen=True, slots=True)
class Retention:
    """How long jobs that are over are remembered, and their output: seconds, and at most so many. ``output``: bytes
    of disk that all outputs together may take; None: no bound."""

    age: float = 30 * 86400.0
    count: int = 1_000_000
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what to a job over the control socket, beside root and the gate's own user: its ``owner``, or
    all ``members`` of the group who may use the socket. ``see``: what it runs, and its output."""

    see: str = "owner"
    cancel: str = "owner"


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes in bytes, times in seconds."""

    workers: int
    ready_queue: int
    max_backlog: int = 1_000_000
    user_backlog: int | None = None
    ageing: float = 60.0
    stop_timeout: float = 30.0
    on_stop: str = "requeue"
    max_file_size: int = 1024**2
    max_list_size: int = 1024**3
    rescan_interval: float = 60.0
    settle_time: float = 2.0
    ignore: tuple[str, ...] = ()
    umask: int = 0o022
    foreign_directives: tuple[str, ...] = (Dialect.SLURM, Dialect.PBS)
    shell: tuple[str, ...] = Spec().shell
    output: Mapping[str, object] = field(default_factory=dict)
    retention: Retention = Retention()
    access: Access = Access()
    queues: Mapping[str, QueueConfig] = field(default_factory=dict)

    @property
    def share(self) -> int:
        """How much of the backlog one user may fill."""
        return max(1, self.max_backlog // 2) if self.user_backlog is None else self.user_backlog

    @property
    def dialects(self) -> list[Dialect]:
        """Whose directives are read."""
        return [Dialect(name) for name in self.foreign_directives]

    @property
    def policy(self) -> Policy:
        """What of it the gate decides by."""
        limits = {queue.name: queue.limit for queue in self.queues.values() if queue.limit is not None}
        return Policy(self.workers, self.ready_queue, limits)

    def queue(self, name: str) -> QueueConfig:
        """What is configured of a queue, or what holds for a directory that nobody has configured."""
        return self.queues.get(name) or _queue(name, {}, _usual(self.shell, self.output))

    def notes(self) -> list[str]:
        """What can be done, and may not be what was meant."""
        limits = {queue.name: queue.auto.max if queue.auto else queue.limit for queue in self.queues.values()}
        return [
            f"queue {name}: its limit is {limit}, but no more than {self.workers} jobs run at once in all"
            f" (workers: {self.workers})"
            for name, limit in limits.items()
            if limit is not None and limit > self.workers
        ]

    def lifted(self, before: Config) -> list[str]:
        """Limits that held until now, and that nothing says any more."""
        return [
            f"queue {queue.name}: its limit of {queue.limit} is lifted, as it is not in the configuration any more"
            for queue in before.queues.values()
            if queue.limit is not None and (now := self.queue(queue.name)).limit is None and now.auto is None
        ]


def from_values(values: Values) -> Config:
    """A configuration from checked values."""
    workers = values.get("workers") or len(os.sched_getaffinity(0))
    output = merge(asdict(Output()), below(values, "output"))
    given = below(values, "queues")
    usual = _usual(values.get("shell", Spec().shell), output)
    queues = {name: _queue(name, below(given, name), usual) for name in dict.fromkeys((*given, DEFAULT_QUEUE))}
    ready_queue = values.get("ready_queue") or workers
    made = {"workers": workers, "ready_queue": ready_queue, "output": output, "queues": queues}
    return plain.make(Config, {**values, **made})


def _usual(shell: object, output: Values) -> Values:
    """What the configuration says of jobs of any queue, beyond what a job has anyway."""
    return {"output": output} | ({} if shell == Spec().shell else {"shell": shell})


def _queue(name: str, values: Values, usual: Values) -> QueueConfig:
    """``usual``: defaults for jobs of any queue; its own stand before them."""
    limit = values.get("limit")
    made = {
        "name": name,
        "defaults": merge(usual, below(values, "defaults")),
        "handler": below(values, "handler").get("command"),
        "require": plain.make(Require, below(values, "require")) if below(values, "require") else None,
        "limit": limit if isinstance(limit, int) else None,
        "auto": limit if isinstance(limit, Adaptive) else None,
        "runs": "handler" in values and values["handler"] is None,
    }
    return plain.make(QueueConfig, {**values, **made})
