"""What the daemon and its workers say to each other: protocol 1, for both ends.

A message is a class. ``to_json`` gives what goes over the wire, a parser makes it out of that again. So a receiver
matches classes, and nothing else knows a key by name.

====================  ===============================  ===================================
said by               messages                         parser
====================  ===============================  ===================================
daemon, to a worker   Run, Ack, Warn, Stop, Deadline,  ``for_worker``
                      Ping, Quit
worker, to a daemon   Hello (first), Report, Pong      ``Hello.parse``, then ``from_worker``
====================  ===============================  ===================================

What the daemon and the worker server say is in ``serving``.

Workers outlive daemons and upgrades, so the two ends may be of different versions. What is added must do no harm to
an end that does not know it: a field that is unknown is left alone, one that is absent means what the version without
it meant, and a message that is unknown is ``Unknown`` where that is no reason to hang up. Whatever cannot be
understood so needs a new ``PROTOCOL``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.errors import ProtocolError
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Message

PROTOCOL = 1

DEADLINES = "deadlines"
"""The feature of a worker that knows what a ``Deadline`` is."""
FEATURES = (DEADLINES,)
"""What a worker of this version knows beyond the first version of the protocol, and beyond ``answers``."""

NOT_FOR_WORKERS = (
    "notes", "deadline", "tokens", "locks", "key", "on_conflict", "after", "after_timeout", "requires",
)  # fmt: skip
"""Keys that are for people, or by which the daemon decides of the job. A worker of an earlier version does not know
them, and would not run a job that has one."""

Key = tuple[int, int]
"""An attempt, by the id of its job and its number."""


class Said(Protocol):
    """Each of the messages here."""

    def to_json(self) -> Message: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker process, so that it can be told from any other there ever was, and where its jobs live."""

    process: ProcessId
    cgroup: str | None = None

    @property
    def key(self) -> str:
        return f"{self.process.pid}.{self.process.start}.{self.process.boot}"

    def to_json(self) -> Message:
        return {**self.process.to_json(), "cgroup": self.cgroup}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Identity:
        """Raises ``ProtocolError``."""
        try:
            process = ProcessId.from_json(data)
            cgroup = data.get("cgroup")
            if cgroup is not None and not (isinstance(cgroup, str) and cgroup.isprintable()):
                raise ValueError(cgroup)  # no path of a control group, and perhaps none at all
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ProtocolError(f"not a worker's identity: {error!r}") from None
        return cls(process, cgroup)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of another version: what it calls itself."""

    kind: str


def kind_of(message: Message) -> str:
    """What a message calls itself."""
    return ", ".join(map(str, message))


# -- in both directions --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a sign of life, of a worker only if its hello said that it ``answers``. ``token``, anything that JSON
    has, comes back in the ``Pong``."""

    token: object

    def to_json(self) -> Message:
        return {"ping": self.token}


@dataclass(frozen=True, slots=True)
class Pong:
    token: object

    def to_json(self) -> Message:
        return {"pong": self.token}


# -- the daemon to a worker ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """Start that attempt; its output goes to the file ``log``. ``spec``: that of the job as JSON. A worker of another
    version may not understand it: then the attempt has failed, and nothing is wrong with the conversation.

    What the job is told, and nothing depends on, so that a worker of an earlier version may pass it over: ``source``,
    the path at which its file lay in the spool, "" if that is not known; ``array``, the id of its array;
    ``overload``, a pattern that is looked for in the end of its output, "" if none is.
    """

    job: int
    attempt: int
    spec: object
    log: str
    source: str = ""
    array: int | None = None
    overload: str = ""

    @classmethod
    def of(cls, job: Job, log: str, source: str, overload: str = "") -> Run:
        spec = job.spec.to_json()
        for key in NOT_FOR_WORKERS:
            spec.pop(key, None)
        if isinstance(retry := spec.get("retry"), dict):
            retry.pop("on", None)
            retry.pop("not_on", None)
            if not retry:
                del spec["retry"]
        return cls(job.id, job.attempt, spec, log, source, job.array, overload)

    def understood(self) -> Spec:
        """Raises ``ValueError`` when the spec is none that this version can have written."""
        if not isinstance(self.spec, dict):
            raise ValueError("it is no mapping")
        return Spec.from_json(self.spec)

    @classmethod
    def from_json(cls, body: object) -> Run:
        body = _fields(body)
        job, attempt, log = body["job"], body["attempt"], body["log"]
        source, array, overload = body.get("source", ""), body.get("array"), body.get("overload", "")
        if not (type(job) is int and type(attempt) is int and type(log) is str):
            raise _wrong_type("run")
        if not (type(source) is str and (array is None or type(array) is int) and type(overload) is str):
            raise _wrong_type("run")
        return cls(job, attempt, body["spec"], log, source, array, overload)

    def to_json(self) -> Message:
        said: Message = {"job": self.job, "attempt": self.attempt, "spec": self.spec, "log": self.log}
        if self.source:
            said["source"] = self.source
        if self.array is not None:
            said["array"] = self.array
        if self.overload:
            said["overload"] = self.overload
        return {"run": said}


@dataclass(frozen=True, slots=True)
class Ack:
    """How that attempt ended is on stable storage: its worker may forget it."""

    job: int
    attempt: int

    @classmethod
    def from_json(cls, body: object) -> Ack:
        return cls(*_which(body, "ack"))

    def to_json(self) -> Message:
        return {"ack": {"job": self.job, "attempt": self.attempt}}


@dataclass(frozen=True, slots=True)
class Warn:
    """That attempt is to end soon: send the signal that its spec has for that, unless it was sent."""

    job: int
    attempt: int

    @classmethod
    def from_json(cls, body: object) -> Warn:
        return cls(*_which(body, "warn"))

    def to_json(self) -> Message:
        return {"warn": {"job": self.job, "attempt": self.attempt}}


@dataclass(frozen=True, slots=True)
class Stop:
    """End that attempt: SIGTERM, and SIGKILL after ``grace`` seconds, or as long as the job says (None)."""

    job: int
    attempt: int
    grace: float | None

    @classmethod
    def from_json(cls, body: object) -> Stop:
        body = _fields(body)
        job, attempt, grace = body["job"], body["attempt"], body["grace"]
        if not (type(job) is int and type(attempt) is int and isinstance(grace, float | int | None)):
            raise _wrong_type("stop")
        return cls(job, attempt, grace)

    def to_json(self) -> Message:
        return {"stop": {"job": self.job, "attempt": self.attempt, "grace": self.grace}}


@dataclass(frozen=True, slots=True)
class Deadline:
    """End that attempt when it is ``at``: microseconds of CLOCK_BOOTTIME, which goes on while the host is suspended,
    and which no daemon need be there for. None: there is no such time any more. The last word counts. It ends as a
    timeout ends it, with that ``result``: it timed out, or was killed. Only for a worker that has the feature.
    """

    job: int
    attempt: int
    at: int | None
    result: Result = Result.TIMED_OUT

    @classmethod
    def from_json(cls, body: object) -> Deadline:
        body = _fields(body)
        job, attempt = _which(body, "deadline")
        at, result = body["at"], body.get("result", str(Result.TIMED_OUT))
        if not (at is None or type(at) is int) or not (type(result) is str and result in _AT_A_DEADLINE):
            raise _wrong_type("deadline")
        return cls(job, attempt, at, _AT_A_DEADLINE[result])

    def to_json(self) -> Message:
        return {"deadline": {"job": self.job, "attempt": self.attempt, "at": self.at, "result": self.result}}


_AT_A_DEADLINE = {str(result): result for result in (Result.TIMED_OUT, Result.KILLED)}


@dataclass(frozen=True, slots=True)
class Quit:
    """Exit as soon as there is nothing to run and nothing to be acknowledged."""

    def to_json(self) -> Message:
        return {"quit": {}}


_ForWorker = Run | Ack | Warn | Stop | Deadline | Ping | Quit

_FOR_WORKER: dict[str, Callable[[object], _ForWorker]] = {
    "run": Run.from_json,
    "ack": Ack.from_json,
    "warn": Warn.from_json,
    "stop": Stop.from_json,
    "deadline": Deadline.from_json,
    "ping": Ping,
    "quit": lambda _: Quit(),
}


def for_worker(message: Message) -> _ForWorker | Unknown:
    """What the daemon tells a worker. A message that this version does not know, or that lacks a field, is
    ``Unknown``: a worker that looks after a job does not hang up for that. Raises ``ProtocolError`` for one whose
    fields are not of their types.

    There are thousands of them a second, so kinds are looked up: to match one pattern after the other takes longer.
    """
    for kind, body in message.items():
        if (parse := _FOR_WORKER.get(kind)) is not None:
            try:
                return parse(body)
            except (KeyError, TypeError):  # it lacks a field, or has none at all
                break
    return Unknown(kind_of(message))


# -- a worker to the daemon ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first words of a worker: which it is, and the attempt that it has, or has had last and reports again.
    ``answers``: it knows what a ``Ping`` is; one before version 0.3 does not say so, and is not asked. ``features``:
    what else it knows, by name; one that does not say is told of nothing that needs it."""

    identity: Identity
    version: str
    running: Key | None
    answers: bool = True
    features: tuple[str, ...] = FEATURES

    def to_json(self) -> Message:
        process, running = self.identity.process, self.running
        return {
            "hello": {
                "protocol": PROTOCOL,
                "version": self.version,
                **process.to_json(),
                "running": None if running is None else {"job": running[0], "attempt": running[1]},
                "cgroup": self.identity.cgroup,
                "answers": self.answers,
                "features": list(self.features),
            }
        }

    @classmethod
    def parse(cls, message: Message) -> Hello:
        """Raises ``ProtocolError``, also for one that speaks another protocol."""
        hello = message.get("hello")
        if not isinstance(hello, dict) or hello.get("protocol") != PROTOCOL:
            raise ProtocolError("expected a hello")
        match hello.get("running"):
            case None:
                running = None
            case {"job": int(job), "attempt": int(attempt)}:
                running = (job, attempt)
            case other:
                raise ProtocolError(f"not an attempt: {other!r}")
        version, features = hello.get("version"), hello.get("features")
        return cls(
            Identity.from_json(hello),
            version if isinstance(version, str) else "",
            running,
            hello.get("answers") is True,
            tuple(one for one in features if isinstance(one, str)) if isinstance(features, list) else (),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """An attempt has ended. It is said again to every daemon until one has acknowledged it."""

    outcome: Outcome

    def to_json(self) -> Message:
        return {"outcome": self.outcome.to_json()} | ({"overloaded": True} if self.outcome.overloaded else {})


def from_worker(message: Message) -> Report | Pong:
    """What a worker says after its hello. Raises ``ProtocolError`` for anything else."""
    if "pong" in message:
        return Pong(message["pong"])
    try:
        outcome = Outcome.from_json(message["outcome"])
        return Report(replace(outcome, overloaded=message.get("overloaded") is True))
    except Exception as error:  # whatever it is that it said: it costs nobody else anything
        raise ProtocolError(f"not an outcome: {error!r}") from None


# -- inside --------------------------------------------------------------------------------------


def _fields(body: object) -> Message:
    """Raises ``TypeError`` when it has none."""
    if not isinstance(body, dict):
        raise TypeError(body)
    return body


def _which(body: object, kind: str) -> tuple[int, int]:
    """The attempt that a message of that kind is about."""
    fields = _fields(body)
    job, attempt = fields["job"], fields["attempt"]
    if not (type(job) is int and type(attempt) is int):
        raise _wrong_type(kind)
    return job, attempt


def _wrong_type(kind: str) -> ProtocolError:
    return ProtocolError(f"wrong type in a message: {kind}")
