"""Where jobs are in their lives, and in their lines: what several verbs look at and change."""

from __future__ import annotations

from typing import NamedTuple

from taskgated.core.job import Claim
from taskgated.core.lifecycle import Verb, step
from taskgated.core.state import State
from taskgated.errors import NoSuchJob
from taskgated.host import clock
from taskgated.store.byhand import Came
from taskgated.store.sqlite.lines import Lines
from taskgated.store.sqlite.order import Order
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.rows import claim_of, earliest


class Place(NamedTuple):
    """Where a job is in its life. ``to_be_cancelled``: that was asked for while it ran. ``line``: see
    ``store/waiting``."""

    state: State
    attempt: int
    claim: Claim | None
    to_be_cancelled: bool
    array: int | None = None
    parked: bool = False
    line: int | None = None


class Places(SqliteQuestions):
    _order: Order
    _lines: Lines

    def _place(self, job: int) -> Place:
        row = self._sql.one("place", id=job)
        if row is None:
            raise NoSuchJob(job)
        state, attempt, claim, host, ending, array, parked, line = row
        return Place(State(state), attempt, claim_of(claim, host), ending is not None, array, bool(parked), line)

    def _next_of(self, line: int | None) -> Came | None:
        """One of a line may be out no more, and another comes out: its lane and rank."""
        return next(iter(earliest(self._lines.next(line)).items()), None)

    def _put_back(self, job: int, line: int | None) -> Came | None:
        """A job may run again, or is behind that line: lane and rank of the best that may run now."""
        rows = self._sql.rows("rank", id=job) if line is None else self._lines.joined(line)
        return next(iter(earliest(rows).items()), None)

    def _move(self, job: int, before: State, verb: Verb, reason: str) -> State:
        """A job that does not run goes on; returns its new state."""
        state = step(before, verb)
        finished, since = (clock.wall(), self.uptime.now()) if state.final else (None, None)
        self._sql.run("move", id=job, before=before, state=state, reason=reason, finished=finished, since=since)
        return state
