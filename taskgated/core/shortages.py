"""Reasons why a job does not start that are about what it needs by name (``core/named.py``)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import ClassVar, TypeVar

from taskgated.core.kinds import Kind

T = TypeVar("T")

NAMED = 3
"""Jobs that a reason names, at most."""


@dataclass(frozen=True, slots=True)
class TokensShort:
    """Fewer tokens are free than it needs; with a ``total`` below that it never starts. As many jobs as ``holders``
    have the others, ``held_by`` are some of them, the oldest first."""

    kind: ClassVar[Kind] = Kind.TOKEN
    token: str
    needed: int
    free: int
    total: int
    holders: int = 0
    held_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Locked:
    """Others have locked that name: as many as ``holders``, of whom ``held_by`` are some, the oldest first.
    ``shared``: it would share it."""

    kind: ClassVar[Kind] = Kind.LOCK
    lock: str
    shared: bool
    holders: int
    held_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Another job with its key runs: that in ``held_by``."""

    kind: ClassVar[Kind] = Kind.KEY
    key: str
    held_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokensPromised:
    """Tokens are free, and the job ``before``, which comes first, is short of them."""

    kind: ClassVar[Kind] = Kind.TOKEN
    token: str
    before: int


@dataclass(frozen=True, slots=True)
class LockPromised:
    """The lock could be had, and the job ``before``, which comes first, waits for it."""

    kind: ClassVar[Kind] = Kind.LOCK
    lock: str
    before: int


@dataclass(frozen=True, slots=True)
class KeyPromised:
    """No job with its key runs; the job ``before`` has it as well, and comes first."""

    kind: ClassVar[Kind] = Kind.KEY
    key: str
    before: int


@dataclass(frozen=True, slots=True)
class BehindItsLine:
    """Jobs that need the same by name, as many as could run at once, come before it."""

    kind: ClassVar[Kind] = Kind.ORDER


Shortage = TokensShort | Locked | KeyTaken | TokensPromised | LockPromised | KeyPromised | BehindItsLine


def told_of(reason: T, jobs: Collection[int]) -> T:
    """The same of one of these: ``jobs`` have what it is about."""
    some = tuple(nsmallest(NAMED, jobs))
    match reason:
        case TokensShort() | Locked():
            return replace(reason, holders=len(jobs), held_by=some)
        case KeyTaken():
            return replace(reason, held_by=some)
    return reason
