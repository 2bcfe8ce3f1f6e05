"""Has the store keep the order that is configured: when the worth of a point of priority changes, the turns of all
jobs that are not over do, a piece at a time, so that all else has its turn in between. Then all lines are
gone through, as the best of one may be another.

What a daemon did not come to the end of, the next one does. To begin anew is right at any time: where there is
nothing to do, the store says so at once.
"""

from __future__ import annotations

from taskgated.daemon.conductor import Conductor
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient


class Ordering:
    def __init__(self, store: StoreClient, conductor: Conductor, journal: Journal) -> None:
        self._store = store
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
                self._conductor.waiters.again()

        self._store.submit(lambda store: store.reorder(ageing, after), reordered)

    def _failed(self, error: Exception) -> None:
        text = f"the order of jobs could not be changed to what the configuration says: {error}"
        self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
