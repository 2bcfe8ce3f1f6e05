"""From rows of the SQLite store to what the contract speaks of. The columns are those of ``sql/queries.sql``.

A database is a file, and what is in a file may be anything: a later version wrote it, a disk lost a bit. SQLite
checks no type. So nothing is taken from a row unseen, and what cannot be understood concerns that one job alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import product
from types import NoneType
from typing import Any

from taskgated.core.job import Clock, Job, Result, Spec, State, to_text
from taskgated.errors import UnreadableRow
from taskgated.store.contract import Attempt, Record

STATES = frozenset(State)

LAST_MOMENT = 253_402_300_799_999_999
"""The last microsecond that has a date of four digits in its year (RFC 3339)."""

_SURELY = {int: (int,), str: (str,), bytes: (bytes,), float: (float, int)}
_MAYBE = {int: (int, NoneType), str: (str, NoneType)}
_COLUMNS: dict[str, tuple[type, ...]] = {
    "id": _SURELY[int],
    "queue": _SURELY[str],
    "priority": _SURELY[int],
    "state": _SURELY[str],
    "spec": _SURELY[str],
    "source": _SURELY[bytes],
    "attempt": _SURELY[int],
    "failures": _SURELY[int],
    "crashes": _SURELY[int],
    "submitted": _SURELY[int],
    "due": _MAYBE[int],
    "due_clock": _MAYBE[str],
    "expires": _MAYBE[int],
    "claim": _MAYBE[str],
}
_RIGHT = frozenset(product(*_COLUMNS.values()))


def job_of(row: Sequence[Any]) -> Job:
    """Raises ``UnreadableRow``."""
    if tuple(map(type, row)) not in _RIGHT:
        wrong = [name for (name, kinds), value in zip(_COLUMNS.items(), row, strict=True) if type(value) not in kinds]
        raise UnreadableRow(row[0], f"{', '.join(wrong)}: not of the right type")
    id_, queue, priority, state, spec, source, *counters, submitted, due, clock, expires, claim = row
    attempt, failures, crashes = counters
    if not queue.isprintable() or not 0 <= priority <= 100 or min(counters) < 0:
        raise UnreadableRow(id_, "queue, priority or a counter has a value that it cannot have")
    try:
        return Job(
            id=id_,
            queue=queue,
            priority=priority,
            state=State(state),
            spec=Spec.from_json(json.loads(spec)),
            source=to_text(source),
            attempt=attempt,
            failures=failures,
            crashes=crashes,
            submitted=submitted,
            due=due,
            due_clock=Clock(clock) if clock else Clock.STEADY,
            expires=expires,
            claim=claim,
        )
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(id_, str(error)) from None


def job_or_part(row: Sequence[Any], state: State) -> Job:
    """The job, or what can be read of it, with ``unreadable`` set: it counts where it belongs. ``state``: what the
    question was for."""
    try:
        job = job_of(row)
        if job.state is state:
            return job
        why = f"it is {job.state}, and {state} in another place"
    except UnreadableRow as error:
        why = error.why
    id_, queue, _, _, _, _, attempt, *_ = row
    queue = queue if type(queue) is str and queue.isprintable() else Spec().queue
    number = attempt if type(attempt) is int and attempt >= 0 else 0
    return Job(id_, queue, 0, state, Spec(queue=queue), attempt=number, unreadable=why)


def rank_of(row: Sequence[Any]) -> tuple[int, int]:
    """``Job.rank`` of a row; what has no readable one comes first, to be out of the way."""
    id_, _, priority, *_ = row
    return (-priority if type(priority) is int else -1000, id_)


_ATTEMPT = tuple(
    zip(
        (f.name for f in fields(Attempt)),
        (
            _SURELY[int], _SURELY[str], _SURELY[int], _MAYBE[int], _MAYBE[str], _MAYBE[int], _MAYBE[int],
            _SURELY[float], _SURELY[float], _SURELY[int], _SURELY[int], _SURELY[int], _SURELY[str],
        ),
        strict=True,
    )
)  # fmt: skip
_RECORD = tuple(
    zip(
        (f.name for f in fields(Record)),
        (
            _SURELY[int], _SURELY[bytes], _SURELY[str], _SURELY[str], _SURELY[int], _SURELY[int], _SURELY[int],
            _SURELY[bytes], _SURELY[int], _SURELY[int], _MAYBE[int], _MAYBE[int], _MAYBE[int], _MAYBE[int],
            _MAYBE[int], _MAYBE[str], _SURELY[str],
        ),
        strict=True,
    )
)  # fmt: skip
_MOMENTS = frozenset({"submitted", "started", "finished", "due"})
_EMPTY: dict[tuple[type, ...], Any] = {
    _SURELY[int]: 0, _SURELY[str]: "", _SURELY[bytes]: b"", _SURELY[float]: 0.0, _MAYBE[int]: None, _MAYBE[str]: None,
}  # fmt: skip


def attempt_of(row: Sequence[Any]) -> Attempt:
    """What there is of an attempt; its message names what cannot be read."""
    values, wrong = _read(_ATTEMPT, row)
    values["result"] = _word(Result, values["result"], "result", wrong, None)
    if wrong:
        values["message"] = f"cannot be read: {', '.join(wrong)}"
    return Attempt(**values)


def record_of(row: Sequence[Any]) -> Record:
    """What there is of a job; its reason names what cannot be read. The columns of the queries ``record`` and
    ``list`` are the fields of a record, in order."""
    values, wrong = _read(_RECORD, row)
    values["name"], values["source"] = to_text(values["name"]), to_text(values["source"])
    values["state"] = _word(State, values["state"], "state", wrong, State.FAILED)
    values["result"] = _word(Result, values["result"], "result", wrong, None)
    if wrong:
        values["reason"] = f"its row in the database is damaged, this cannot be read: {', '.join(wrong)}"
    return Record(**values)


def _read(columns: Sequence[tuple[str, tuple[type, ...]]], row: Sequence[Any]) -> tuple[dict[str, Any], list[str]]:
    """Values by name, empty ones where there are no right ones, and the names of those."""
    values, wrong = {}, []
    for (name, kinds), value in zip(columns, row, strict=True):
        good = type(value) in kinds and (name not in _MOMENTS or moment(value) == value)
        values[name] = value if good else _EMPTY[kinds]
        if not good:
            wrong.append(name)
    return values, wrong


def _word(kind: type[State] | type[Result], value: str | None, name: str, wrong: list[str], instead: Any) -> Any:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        if name not in wrong:
            wrong.append(name)
        return instead


def moment(value: object) -> int | None:
    """A time that can be written as a date, or none."""
    return value if type(value) is int and 0 <= value <= LAST_MOMENT else None


def text_or_none(value: object) -> str | None:
    """What a column for text holds, if that is text."""
    return value if isinstance(value, str) else None


def per_queue(rows: Iterable[Sequence[Any]]) -> dict[str, dict[State, int]]:
    """Jobs by queue and state; damaged counts are left out, for ``check`` to tell of."""
    out: dict[str, dict[State, int]] = {}
    for queue, state, jobs in rows:
        if isinstance(queue, str) and queue.isprintable() and state in STATES and isinstance(jobs, int):
            out.setdefault(queue, {})[State(state)] = jobs
    return out
