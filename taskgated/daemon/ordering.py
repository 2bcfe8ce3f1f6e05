"""Has the store keep the order that is configured: when the worth of a point of priority changes, the turns of all
jobs that are not over do, a piece at a time, so that all else has its turn in between.

What a daemon did not come to the end of, the next one does. To begin anew is right at any time: where there is
nothing to do, the store says so at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from taskgated.core.gate import Gate
from taskgated.core.order import Lane, Rank
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.lanes import ask_lanes
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient


class Ordering:
    def __init__(self, store: StoreClient, gate: Gate, conductor: Conductor, journal: Journal) -> None:
        self._store = store
        self._gate = gate
        self._conductor = conductor
        self._journal = journal
        self._asked = 0  # how often it was asked for: the last one counts

    def keep(self, ageing: float) -> None:
        """From now on so many seconds of waiting are worth one point of priority."""
        self._asked += 1
        self._piece(self._asked, ageing, 0)

    def _piece(self, asked: int, ageing: float, after: int) -> None:
        def reordered(answer: Answer[int | None]) -> None:
            if asked != self._asked:
                return
            if answer.error is not None:
                self._failed(answer.error)
            elif (last := answer.get()) is not None:
                self._piece(asked, ageing, last)
            elif after:
                # Behind all else that was asked for: what comes meanwhile is told before, or is among these.
                ask_lanes(self._store, self._look)

        self._store.submit(lambda store: store.reorder(ageing, after), reordered)

    def _look(self, answer: Answer[Mapping[Lane, Rank]]) -> None:
        if answer.error is not None:
            self._failed(answer.error)
        else:
            self._conductor.do(self._gate.look_again(answer.get()))

    def _failed(self, error: Exception) -> None:
        text = f"the order of jobs could not be changed to what the configuration says: {error}"
        self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
