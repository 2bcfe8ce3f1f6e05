"""What flows through the gate: specs, jobs, attempts and outcomes.

Frozen: a changed job is a new object. Durations are seconds, sizes bytes, times microseconds since the
epoch. Text that came from bytes that are not UTF-8 carries them as surrogates (PEP 383); ``to_bytes``
gives the bytes back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from taskgated.errors import printable

LONGEST = 1000
"""Characters of what an outcome says in words."""


class State(enum.StrEnum):
    """Where a job is in its life; the words that ``list --json`` prints."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Result(enum.StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it ran and its exit was not one of success, or it could not be started
    TIMED_OUT = "timed out"
    KILLED = "killed"  # taskgated ended it: cancelled, or the gate was shut
    LOST = "lost"  # nobody can say: its worker died, or the power went

    @property
    def word(self) -> str:
        """For programs, which want one word."""
        return self.replace(" ", "_")


class Interrupted(enum.StrEnum):
    """What becomes of a job whose attempt was lost."""

    RERUN = "rerun"
    FAIL = "fail"


class Clock(enum.StrEnum):
    """Which clock a due time is meant in: a date somebody wrote, or a delay that no clock step may change."""

    WALL = "wall"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again after a failure. ``attempts`` counts all of them, the first included."""

    attempts: int = 1
    delay: float = 10.0
    factor: float = 2.0
    max_delay: float = 3600.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Output:
    """What is kept of stdout and stderr: at most ``max_size`` bytes of each attempt, beginning and end; with
    ``journal`` its lines go to the journal as well, ``journal_rate`` a second."""

    max_size: int = 16 * 1024 * 1024
    journal: bool = False
    journal_rate: int = 100


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run and how. Exactly one of ``command`` and ``script`` is set.

    ``command``: argv, or one string for ``/bin/sh -c``. ``script``: the text of a file with ``#!``, run
    from a private copy. ``file``: the claimed file that a handler queue's job works on; it lives as long
    as the job is not over. ``not_before``: microseconds since the epoch.
    """

    command: tuple[str, ...] | str | None = None
    script: str | None = None
    file: str | None = None
    name: str = ""
    queue: str = "default"
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    priority: int = 50
    timeout: float | None = None
    kill_after: float = 10.0
    retry: Retry = Retry()
    success_exit_codes: tuple[int, ...] = (0,)
    not_before: int | None = None
    delay: float = 0.0
    expires: float | None = None
    interrupted: Interrupted = Interrupted.RERUN
    output: Output = Output()

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, as JSON's types; ``from_json`` is the inverse. So a worker of an
        earlier version is told of a newer key by those jobs alone that have it."""
        return _differing(self, _USUAL)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """Raises ``ValueError`` when it is none that this version can have written."""
        if not isinstance(data, Mapping):
            raise ValueError("it is no mapping")
        values = dict(data)
        _check(values, _SPEC, "")
        if isinstance(values.get("command"), list):
            values["command"] = tuple(values["command"])
        if "success_exit_codes" in values:
            values["success_exit_codes"] = tuple(values["success_exit_codes"])
        if "retry" in values:
            values["retry"] = Retry(**values["retry"])
        if "output" in values:
            values["output"] = Output(**values["output"])
        if "interrupted" in values:
            values["interrupted"] = Interrupted(values["interrupted"])
        return cls(**values)


_USUAL = Spec()

_NUMBER, _WHOLE, _TEXT = (int, float), (int,), (str,)
_SPEC: dict[str, tuple[type, ...]] = {
    "command": (list, tuple, str), "script": _TEXT, "file": _TEXT, "name": _TEXT, "queue": _TEXT, "env": (dict,),
    "cwd": _TEXT, "priority": _WHOLE, "timeout": _NUMBER, "kill_after": _NUMBER, "retry": (dict,),
    "success_exit_codes": (list, tuple), "not_before": _WHOLE, "delay": _NUMBER, "expires": _NUMBER,
    "interrupted": (str, Interrupted), "output": (dict,),
}  # fmt: skip
_RETRY: dict[str, tuple[type, ...]] = {
    "attempts": _WHOLE, "delay": _NUMBER, "factor": _NUMBER, "max_delay": _NUMBER, "jitter": _NUMBER,
}  # fmt: skip
_OUTPUT: dict[str, tuple[type, ...]] = {"max_size": _WHOLE, "journal": (bool,), "journal_rate": _WHOLE}


def _check(values: Mapping[str, Any], known: Mapping[str, tuple[type, ...]], where: str) -> None:
    """``ValueError`` for a key that this version does not have, or a value that no key of that name can have."""
    if unknown := sorted(values.keys() - known.keys()):
        raise ValueError(f"it has keys that this version does not know: {printable(where + ', '.join(unknown))}")
    for name, value in values.items():
        kinds = known[name]
        if type(value) not in kinds or (kinds is _NUMBER and not abs(value) < 2**63):  # NaN as well
            raise ValueError(f"{where}{name} has no value that it can have")
        if kinds == (dict,):
            if name == "env":
                _all_text(value.values(), name)
            else:
                _check(value, _RETRY if name == "retry" else _OUTPUT, f"{name}.")
        elif name == "command" and not isinstance(value, str):
            _all_text(value, name)
        elif name == "success_exit_codes" and not all(type(code) is int for code in value):
            raise ValueError(f"{name} has no value that it can have")


def _all_text(values: Iterable[object], name: str) -> None:
    if not all(type(value) is str for value in values):
        raise ValueError(f"{name} has no value that it can have")


def _differing(value: Spec | Retry | Output, default: Spec | Retry | Output) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in fields(value):
        mine, usual = getattr(value, f.name), getattr(default, f.name)
        if mine != usual:
            out[f.name] = _differing(mine, usual) if isinstance(mine, Retry | Output) else mine
    return out


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of work as the store has it, with what the gate needs to decide about it.

    ``attempt`` is the number of the last start (0: never); it only grows. ``failures`` counts attempts
    that failed or timed out, ``crashes`` those that took their worker with them. ``unreadable``: why the store could
    read only a part of it; such a job must not start.
    """

    id: int
    queue: str
    priority: int
    state: State
    spec: Spec
    source: str = ""
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    submitted: int = 0
    due: int | None = None
    due_clock: Clock = Clock.STEADY
    expires: int | None = None  # in the steady clock; until it has started
    claim: str | None = None  # the claimed file that must live until the job is over
    unreadable: str = ""

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts the jobs of the gate: higher priority first, then order of arrival."""
        return (-self.priority, self.id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its worker saw it. Exactly one of ``exit_code`` and ``signal`` is set for
    a process that ran. ``user``, ``system``: CPU seconds; ``max_rss``: bytes; ``output``: bytes written by
    the job; ``omitted``: how many of those were not kept."""

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

    def to_json(self) -> dict[str, Any]:
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is none."""
        outcome = cls(**{**data, "result": Result(data["result"])})
        for name, kinds in _OUTCOME.items():
            value = getattr(outcome, name)
            if type(value) not in kinds:
                raise TypeError(f"{name} is {value!r}")
            if not isinstance(value, str | None) and not abs(value) < 2**63:  # NaN as well
                raise ValueError(f"{name} is {value!r}")
        return replace(outcome, message=printable(outcome.message[:LONGEST]))


_MAYBE = (int, type(None))
_OUTCOME: dict[str, tuple[type, ...]] = {
    "job": (int,), "attempt": (int,), "exit_code": _MAYBE, "signal": _MAYBE, "started": _MAYBE, "finished": _MAYBE,
    "user": (int, float), "system": (int, float), "max_rss": (int,), "output": (int,), "omitted": (int,),
    "message": (str,),
}  # fmt: skip


def to_bytes(text: str) -> bytes:
    """The bytes that ``text`` was read from, whatever the locale says (unlike ``os.fsencode``)."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Text for any bytes; ``to_bytes`` is the inverse."""
    return data.decode("utf-8", "surrogateescape")
