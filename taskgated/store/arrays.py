"""What a store says of an array as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskgated.core.job import Claim
from taskgated.core.order import Lane, Rank

CANCELLED = 1000
"""Queued jobs of an array that are cancelled at once, at most; others have their turn in between."""


@dataclass(frozen=True, slots=True)
class Group:
    """An array. ``owner``: who dropped its file, None: nothing of it is left to say; ``coming``: how many of
    its jobs are still to be taken in."""

    array: int
    owner: str | None
    coming: int


@dataclass(frozen=True, slots=True)
class Swept:
    """A piece of an array that was cancelled. ``over``: the jobs that will not start; ``ending``: those that run, and
    are to end; ``let_go``: kept files; ``next``: where to go on, None: that was all of it; ``best``: lanes that have
    more jobs now, which waited behind these (with the rank of the first)."""

    over: Sequence[int]
    ending: Sequence[int]
    let_go: Sequence[Claim]
    next: int | None
    best: Mapping[Lane, Rank] = field(default_factory=dict)
