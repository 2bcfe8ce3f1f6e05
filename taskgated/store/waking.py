"""What the passing of time does to jobs that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from taskgated.core.job import Claim, Spec
from taskgated.core.order import Lane, Rank
from taskgated.host.clock import MICROSECONDS


def ends(spec: Spec, steady: int) -> tuple[int | None, int | None]:
    """When a job of that spec, submitted at this moment of the steady clock, expires, and its deadline."""
    moments = [None if one is None else steady + int(one * MICROSECONDS) for one in (spec.expires, spec.deadline)]
    return min((one for one in moments if one is not None), default=None), moments[1]


@dataclass(frozen=True, slots=True)
class Coming:
    """When ``wake`` has something to do next: by the steady clock, and, for a job that is due at a date, in so many
    seconds by the wall clock of the store (``until_date``); and when it is to be looked (``look``, steady) whether
    what a job requires is there. None: never, as things are."""

    steady: int | None
    until_date: float | None
    look: int | None


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of the passing of time: lanes that have more jobs now (with the rank of the first), jobs that
    expired (those whose deadline has passed are ``late``), kept files to let go, and when to look again."""

    best: Mapping[Lane, Rank]
    expired: Sequence[tuple[int, str, str]]  # id, queue, name
    let_go: Sequence[Claim]
    coming: Coming
    late: Collection[int] = ()
