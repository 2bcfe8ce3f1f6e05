"""Queues as callers name them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from taskgated.core.state import State
from taskgated.errors import NoSuchQueue
from taskgated.language.config import Config

Counts = Mapping[str, Mapping[State, int]]
"""How many jobs of each queue are in which state."""


def known(queues: Iterable[str], config: Config, counts: Counts, others: Container[str | None] = ()) -> None:
    """Raises ``NoSuchQueue`` for one that is neither configured nor among ``counts``, those that have had jobs, nor
    among ``others``."""
    for queue in unknown(queues, config, counts):
        if queue not in others:
            raise NoSuchQueue(queue)


def unknown(queues: Iterable[str], config: Config, counts: Counts) -> Iterator[str]:
    """Those that are neither configured nor among ``counts``."""
    return (queue for queue in queues if queue not in config.queues and queue not in counts)
