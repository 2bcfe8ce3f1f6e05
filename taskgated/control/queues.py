"""Queues as callers name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taskgated.core.state import State
from taskgated.errors import NoSuchQueue
from taskgated.language.config import Config


def known(queues: Iterable[str], config: Config, counts: Mapping[str, Mapping[State, int]]) -> None:
    """Raises ``NoSuchQueue`` for one that is neither configured nor among ``counts``, those that have had jobs."""
    for queue in queues:
        if queue not in config.queues and queue not in counts:
            raise NoSuchQueue(queue)
