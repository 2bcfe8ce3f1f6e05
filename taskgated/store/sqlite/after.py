"""Jobs that run after others, in the SQLite store: what is noted of each when it comes, and what becomes of it when
another one is over. ``core/after.py`` says what follows from an end; that there was one, triggers note
(``sql/*-after.sql``), whichever verb it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from taskgated.core.after import (
    Condition,
    EndedOtherwise,
    Fate,
    NeverCame,
    NoSuchId,
    Unmet,
    WaitsForIt,
    When,
    together,
)
from taskgated.core.after import fate as fate_of
from taskgated.core.job import Claim, Job, Spec
from taskgated.core.lifecycle import Verb, step
from taskgated.core.state import State
from taskgated.host import clock
from taskgated.host.clock import MICROSECONDS, Steady, Uptime
from taskgated.store import after, contract
from taskgated.store.after import Cancelled, Resolved, unmet
from taskgated.store.contract import Addition
from taskgated.store.sqlite.lines import Lines
from taskgated.store.sqlite.rows import STATES, claim_of, earliest
from taskgated.store.sqlite.statements import Row, Statements
from taskgated.text import to_bytes, to_text

LAST_ID = 2**63 - 1
CIRCLE = 100_000
"""Jobs behind a new one that are looked at, at most, to see whether it waits for one that would wait for it."""
TRIED = 16
"""Jobs of one name, the newest ones, one of which is given to who waits for it."""
WALKED = 20_000
"""The same behind all those that are given at once to who waits for their names, about."""
GIVEN = 2_000
"""Conditions that are given a job of their name at once, at most."""


class _Other(NamedTuple):
    """The job that is waited for, as far as it is known. ``whole``: as the first of its array it stands for that."""

    id: int
    state: State
    whole: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """A condition as it is noted: a job that is there, or one of that name that may come until ``patience``, or one
    that is ``lost``; where that one is there all the same, it waits for this one itself."""

    place: int
    when: When
    other: _Other | None = None
    name: bytes | None = None
    patience: int | None = None
    lost: str | None = None

    @property
    def timed(self) -> bool:
        return self.patience is not None


@dataclass(slots=True)
class _Piece:
    """What came of a part of the work. ``left``: so many conditions may still be resolved; ``timed``: what waits for
    no other any more is not due yet."""

    left: int
    free: list[Row] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    over: list[Cancelled] = field(default_factory=list)
    let_go: list[Claim] = field(default_factory=list)
    timed: bool = False


class Incoming:
    """Jobs of one file that are being added; ``addition``: they."""

    def __init__(self, sql: Statements, clock: Steady, addition: Addition) -> None:
        self._sql = sql
        self._clock = clock
        self._addition = addition
        self._named: dict[tuple[bytes, int | None, float], Wait] = {}
        self._circles: dict[tuple[int, int], bool] = {}
        self._parts: dict[int, _Other] = {}
        self._replaced: set[int] = set()

    def replaced(self, job: int) -> None:
        """That one is over since, for one of these jobs; others of the file may wait for it all the same."""
        self._replaced.add(job)

    def waits(self, spec: Spec, array: int | None) -> list[Wait]:
        """What a job has to wait for that is not there yet itself. ``array``: that of which it is, if the first of
        that is there."""
        return [self._wait(place, condition, spec, array) for place, condition in enumerate(spec.after)]

    def _wait(self, place: int, condition: Condition, spec: Spec, array: int | None) -> Wait:
        if condition.part is not None:
            other = self._part(condition.part)
            return Wait(place, condition.when, other, lost="forgotten" if other is None else None)
        if isinstance(condition.job, int):
            other = _known(self._sql.one("job_of_id", id=condition.job))
            if other is not None and (array is None or other.id < array):
                return self._around(Wait(place, condition.when, other), array)
            (last,) = self._sql.one("last_id") or (0,)
            given = condition.job <= (last if array is None else array)
            return Wait(place, condition.when, lost="forgotten" if given else "never given")
        named = to_bytes(condition.job), array, spec.after_timeout
        if named not in self._named:
            self._named[named] = self._of_name(place, *named)
        return replace(self._named[named], place=place, when=condition.when)

    def _of_name(self, place: int, name: bytes, array: int | None, patient: float) -> Wait:
        """A job of an array waits for what the first of it waits for, also if it comes in a later piece: the newest
        of that name then, or the next that came. (How that one must end is not said here.)"""
        owner, patience = self._addition.owner, self._clock.now() + int(patient * MICROSECONDS)
        unknown = Wait(place, When.OVER, name=name, patience=patience)
        if array is None:
            row = self._sql.one("newest_of_name", owner=owner, name=name, before=LAST_ID)
            return unknown if row is None else Wait(place, When.OVER, _other(row))
        if (known := self._sql.one("condition_at", job=array, place=place)) is not None:
            other, still_unknown, until = known
            if still_unknown is not None:
                return replace(unknown, patience=until)
            row = self._sql.one("job_of_id", id=other)
        else:
            row = self._sql.one("newest_of_name", owner=owner, name=name, before=array)
            row = self._sql.one("next_of_name", owner=owner, name=name, array=array) if row is None else row
        return unknown if row is None else self._around(Wait(place, When.OVER, _other(row)), array)

    def _around(self, wait: Wait, array: int | None) -> Wait:
        """What waits for the whole array itself is lost: neither would ever start."""
        other = wait.other
        if array is None or other is None:
            return wait
        known = self._circles.get((other.id, array))
        if known is None:
            row = self._sql.only("waits_for_array", other=other.id, whole=int(other.whole), array=array, most=CIRCLE)
            known = self._circles[other.id, array] = bool(row[0])
        return replace(wait, lost="never given") if known else wait

    def _part(self, part: int) -> _Other | None:
        """None: it was over so long ago that it is forgotten."""
        if part not in self._parts:
            claim = self._addition.claim
            row = self._sql.one("awaited_part", host=claim.host, claim=claim.name, part=part)
            if (other := _known(row)) is None:
                return None
            self._parts[part] = other
        return self._parts[part]

    def added(self, job: Job, part: int, waits: Sequence[Wait]) -> None:
        """That part is there, as ``job``."""
        for wait in waits:
            other = wait.other
            self._sql.run(
                "condition",
                job=job.id,
                place=wait.place,
                until=wait.when,
                other=None if other is None else other.id,
                whole=int(other is not None and other.whole),
                owner=None if wait.name is None else self._addition.owner,
                name=wait.name,
                patience=wait.patience,
                lost=wait.lost,
            )
            if other is not None:
                over = other.id in self._replaced
                look_at(self._sql, other._replace(state=State.CANCELLED) if over else other)
        self._parts[part] = _Other(job.id, job.state, job.array == job.id)
        if part in self._addition.awaited:
            claim = self._addition.claim
            self._sql.run("awaited", host=claim.host, claim=claim.name, part=part, job=job.id)


def _known(row: Sequence[object] | None) -> _Other | None:
    return None if row is None else _other(row)


def _other(row: Sequence[object]) -> _Other:
    """Of id, state and array."""
    id_, state, array = row
    assert isinstance(id_, int)
    return _Other(id_, _state(state), array == id_)


def _state(value: object) -> State:
    """What is damaged has failed, as it will be condemned."""
    return State(value) if isinstance(value, str) and value in STATES else State.FAILED


def look_at(sql: Statements, other: _Other) -> None:
    """Something waits for that one from now on. If it is over, that is resolved as if it were so from now on."""
    if other.whole:
        sql.run("watch", array=other.id)
    elif other.state.final:
        sql.run("ended", job=other.id)


def by_name(sql: Statements, owner: str, names: Collection[str]) -> None:
    """Jobs of these names came; some may be waited for. What cannot be done at once is left for ``piece``."""
    if not sql.only("any_by_name")[0]:
        return
    for name in names:
        key = to_bytes(name)
        if sql.one("condition_by_name", owner=owner, name=key) is not None:
            sql.run("came", owner=owner, name=key)
    _give(sql)


def _give(sql: Statements) -> bool:
    """Who waits for a job by its name is given the newest of it. A job is not given to one for which it waits itself:
    that one is given the one before, or goes on waiting for another. Returns whether all that came were given."""
    walks, gifts = WALKED, GIVEN
    while (row := sql.one("next_came")) is not None:
        if walks <= 0:
            return False
        owner, name = row
        before = LAST_ID
        for _ in range(TRIED):
            known = sql.one("newest_of_name", owner=owner, name=name, before=before)
            if known is None:
                break
            other = _other(known)
            walks -= sql.only("number_behind", other=other.id, whole=int(other.whole), most=CIRCLE)[0]
            to = {"owner": owner, "name": name, "other": other.id, "whole": int(other.whole)}
            if given := sql.run("condition_name_came", **to, most=CIRCLE, limit=gifts):
                look_at(sql, other)
            gifts -= given
            if gifts <= 0:
                return False  # there may be more who wait for it
            if sql.one("condition_by_name", owner=owner, name=name) is None:
                break
            before = other.id
        sql.run("came_seen", owner=owner, name=name)
    return True


def file_gone(sql: Statements, claim: Claim) -> None:
    """Nothing more comes of a claimed file."""
    sql.run("watch_comes_no_more", host=claim.host, claim=claim.name)
    sql.run("awaited_forget", host=claim.host, claim=claim.name)


class Resolving:
    """One piece of what follows from the end of others."""

    def __init__(self, sql: Statements, clock: Steady, uptime: Uptime, lines: Lines) -> None:
        self._sql = sql
        self._clock = clock
        self._uptime = uptime
        self._lines = lines

    def piece(self) -> Resolved:
        done = _Piece(after.RESOLVED)
        if _give(self._sql):  # or one that came would not have come in time
            self._lost(done)
        while done.left > 0 and (row := self._sql.one("next_ended")) is not None:
            self._ended(row[0], done)
        while done.left > 0 and (row := self._sql.one("next_watched")) is not None:
            self._watched(row, done)
        for line in done.lines:
            done.free += self._lines.joined(line)
        more = bool(self._sql.only("unresolved", steady=self._clock.now())[0])
        return Resolved(earliest(done.free), done.over, done.let_go, more, done.timed)

    # -- what is found ---------------------------------------------------------------------------

    def _lost(self, done: _Piece) -> None:
        """What will not come, or has not come in time."""
        for job, place, lost, other in self._sql.rows("lost_conditions", steady=self._clock.now(), limit=done.left):
            done.left -= 1
            self._cancel(job, self._why_lost(job, place, lost, other), done)

    def _why_lost(self, job: int, place: int, lost: object, other: object) -> Unmet:
        if isinstance(other, int):
            return WaitsForIt(other, _text((self._sql.one("end_of", id=other) or (None, None))[1]))
        word, seconds = self._sql.only("condition_word", id=job, place=place)
        name = str(word)
        if lost is not None:
            return NoSuchId(word if isinstance(word, int) else 0, given=lost == "forgotten")
        return NeverCame(name, float(seconds) if isinstance(seconds, int | float) else Spec().after_timeout)

    def _ended(self, job: int, done: _Piece) -> None:
        row = self._sql.one("end_of", id=job)
        if row is not None and not (state := _state(row[0])).final:
            self._sql.run("looked_at", job=job)  # it is not over any more; its next end is noted anew
            return
        rows = self._sql.rows("conditions_on", other=job, whole=0, limit=done.left)
        if len(rows) < done.left:
            self._sql.run("looked_at", job=job)
        for dependant, place, until in rows:
            done.left -= 1
            if row is None:
                self._cancel(dependant, NoSuchId(job, given=True), done)
            else:
                why = EndedOtherwise(job, _text(row[1]), When(until), state)
                self._resolve(dependant, place, state, why, done)

    def _watched(self, row: Sequence[object], done: _Piece) -> None:
        """Look through an array for one that is not over."""
        array, seen, worst = row
        assert isinstance(array, int) and isinstance(seen, int)
        ends = {_state(worst)}
        witness = None
        number = 0
        for id_, state in self._sql.rows("elements_after", array=array, seen=seen, limit=contract.SCANNED):
            number += 1
            if not (known := _state(state)).final:
                witness = id_
                break
            ends.add(known)
            seen = id_
        end = together(ends)
        coming = witness is None and self._sql.only("array_coming", array=array)[0] > 0
        decided = witness is None and not coming and number < contract.SCANNED
        again = witness is None and not coming
        self._sql.run("watched", array=array, seen=seen, worst=end, witness=witness, again=int(again))
        if number == contract.SCANNED:
            done.left = 0  # that was much for once
        if not decided:
            return
        rows = self._sql.rows("conditions_on", other=array, whole=1, limit=done.left)
        if len(rows) < done.left:
            self._sql.run("watch_over", array=array)
        name = _text((self._sql.one("end_of", id=array) or (None, None))[1])
        for dependant, place, until in rows:
            done.left -= 1
            why = EndedOtherwise(array, name, When(until), end, array=True)
            self._resolve(dependant, place, end, why, done)

    # -- what follows ----------------------------------------------------------------------------

    def _resolve(self, job: int, place: int, state: State, why: EndedOtherwise, done: _Piece) -> None:
        if fate_of(why.when, state) is Fate.NEVER:
            self._cancel(job, why, done)
            return
        self._sql.run("condition_met", job=job, place=place)
        if self._sql.one("condition_left", job=job) is None:
            self._free(job, done)

    def _free(self, job: int, done: _Piece) -> None:
        """It waits for nobody any more, and is one of its line from now on, if it has one."""
        row = self._sql.one("free", id=job, steady=self._clock.now())
        if row is None:
            return
        *ranked, line, state, due = row
        done.timed = done.timed or due is not None
        if line is not None:
            done.lines.add(line)
        elif state == State.QUEUED and due is None:
            done.free.append(tuple(ranked))

    def _cancel(self, job: int, unmet_: Unmet, done: _Piece) -> None:
        why = unmet(unmet_)
        at, since, state = clock.wall(), self._uptime.now(), step(State.QUEUED, Verb.CANCEL)
        row = self._sql.one("cancel_waiting", id=job, state=state, finished=at, since=since, reason=why)
        if row is None:
            return  # it was dropped for another condition of its own
        queue, name, claim, host = row
        done.over.append(Cancelled(job, queue if isinstance(queue, str) else "", _text(name), why))
        if (kept := claim_of(claim, host)) is not None:
            done.let_go.append(kept)


def _text(name: object) -> str:
    return to_text(name) if isinstance(name, bytes) else ""
