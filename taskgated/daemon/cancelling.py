"""Cancels whole arrays, a piece at a time, so that all else has its turn in between. From the first piece on the
store starts none of their jobs.

What a daemon did not come to the end of, the next one does: the store knows of which arrays that is so. To begin
anew is to find nothing left to do with what was dealt with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskgated.core.gate import Gate
from taskgated.daemon.conductor import Conductor
from taskgated.store.answer import Answer
from taskgated.store.arrays import Swept
from taskgated.store.client import StoreClient, ignore

Told = tuple[int, int]
"""How many jobs were cancelled, and how many are told to end."""


class Cancelling:
    def __init__(self, store: StoreClient, gate: Gate, conductor: Conductor) -> None:
        self._store = store
        self._under_way: set[int] = set()
        self._gate = gate
        self._conductor = conductor

    def cancel(self, array: int, done: Callable[[Answer[Told]], None]) -> None:
        """``done`` is called when all that is there of it was dealt with, or with what the store said against it."""
        self._under_way.add(array)
        self._piece(array, 0, (0, 0), done)

    def go_on(self, arrays: Sequence[int]) -> None:
        """With these, where nobody does, as with what the last daemon left."""
        for array in arrays:
            if array not in self._under_way:
                self.cancel(array, ignore)

    def _piece(self, array: int, after: int, so_far: Told, done: Callable[[Answer[Told]], None]) -> None:
        def swept(answer: Answer[Swept]) -> None:
            if answer.error is not None:
                self._under_way.discard(array)
                done(Answer[Told].failed(answer.error))
                return
            piece = answer.get()
            self._conductor.never_start(piece.over, piece.let_go)
            self._conductor.do(self._gate.dropped(piece.over))
            for job in piece.ending:
                self._conductor.do(self._gate.cancel(job))
            for lane, rank in piece.best.items():
                self._conductor.do(self._gate.queued(lane, rank))
            told = (so_far[0] + len(piece.over), so_far[1] + len(piece.ending))
            if piece.next is None:
                self._under_way.discard(array)
                done(Answer.of(told))
            else:
                self._piece(array, piece.next, told, done)

        self._store.submit(lambda store: store.cancel_array(array, after), swept)
