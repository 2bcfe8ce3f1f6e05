"""What the passing of time does to jobs that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of the passing of time: queues that have more jobs now (with the best priority), jobs that
    expired (those whose deadline has passed are ``late``), kept files to let go, and when to look again, if ever."""

    best: Mapping[str, int]
    expired: Sequence[tuple[int, str, str]]  # id, queue, name
    let_go: Sequence[str]
    next_steady: int | None
    next_wall: int | None
    late: Collection[int] = ()
