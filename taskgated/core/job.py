"""What flows through the gate: specs, jobs and outcomes.

Frozen: a changed job is a new object. Durations are seconds, sizes bytes, times microseconds since the
epoch. Text may hold bytes that are not UTF-8, see ``taskgated.text``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from taskgated.core import plain
from taskgated.core.after import Condition
from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.core.streams import Stdin, Stream
from taskgated.text import printable

LONGEST = 1000
"""Characters of what an outcome says in words."""
NEVER_RAN = "cannot "
"""How these words begin, and no others, where the program of the attempt was never started."""


class Result(enum.StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it ran and its exit was not one of success, or it could not be started
    TIMED_OUT = "timed out"
    KILLED = "killed"  # taskgated ended it: cancelled, or the gate was shut
    LOST = "lost"  # how it ended is not known: its worker died, or the power went

    @property
    def word(self) -> str:
        """For programs, which want one word."""
        return self.replace(" ", "_")


class Interrupted(enum.StrEnum):
    """What becomes of a job whose attempt was lost."""

    RERUN = "rerun"
    FAIL = "fail"


class Dialect(enum.StrEnum):
    """Another batch system, for which a script has directives, and whose variables it expects."""

    SLURM = "slurm"
    PBS = "pbs"
    SGE = "sge"


class Clock(enum.StrEnum):
    """Which clock a due time is meant in: that of a date, or that of a delay, which no clock step may change."""

    WALL = "wall"
    STEADY = "steady"
    LOOK = "look"
    """The steady one; not the job is due then, but the next look whether what it requires is there."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again after a failure. ``attempts`` counts all of them, the first included. ``on``: after which
    endings, as ``core.retry`` has them; none: after each; ``not_on``: after which not."""

    attempts: int = 1
    delay: float = 10.0
    factor: float = 2.0
    max_delay: float = 3600.0
    jitter: float = 0.1
    on: tuple[int | str, ...] = ()
    not_on: tuple[int | str, ...] = ()


class Signal(enum.StrEnum):
    """A signal that a program can handle (signal(7)), without the SIG."""

    USR1 = "USR1"
    USR2 = "USR2"
    HUP = "HUP"
    INT = "INT"
    QUIT = "QUIT"
    ALRM = "ALRM"
    TERM = "TERM"
    CONT = "CONT"
    URG = "URG"
    XCPU = "XCPU"


class Receiver(enum.StrEnum):
    """What gets it: the main process, or all of its process group."""

    MAIN = "main"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Warn:
    """A signal ``before`` (seconds) the timeout, or before a stop of the gate ends the attempt; 0: none."""

    signal: Signal = Signal.USR1
    before: float = 0.0
    to: Receiver = Receiver.MAIN


@dataclass(frozen=True, slots=True)
class Output:
    """What is kept of stdout and stderr: at most ``max_size`` bytes of each attempt, beginning and end; with
    ``journal`` its lines go to the journal as well, ``journal_rate`` a second."""

    max_size: int = 16 * 1024 * 1024
    journal: bool = False
    journal_rate: int = 100


@dataclass(frozen=True, slots=True)
class Element:
    """Which job of an array it is. ``index``: its own; ``place``: that in the array, from 0; ``count``: how many jobs
    the array has, 0: it is none of an array; ``at_most``: how many of them may run at once; ``line``: what it is
    about, of an array of lines."""

    index: int = 0
    place: int = 0
    count: int = 0
    at_most: int | None = None
    line: str | None = None


class OnConflict(enum.StrEnum):
    """What becomes of a new job when others with its key are there."""

    QUEUE = "queue"
    SKIP = "skip"
    REPLACE = "replace"
    ONCE_MORE = "once_more"


@dataclass(frozen=True, slots=True)
class Locks:
    """Names that a job locks while it runs: alone, or together with others that only share them."""

    exclusive: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requires:
    """A probe of one job's own: its ``command``, argv or text for the job's shell, exits with 0 when what the job
    requires is there. ``every``: seconds from one look to the next, ``timeout``: of one look."""

    command: tuple[str, ...] | str = ()
    every: float = 60.0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run and how. Exactly one of ``command`` and ``script`` is set.

    ``command``: argv, or one string, the last argument of ``shell``. ``script``: the text of a file with ``#!``, run
    from a private copy. ``file``: the claimed file that a handler queue's job works on; it lives as long
    as the job is not over. ``not_before``: microseconds since the epoch. ``deadline``: seconds from its submission in
    which the job has to be over, all its attempts with it; ``timeout``: of each attempt. ``dialect``: the directives
    that the script has, and so the variables that it finds; ``notes``: what of them was passed over, in words.
    ``requires``: what has to be there before an attempt starts.
    ``tokens``: how many of which it takes while it runs. ``key``: what jobs have in common of which one runs at a
    time, "": nothing. ``after``: the jobs after which it runs; ``after_timeout``: how long one of these may be
    unknown.
    """

    command: tuple[str, ...] | str | None = None
    script: str | None = None
    file: str | None = None
    name: str = ""
    queue: str = DEFAULT_QUEUE
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    priority: int = 50
    timeout: float | None = None
    kill_after: float = 10.0
    linger: float = 5.0
    warn: Warn = Warn()
    retry: Retry = Retry()
    success_exit_codes: tuple[int, ...] = (0,)
    not_before: int | None = None
    delay: float = 0.0
    expires: float | None = None
    deadline: float | None = None
    interrupted: Interrupted = Interrupted.RERUN
    output: Output = Output()
    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    stdin: Stdin | None = None
    stdout: Stream | None = None
    stderr: Stream | None = None
    tty: bool = False
    array: Element = Element()
    requires: Requires | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    locks: Locks = Locks()
    key: str = ""
    on_conflict: OnConflict = OnConflict.QUEUE
    after: tuple[Condition, ...] = ()
    after_timeout: float = 86400.0

    def to_json(self) -> dict[str, object]:
        """Only what differs from the defaults, as JSON's types; ``from_json`` is the inverse. So a worker of an
        earlier version is told of a newer key by those jobs alone that have it."""
        return plain.differing(self, _USUAL)

    @classmethod
    def from_json(cls, data: object) -> Spec:
        """Raises ``ValueError`` when it is none that this version can have written."""
        return plain.read(cls, data)


_USUAL = Spec.from_json({})
"""What holds when nothing is said. (Reading it here has the fields looked at before a worker server forks.)"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed file: on which host it is, and its name there."""

    host: str
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of work as the store has it, with what the gate needs to decide about it.

    ``owner``: see ``core.owner``; ``turn``: see ``core.order``, it keeps that however often it comes back.
    ``attempt`` is the number of the last start (0: never); it only grows. ``failures`` counts attempts that failed or
    timed out, ``crashes`` those that took their worker with them. ``expires``: when it is cancelled if it waits then:
    until its first start as its spec says, and at its ``deadline``, at which what runs of it is ended; both in the
    steady clock. ``source``: the name of its file; ``nested``: whether that lay in the directory of its queue, and
    not in the spool itself; None: nobody knows, as of what an earlier version took in. ``array``: the array that it
    belongs to, by the id of that one's first job; ``parked``: it is not among what may start: as it ``waits`` for
    something, by its name, or, if for nothing, as many of its line as could run at once come before it
    (``store/waiting.py``). ``waited``: it has, for something by name. ``unreadable``: why the store could read only a
    part of it; such a job must not start.
    """

    id: int
    queue: str
    priority: int
    state: State
    spec: Spec
    owner: str = ""
    turn: int = 0
    source: str = ""
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    submitted: int = 0
    due: int | None = None
    due_clock: Clock = Clock.STEADY
    expires: int | None = None
    deadline: int | None = None
    claim: Claim | None = None  # the claimed file that must live until the job is over
    array: int | None = None
    parked: bool = False
    waits: str | None = None
    waited: bool = False
    nested: bool | None = None
    unreadable: str = ""

    @property
    def failed_before(self) -> bool:
        """Its next attempt is a retry."""
        return self.failures > 0

    @property
    def rank(self) -> Rank:
        """Sorts the jobs of the gate."""
        return (self.turn, self.id)

    @property
    def lane(self) -> Lane:
        return Lane(self.queue, self.owner)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its worker saw it. Exactly one of ``exit_code`` and ``signal`` is set for
    a process that ran. ``started``, ``finished``: by the wall clock; ``user``, ``system``: CPU seconds; ``max_rss``:
    bytes; ``output``: bytes written by the job; ``omitted``: how many of those were not kept. ``overloaded``: it has
    what the daemon had its output looked through for, as a sign that too many run at once; ``begun``: something of it
    may have run. Neither is a part of what is put down or sent, as earlier versions do not know them: of an attempt
    that was ended before it began a worker says no ``started``."""

    job: int
    attempt: int
    result: Result
    exit_code: int | None = None
    signal: int | None = None
    started: int | None = None
    finished: int | None = None
    user: float = 0.0
    system: float = 0.0
    max_rss: int = 0
    output: int = 0
    omitted: int = 0
    message: str = ""
    overloaded: bool = False
    begun: bool = True

    def to_json(self) -> dict[str, object]:
        said = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}
        said.pop("overloaded", None)
        said.pop("begun", None)
        return said

    @classmethod
    def from_json(cls, data: object) -> Outcome:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is none."""
        if not isinstance(data, dict):
            raise TypeError(f"{data!r} is no mapping")
        outcome = cls(**{**data, "result": Result(data["result"])})
        for name, kinds in _OUTCOME.items():
            value = getattr(outcome, name)
            if type(value) not in kinds:
                raise TypeError(f"{name} is {value!r}")
            if not isinstance(value, str | None) and not abs(value) < 2**63:  # NaN as well
                raise ValueError(f"{name} is {value!r}")
        begun = outcome.result is not Result.KILLED or outcome.started is not None
        return replace(outcome, message=printable(outcome.message[:LONGEST]), begun=begun)


_MAYBE = (int, type(None))
_OUTCOME: dict[str, tuple[type, ...]] = {
    "job": (int,), "attempt": (int,), "exit_code": _MAYBE, "signal": _MAYBE, "started": _MAYBE, "finished": _MAYBE,
    "user": (int, float), "system": (int, float), "max_rss": (int,), "output": (int,), "omitted": (int,),
    "message": (str,), "overloaded": (bool,), "begun": (bool,),
}  # fmt: skip
