"""Reasons why a job does not start that are about what it needs by name (``core/named.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from taskgated.core.kinds import Kind


@dataclass(frozen=True, slots=True)
class TokensShort:
    """Fewer tokens are free than it needs; with a ``total`` below that it never starts."""

    kind: ClassVar[Kind] = Kind.TOKEN
    token: str
    needed: int
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Locked:
    """Others have locked that name: as many as ``holders``. ``shared``: it would share it."""

    kind: ClassVar[Kind] = Kind.LOCK
    lock: str
    shared: bool
    holders: int


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Another job with its key runs."""

    kind: ClassVar[Kind] = Kind.KEY
    key: str


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
