"""Questions to the store for a call: in turns, and for as long as there is somebody to hear the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.contract import Questions
from taskgated.store.reader import Reader

T = TypeVar("T")

SHORT = "short"
LISTINGS = "listings"
"""Of what kind a question is. Those of one user have their turns by kind, so that a listing, which is many, does not
hold up the user's own short ones."""


class Asking:
    """The store has a reader for this, so that a long listing holds up nothing else."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def ask(
        self,
        call: Call,
        question: Callable[[Questions], T],
        done: Callable[[Answer[T]], object],
        *,
        kind: str = SHORT,
        insist: bool = False,
    ) -> None:
        """``done`` is called with the answer; what it raises is the answer to the call. ``insist``: also when the
        client has left by then."""
        gone = (lambda: False) if insist else (lambda: call.gone)
        self._reader.ask(question, call.then(done), lane=(call.uid, kind), gone=gone)
