"""Waiting in the store is not being stuck: whoever asks whether intake is alive is told which of the two it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from taskgated.intake.events import Sink
from taskgated.store.contract import Addition


class Patient:
    """A sink that says whether somebody is waiting for it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.busy = False

    def room(self) -> int:
        return self._sink.room()

    def add(self, batch: Sequence[Addition]) -> None:
        with self._waiting():
            self._sink.add(batch)

    def known(self, claim: str) -> int | None:
        with self._waiting():
            return self._sink.known(claim)

    def wanted(self, claim: str) -> bool:
        with self._waiting():
            return self._sink.wanted(claim)

    def settle(self, claims: Sequence[str]) -> None:
        with self._waiting():
            self._sink.settle(claims)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.busy = True
        try:
            yield
        finally:
            self.busy = False
