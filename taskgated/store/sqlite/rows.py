"""From rows of the SQLite store to what the contract speaks of. Which columns these have is said here alone
(``COLUMNS``); the statements ask for them by that.

A database is a file, and what is in a file may be anything: a later version wrote it, a disk lost a bit. SQLite
checks no type. So nothing is taken from a row unseen, and what cannot be understood concerns that one job alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import product
from types import NoneType
from typing import Any, TypeVar

from taskgated.core.after import Waited, When
from taskgated.core.fixed import HIGHEST_PRIORITY
from taskgated.core.job import Claim, Clock, Job, Result, Spec
from taskgated.core.order import FIRST, Lane, Rank
from taskgated.core.state import State
from taskgated.errors import UnreadableRow
from taskgated.store.contract import Attempt, Record
from taskgated.store.placement import Placement
from taskgated.text import to_text

STATES = frozenset(State)

Word = TypeVar("Word", State, Result)

LAST_MOMENT = 253_402_300_799_999_999
"""The last microsecond that has a date of four digits in its year (RFC 3339)."""

_SURELY = {int: (int,), str: (str,), bytes: (bytes,), float: (float, int)}
_MAYBE = {int: (int, NoneType), str: (str, NoneType)}
_JOB: dict[str, tuple[type, ...]] = {  # ``_RANK`` first
    "id": _SURELY[int],
    "queue": _SURELY[str],
    "owner": _SURELY[str],
    "turn": _SURELY[int],
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
    "claim_host": _SURELY[str],
    "array": _MAYBE[int],
    "parked": _SURELY[int],
    "waits": _MAYBE[str],
    "needs": _MAYBE[int],
    "nested": _MAYBE[int],
    "deadline": _MAYBE[int],
}
_RANK = ("id", "queue", "owner", "turn")
_ATTEMPT_NUMBER = list(_JOB).index("attempt")
_RIGHT = frozenset(product(*_JOB.values()))


def job_of(row: Sequence[object]) -> Job:
    """Raises ``UnreadableRow``."""
    if tuple(map(type, row)) not in _RIGHT:
        wrong = [name for (name, kinds), value in zip(_JOB.items(), row, strict=True) if type(value) not in kinds]
        raise UnreadableRow(_id(row), f"{', '.join(wrong)}: not of the right type")
    values: dict[str, Any] = dict(zip(_JOB, row, strict=True))  # each of its type, as was just seen
    counters = values["attempt"], values["failures"], values["crashes"]
    if not values["queue"].isprintable() or not 0 <= values["priority"] <= HIGHEST_PRIORITY or min(counters) < 0:
        raise UnreadableRow(values["id"], "queue, priority or a counter has a value that it cannot have")
    try:
        values["state"] = State(values["state"])
        values["spec"] = Spec.from_json(json.loads(values["spec"]))
        values["source"] = to_text(values["source"])
        values["parked"] = bool(values["parked"])
        values["waited"] = values.pop("needs") is not None
        values["claim"] = claim_of(values["claim"], values.pop("claim_host"))
        values["nested"] = None if values["nested"] is None else bool(values["nested"])
        values["due_clock"] = _clock(values["due"], values["due_clock"])
        return Job(**values)
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(values["id"], str(error)) from None


def job_or_part(row: Sequence[object], state: State) -> Job:
    """The job, or what can be read of it, with ``unreadable`` set: it counts where it belongs. ``state``: what the
    question was for."""
    try:
        job = job_of(row)
        if job.state is state:
            return job
        why = f"it is {job.state}, and {state} in another place"
    except UnreadableRow as error:
        why = error.why
    queue, owner = lane_of(row) or Lane(Spec().queue, "")
    turn, _ = rank_of(row)
    attempt = row[_ATTEMPT_NUMBER]
    number = attempt if type(attempt) is int and attempt >= 0 else 0
    return Job(_id(row), queue, 0, state, Spec(queue=queue), owner, turn, attempt=number, unreadable=why)


def lane_of(row: Sequence[object]) -> Lane | None:
    """The lane of a row that begins with the columns of ``rank``; None if that cannot be read."""
    _, queue, owner, _ = row[: len(_RANK)]
    return Lane(queue, owner) if type(queue) is str and queue.isprintable() and type(owner) is str else None


def rank_of(row: Sequence[object]) -> Rank:
    """``Job.rank`` of a row that begins with the columns of ``rank``. What has no readable one comes first, to be out
    of the way."""
    *_, turn = row[: len(_RANK)]
    return (turn if type(turn) is int else FIRST[0], _id(row))


def earliest(rows: Iterable[Sequence[object]]) -> dict[Lane, Rank]:
    """Of jobs, each with the columns of ``rank``: the rank of the first in each lane."""
    found: dict[Lane, Rank] = {}
    for row in rows:
        if (lane := lane_of(row)) is not None:
            rank = rank_of(row)
            found[lane] = min(rank, found.get(lane, rank))
    return found


def _clock(due: int | None, word: str | None) -> Clock:
    if word is None:
        return Clock.STEADY if due is None else Clock.LOOK
    return Clock(word)


def clock_word(job: Job) -> str | None:
    """How the clock stands in the row of a job. The first version has allowed these words, or none."""
    return None if job.due is None or job.due_clock is Clock.LOOK else job.due_clock


def _id(row: Sequence[object]) -> int:
    """The first column. That alone SQLite keeps a number, whatever is in the file (https://sqlite.org/rowidtable.html)."""
    id_ = row[0]
    assert isinstance(id_, int)
    return id_


_ATTEMPT = tuple(
    zip(
        ("number", *(f.name for f in fields(Placement)), *(f.name for f in fields(Attempt)[2:])),
        (
            _SURELY[int], _SURELY[str], _SURELY[str], _SURELY[str], _SURELY[int], _MAYBE[int], _MAYBE[str],
            _MAYBE[int], _MAYBE[int], _SURELY[float], _SURELY[float], _SURELY[int], _SURELY[int], _SURELY[int],
            _SURELY[str],
        ),
        strict=True,
    )
)  # fmt: skip
_RECORD = tuple(
    zip(
        (f.name for f in fields(Record)),
        (
            _SURELY[int], _SURELY[bytes], _SURELY[str], _SURELY[str], _SURELY[int], _SURELY[int], _SURELY[int],
            _SURELY[bytes], _SURELY[str], _SURELY[int], _SURELY[int], _MAYBE[int], _MAYBE[int], _MAYBE[int],
            _MAYBE[int], _MAYBE[int], _MAYBE[str], _SURELY[str], _MAYBE[int],
        ),
        strict=True,
    )
)  # fmt: skip
COLUMNS: dict[str, Sequence[str]] = {
    "job": list(_JOB),
    "rank": _RANK,
    "record": [name for name, _ in _RECORD],
    "attempt": [name for name, _ in _ATTEMPT],
}
"""What a statement means by ``{job}``, for one."""
_MOMENTS = frozenset({"submitted", "started", "finished", "due"})
_EMPTY: dict[tuple[type, ...], object] = {
    _SURELY[int]: 0, _SURELY[str]: "", _SURELY[bytes]: b"", _SURELY[float]: 0.0, _MAYBE[int]: None, _MAYBE[str]: None,
}  # fmt: skip


def attempt_of(row: Sequence[object]) -> Attempt:
    """What there is of an attempt; its message names what cannot be read."""
    values, wrong = _read(_ATTEMPT, row)
    values["result"] = _word(Result, values["result"], "result", wrong)
    if wrong:
        values["message"] = f"cannot be read: {', '.join(wrong)}"
    where = [values.pop(f.name) for f in fields(Placement)]
    return Attempt(placement=Placement(*where), **values)


def placement_of(row: Sequence[object]) -> Placement:
    """Of its columns; empty is what cannot be read, for whoever looks for who runs it."""
    return Placement(*(text_or_none(value) or "" for value in row))


def record_of(row: Sequence[object]) -> Record:
    """What there is of a job; its reason names what cannot be read."""
    values, wrong = _read(_RECORD, row)
    values["name"], values["source"] = to_text(values["name"]), to_text(values["source"])
    values["state"] = _word(State, values["state"], "state", wrong) or State.FAILED
    values["result"] = _word(Result, values["result"], "result", wrong)
    if wrong:
        values["reason"] = f"its row in the database is damaged, this cannot be read: {', '.join(wrong)}"
    return Record(**values)


def _read(columns: Sequence[tuple[str, tuple[type, ...]]], row: Sequence[object]) -> tuple[dict[str, Any], list[str]]:
    """Values by name, each of a type that its column has, empty ones where there are no right ones; and the names of
    those."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for (name, kinds), value in zip(columns, row, strict=True):
        good = type(value) in kinds and (name not in _MOMENTS or moment(value) == value)
        values[name] = value if good else _EMPTY[kinds]
        if not good:
            wrong.append(name)
    return values, wrong


def _word(kind: type[Word], value: str | None, name: str, wrong: list[str]) -> Word | None:
    """None also for a text that is none of the words; its name is among ``wrong`` then."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        if name not in wrong:
            wrong.append(name)
        return None


def waited(row: Sequence[object], now: int) -> Waited:
    """Of a row of the statement ``waits_for``; ``now``: the steady clock."""
    until, other, name, state, whole, of_witness, witness, patience, word = row
    shown = (witness if of_witness else None) if whole else state
    return Waited(
        other if isinstance(other, int) else word if isinstance(word, int) else None,
        to_text(name) if isinstance(name, bytes) else word if isinstance(word, str) else "",
        When(str(until)),
        State(shown) if isinstance(shown, str) and shown in STATES else None,
        bool(whole),
        max(0, patience - now) if isinstance(patience, int) else None,
    )


def json_of(value: object) -> object:
    """What a column holds as JSON. Raises ``TypeError`` or ``ValueError``, or ``RecursionError``."""
    if not isinstance(value, str | bytes):
        raise TypeError(f"the JSON object must be text, not {type(value).__name__}")
    loaded: object = json.loads(value)
    return loaded


def moment(value: object) -> int | None:
    """A time that can be written as a date, or none."""
    return value if type(value) is int and 0 <= value <= LAST_MOMENT else None


def text_or_none(value: object) -> str | None:
    """What a column for text holds, if that is text."""
    return value if isinstance(value, str) else None


def claim_of(name: object, host: object) -> Claim | None:
    """What two columns hold, if that is a claimed file."""
    return Claim(host, name) if isinstance(name, str) and isinstance(host, str) else None


def per_queue(rows: Iterable[Sequence[object]]) -> dict[str, dict[State, int]]:
    """Jobs by queue and state; damaged counts are left out, for ``check`` to tell of."""
    out: dict[str, dict[State, int]] = {}
    for queue, state, jobs in rows:
        if not (isinstance(queue, str) and queue.isprintable() and isinstance(jobs, int)):
            continue
        if isinstance(state, str) and state in STATES:
            out.setdefault(queue, {})[State(state)] = jobs
    return out
