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
from taskgated.core.machine import Machine
from taskgated.core.probe import ONCE, Confirm, Rule, Says
from taskgated.core.rate import Rate
from taskgated.core.window import Window, look
from taskgated.errors import Unexplained
from taskgated.host.clock import wall
from taskgated.host.zones import ZONES
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
class ProbeConfig:
    """A command that says whether what waits for it may start: argv, or text for the shell. Times in seconds."""

    command: tuple[str, ...] | str
    every: float = 30.0
    timeout: float = 10.0
    on_error: Says = Says.CLOSED
    confirm: Confirm = ONCE

    @property
    def rule(self) -> Rule:
        """How its answers are understood."""
        return Rule(self.every, self.on_error, self.confirm)


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """One queue.

    ``limit``: jobs of it that run at once, ``user_limit``: of those of one user; None: as many as there are workers,
    or what comes of ``auto``. ``defaults``: checked values for keys that a job leaves out. ``handler``: argv with a
    ``Mark`` in it. ``runs``: ``handler: none`` is said, and what is dropped there runs, also where there was a
    handler before. ``ignore``: globs of names that are left alone; ``match``: of those that are data for its handler;
    none: all. ``share``: between its users, ``fair`` or ``fifo``. ``strict``: no job starts before those that come
    before it. ``probe``: the name of the one that lets its jobs start. ``windows``: while one of them is open its
    jobs may start; without one, always. ``tokens``: what its jobs take that do not say.
    """

    name: str
    limit: int | None = None
    auto: Adaptive | None = None
    user_limit: int | None = None
    share: str = "fifo"
    strict: bool = False
    rate: Rate | None = None
    breaker: Breaker | None = None
    machine: Machine | None = None
    retry_budget: float | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    handler: tuple[str, ...] | None = None
    require: Require | None = None
    ignore: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    runs: bool = False
    probe: str | None = None
    windows: tuple[Window, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)

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
class UserConfig:
    """One user. ``limit``: jobs of that user that run at once, over all queues; None: what holds for all users.
    ``weight``: of what the user gets where a queue is shared fairly."""

    limit: int | None = None
    weight: float = 1


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
    """Sizes in bytes, times in seconds.

    ``limit``: jobs that run at once, over all queues; None: as many as there are workers. ``user_limit``: of those of
    one user; None: no bound. ``users``: by their names.
    """

    workers: int
    ready_queue: int
    limit: int | None = None
    user_limit: int | None = None
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
    after_timeout: float = Spec().after_timeout
    output: Mapping[str, object] = field(default_factory=dict)
    retention: Retention = Retention()
    access: Access = Access()
    users: Mapping[str, UserConfig] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    queues: Mapping[str, QueueConfig] = field(default_factory=dict)
    probes: Mapping[str, ProbeConfig] = field(default_factory=dict)

    @property
    def share(self) -> int:
        """How much of the backlog one user may fill."""
        return max(1, self.max_backlog // 2) if self.user_backlog is None else self.user_backlog

    @property
    def dialects(self) -> list[Dialect]:
        """Whose directives are read."""
        return [Dialect(name) for name in self.foreign_directives]

    def policy(self, owners: Mapping[str, str | None]) -> Policy:
        """What of it the gate decides by. ``owners``: who is meant by each of the ``users``, None where the host
        knows no such user; as far as that could be told. Until then a name means itself."""
        queues = self.queues.values()
        return Policy(
            self.workers,
            self.ready_queue,
            {queue.name: queue.limit for queue in queues if queue.limit is not None},
            self.limit,
            self.user_limit,
            {owners.get(name) or name: user.limit for name, user in self.users.items() if user.limit is not None},
            {queue.name: queue.user_limit for queue in queues if queue.user_limit is not None},
            tuple(queue.name for queue in queues if queue.share == "fair"),
            {owners.get(name) or name: user.weight for name, user in self.users.items() if user.weight != 1},
            tuple(queue.name for queue in queues if queue.strict),
            self.tokens,
        )

    def strangers(self, owners: Mapping[str, str | None]) -> list[str]:
        """Users of whom not all of this may hold now. ``owners`` as for ``policy``."""
        return [
            f"users: {name}: this host knows no such user; what is said here holds as soon as it does"
            if name in owners
            else f"users: {name}: whether that is another name of somebody cannot be told now; "
            "what is said here holds for that name alone until it can"
            for name in self.users
            if owners.get(name) is None
        ]

    def queue(self, name: str) -> QueueConfig:
        """What is configured of a queue, or what holds for a directory that nobody has configured."""
        return self.queues.get(name) or _queue(name, {}, _usual(self.output, self.shell, self.after_timeout))

    def notes(self) -> list[str]:
        """What can be done, and may not be what was meant."""
        too_much = [
            text for what, limit in self._limits().items() if (text := self.beyond_workers(what, limit)) is not None
        ]
        named = {queue.probe for queue in self.queues.values()}
        unasked = [
            f"probe {name}: no queue names it, so it is never asked" for name in self.probes if name not in named
        ]
        return (
            too_much
            + unasked
            + [
                f"queue {queue.name}: none of its windows opens any more, so none of its jobs starts"
                for queue in self.queues.values()
                if queue.windows and look(queue.windows, wall(), ZONES).shut_for_good
            ]
        )

    def beyond_workers(self, what: str, limit: int) -> str | None:
        """What there is to say of a limit, ``what`` in words, that is more than there are workers."""
        if limit <= self.workers:
            return None
        return f"{what} is {limit}, but no more than {self.workers} jobs run at once in all (workers: {self.workers})"

    def lifted(self, before: Config) -> list[str]:
        """Limits that held until now, and that nothing says any more."""
        return [
            f"{what} of {limit} is lifted, as it is not in the configuration any more"
            for what, limit in before._limits().items()
            if what not in self._limits()
        ]

    def _limits(self) -> dict[str, int]:
        """All limits that it says, each with what it is, in words."""
        limits = {"the limit of all jobs": self.limit, "the user_limit": self.user_limit}
        for queue in self.queues.values():
            most = max(queue.auto.min, queue.auto.max or self.workers) if queue.auto else queue.limit
            limits[f"queue {queue.name}: its limit"] = most
            limits[f"queue {queue.name}: its user_limit"] = queue.user_limit
        for name, user in self.users.items():
            limits[f"users: {name}: the limit"] = user.limit
        return {what: limit for what, limit in limits.items() if limit is not None}


def from_values(values: Values) -> Config:
    """A configuration from checked values."""
    workers = values.get("workers") or len(os.sched_getaffinity(0))
    output = merge(asdict(Output()), below(values, "output"))
    given = below(values, "queues")
    usual = _usual(output, values.get("shell", Spec().shell), values.get("after_timeout", Spec().after_timeout))
    queues = {name: _queue(name, below(given, name), usual) for name in dict.fromkeys((*given, DEFAULT_QUEUE))}
    ready_queue = values.get("ready_queue") or workers
    users = {name: plain.make(UserConfig, below(below(values, "users"), name)) for name in below(values, "users")}
    asked = below(values, "probes")
    probes = {name: plain.make(ProbeConfig, below(asked, name)) for name in asked}
    made = {"workers": workers, "ready_queue": ready_queue, "output": output, "users": users, "queues": queues}
    return plain.make(Config, {**values, **made, "probes": probes})


def _usual(output: Values, shell: object, after_timeout: object) -> Values:
    """What the configuration says of jobs of any queue, beyond what a job has anyway."""
    usual = Spec()
    return (
        {"output": output}
        | ({} if shell == usual.shell else {"shell": shell})
        | ({} if after_timeout == usual.after_timeout else {"after_timeout": after_timeout})
    )


def _queue(name: str, values: Values, usual: Values) -> QueueConfig:
    """``usual``: defaults for jobs of any queue; its own stand before them."""
    tokens = {"tokens": values["tokens"]} if "tokens" in values else {}
    limit = values.get("limit")
    made = {
        "name": name,
        "defaults": merge({**usual, **tokens}, below(values, "defaults")),
        "handler": below(values, "handler").get("command"),
        "require": plain.make(Require, below(values, "require")) if below(values, "require") else None,
        "limit": limit if isinstance(limit, int) else None,
        "auto": limit if isinstance(limit, Adaptive) else None,
        "runs": "handler" in values and values["handler"] is None,
    }
    return plain.make(QueueConfig, {**values, **made})
