"""Jobs that wait for something by name, between the gate and the store: who is sent to wait, and who comes back.

What is lost on the way, by a crash or a mistake, is found by the next inventory (``daemon/stocktaking.py``): nothing
here is remembered but which lines are still to be gone through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from taskgated.core.capacity import Policy
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Job
from taskgated.core.order import Lane, Rank
from taskgated.core.parking import Back, Park, Recall
from taskgated.core.promises import Waiter
from taskgated.daemon.lanes import ask_lanes
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.waiting import First, Parking, Recalled, Room, Totals


@dataclass(frozen=True, slots=True)
class _Piece:
    """The lines behind that one are gone through, as there is so much."""

    totals: Totals
    after: int


class Waiters:
    """``do``: carries out what the gate says. ``readable``: deals with those jobs that the store cannot read, and
    returns the others."""

    def __init__(
        self,
        gate: Gate,
        store: StoreClient,
        journal: Journal,
        do: Callable[[Iterable[Action]], None],
        readable: Callable[[Iterable[Job]], list[Job]],
    ) -> None:
        self._gate = gate
        self._store = store
        self._do = do
        self._journal = journal
        self._readable = readable
        self._totals: Totals | None = None  # of which the store knows, or is being told
        self._asked: _Piece | None = None  # which has no answer yet
        self._before: _Piece | None = None  # the same at the last inventory
        self._failure = ""  # of the last piece, as it was told

    def begin(self) -> None:
        """The gate begins."""
        self.policy(self._gate.capacities.policy)

    def policy(self, policy: Policy) -> None:
        """That is what there is of everything now. If it is what it was, the lines are as they have to be: there may
        be as many as jobs."""
        totals = Totals(policy.at_once, policy.tokens)
        if totals != self._totals:
            self._totals = totals
            self._refit(totals)

    def again(self) -> None:
        """The order of jobs is another: it is decided anew who is out of each line, and so which lanes have some."""
        self._totals = None
        self.policy(self._gate.capacities.policy)

    def taken(self) -> None:
        """An inventory was taken: what was asked before the last one has its answer, or has none, and is asked again.
        To go through lines once more is always right."""
        if self._asked is not None and self._asked is self._before:
            self._refit(self._asked.totals, self._asked.after)
        self._before = self._asked

    def park(self, action: Park) -> None:
        jobs = [Parking(job, waits, needs) for job, (waits, needs) in action.jobs.items()]

        def done(answer: Answer[None]) -> None:
            if answer.error is not None:
                self._failed(f"what jobs wait for cannot be noted: {answer.error}")
            self._do(self._gate.parked(action.jobs))

        self._store.submit(lambda store: store.park(jobs), done, early=True)

    def recall(self, action: Recall) -> None:
        wanted = rooms(action)

        def done(answer: Answer[Recalled]) -> None:
            if answer.error is not None:
                self._failed(f"who waits cannot be found: {answer.error}")
                self._do(self._gate.recalled([], action, {}))
                return
            recalled = answer.get()
            self._do(self._gate.recalled(self._readable(recalled.jobs), action, answered(recalled)))

        self._store.submit(lambda store: store.recall(wanted), done, early=True)

    def _failed(self, text: str) -> None:
        self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)

    def _refit(self, totals: Totals, after: int = -(2**63)) -> None:
        """There may be more or less of something: it is decided anew how many of a line are out."""
        asked = self._asked = _Piece(totals, after)

        def done(answer: Answer[int | None]) -> None:
            if asked is not self._asked:
                return  # it was asked again, or there is more or less again, and all lines are gone through for that
            if answer.error is not None:
                self._before = asked  # the next inventory has it asked again
                if (text := str(answer.error)) != self._failure:
                    self._failed(f"what there is of tokens cannot be told to the store: {text}")
                self._failure = text
                return
            self._asked, self._failure = None, ""
            if (next_ := answer.get()) is not None:
                self._refit(totals, next_)
            else:
                ask_lanes(self._store, self._out)

        self._store.submit(lambda store: store.refit(totals, after), done)

    def _out(self, answer: Answer[Mapping[Lane, Rank]]) -> None:
        """Jobs have come out of their lines: which lanes have some that may run."""
        self._do(self._gate.look_again({} if answer.error is not None else answer.get()))


def rooms(asked: Recall) -> dict[str, Room]:
    """What the gate asks, as the store is asked."""
    return {
        name: Room(room.free, room.total, () if room.dismiss is None else (room.dismiss.id,), room.most)
        for name, room in asked.rooms.items()
    }


def answered(recalled: Recalled) -> dict[str, Back]:
    """What the store says, as the gate is told, beside the jobs."""
    return {first.waits: Back(first.back, _waiter(first)) for first in recalled.first}


def _waiter(first: First) -> Waiter | None:
    if first.job is None:
        return None
    return Waiter(first.job, (first.turn, first.job), Lane(first.queue, first.owner), first.needs)
