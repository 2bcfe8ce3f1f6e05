"""Where jobs are in their lives, and in their arrays: what several verbs look at and change."""

from __future__ import annotations

from typing import NamedTuple

from taskgated.core.lifecycle import Verb, step
from taskgated.core.state import State
from taskgated.errors import NoSuchJob
from taskgated.host.clock import wall
from taskgated.store.byhand import Came
from taskgated.store.sqlite.order import Order
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.rows import earliest


class Place(NamedTuple):
    """Where a job is in its life. ``to_be_cancelled``: that was asked for while it ran. ``bounded``: the array of
    which it has a place, or waits for one; None: there is no such bound."""

    state: State
    attempt: int
    claim: str | None
    to_be_cancelled: bool
    array: int | None = None
    bounded: int | None = None
    parked: bool = False


class Places(SqliteQuestions):
    _order: Order

    def _place(self, job: int) -> Place:
        row = self._sql.one("place", id=job)
        if row is None:
            raise NoSuchJob(job)
        state, attempt, claim, ending, array, at_most, parked = row
        bounded = array if at_most is not None else None
        return Place(State(state), attempt, claim, ending is not None, array, bounded, bool(parked))

    def _next_of(self, array: int | None) -> Came | None:
        """A place in an array may have come free: the next job gets it. Returns that one's lane and rank."""
        rows = [] if array is None else self._sql.rows("array_next", array=array)
        return next(iter(earliest(rows).items()), None)

    def _move(self, job: int, before: State, verb: Verb, reason: str) -> State:
        """A job that does not run goes on; returns its new state."""
        state = step(before, verb)
        finished, since = (wall(), self.uptime.now()) if state.final else (None, None)
        self._sql.run("move", id=job, before=before, state=state, reason=reason, finished=finished, since=since)
        return state
