"""The question of the gate for the jobs that are next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from taskgated.core.order import Lane


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the store for the best queued jobs of these lanes: at most so many of each, at most ``most`` of all, those
    that are ``known`` (by id) left out; then call ``fetched``. ``number``: which question of the gate that is."""

    wanted: Mapping[Lane, int]
    known: frozenset[int]
    most: int
    number: int = 0
