"""The lanes of the store, piece by piece, so that all else has its turn in between, however many they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskgated.core.order import Lane, Rank
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.turns import START, Lanes


def ask_lanes(store: StoreClient, done: Callable[[Answer[Mapping[Lane, Rank]]], None]) -> None:
    """All that have jobs which may run, each with the rank of the first of them, as it was when its piece was read:
    what comes meanwhile is told by those who hear of it."""
    found: dict[Lane, Rank] = {}

    def piece(answer: Answer[Lanes]) -> None:
        if answer.error is not None:
            done(Answer.failed(answer.error))
            return
        page = answer.get()
        found.update(page.first)
        if page.last is None:
            done(Answer.of(found))
        else:
            ask(page.last)

    def ask(after: Lane) -> None:
        store.ask(lambda store: store.lanes(after), piece)

    ask(START)
