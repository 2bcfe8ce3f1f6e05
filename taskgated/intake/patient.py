"""Waiting is not being stuck, nor is being slow: whoever asks whether intake is alive is told which it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from taskgated.core.job import State
from taskgated.intake.events import Accepted, Sink
from taskgated.store.contract import Addition


@dataclass(slots=True)
class Progress:
    """How many things were done so far; it grows also while one batch takes long on a slow disk."""

    steps: int = 0


class Patient:
    """A sink that says whether somebody is waiting for it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.busy = False

    def room(self) -> int:
        return self._sink.room()

    def queued_by(self, owner: int) -> int:
        with self._waiting():
            return self._sink.queued_by(owner)

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        with self._waiting():
            self._sink.add(batch, accepted)

    def known(self, claim: str) -> int | None:
        with self._waiting():
            return self._sink.known(claim)

    def keeper(self, claim: str) -> State | None:
        with self._waiting():
            return self._sink.keeper(claim)

    def data_queues(self) -> Sequence[str]:
        with self._waiting():
            return self._sink.data_queues()

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        with self._waiting():
            self._sink.keep_data_queues(queues)

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
