"""What the passing of time does to jobs that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from taskgated.core.order import Lane, Rank


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of the passing of time: lanes that have more jobs now (with the rank of the first), jobs that
    expired (those whose deadline has passed are ``late``), kept files to let go, and when to look again, if ever."""

    best: Mapping[Lane, Rank]
    expired: Sequence[tuple[int, str, str]]  # id, queue, name
    let_go: Sequence[str]
    next_steady: int | None
    next_wall: int | None
    late: Collection[int] = ()
