"""Capacities that a job names itself: tokens, locks, its key, the places of its array. A job *needs* so much of each
while it runs; it takes all at once at its start, or none, so that no two jobs can wait for each other.

A name stands for one in the store: what a job waits for is written there by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import Job, Locks
from taskgated.core.reasons import (
    ArrayFull,
    NotItsTurn,
    Reason,
)
from taskgated.core.shortages import KeyPromised, KeyTaken, Locked, LockPromised, TokensPromised, TokensShort

WHOLE = 1_000_000
"""What there is of a lock: who locks it alone takes all of it, who shares it takes one."""


class HasTokens(Protocol):
    """What says how much there is."""

    @property
    def tokens(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """So many of one kind, for the jobs of all queues."""

    token: str

    @property
    def name(self) -> str:
        return f"token:{self.token}"

    def total(self, policy: HasTokens) -> int:
        return policy.tokens.get(self.token, 0)

    def short(self, used: int, total: int, needed: int) -> Reason:
        return TokensShort(self.token, needed, max(0, total - used), total)

    def promised(self, before: int) -> Reason:
        return TokensPromised(self.token, before)


@dataclass(frozen=True, slots=True)
class Lock:
    """A name that is locked by one alone, or by several that share it."""

    lock: str

    @property
    def name(self) -> str:
        return f"lock:{self.lock}"

    def total(self, policy: HasTokens) -> int:
        return WHOLE

    def short(self, used: int, total: int, needed: int) -> Reason:
        return Locked(self.lock, shared=needed < WHOLE, holders=1 if used >= WHOLE else used)

    def promised(self, before: int) -> Reason:
        return LockPromised(self.lock, before)


@dataclass(frozen=True, slots=True)
class Key:
    """One job of a user at a time."""

    owner: str
    key: str

    @property
    def name(self) -> str:
        return f"key:{self.owner}:{self.key}"

    def total(self, policy: HasTokens) -> int:
        return 1

    def short(self, used: int, total: int, needed: int) -> Reason:
        return KeyTaken(self.key)

    def promised(self, before: int) -> Reason:
        return KeyPromised(self.key, before)


@dataclass(frozen=True, slots=True)
class ArrayPlaces:
    """So many jobs of an array at once."""

    array: int
    at_most: int

    @property
    def name(self) -> str:
        return f"array:{self.array}:{self.at_most}"

    def total(self, policy: HasTokens) -> int:
        return self.at_most

    def short(self, used: int, total: int, needed: int) -> Reason:
        return ArrayFull(self.array, self.at_most)

    def promised(self, before: int) -> Reason:
        return ArrayFull(self.array, self.at_most)


@dataclass(frozen=True, slots=True)
class Retries:
    """How many jobs of a queue that have failed before may start. Nobody has them: a start uses one up, and who looks
    at the doors says how many there are (``core/doors.py``)."""

    queue: str

    @property
    def name(self) -> str:
        return f"retries:{self.queue}"

    def total(self, policy: HasTokens) -> int:
        return WHOLE

    def short(self, used: int, total: int, needed: int) -> Reason:
        return NotItsTurn(self.queue, 0)

    def promised(self, before: int) -> Reason:
        return NotItsTurn(self.queue, 1)


Named = Tokens | Lock | Key | ArrayPlaces | Retries

Needs = tuple[tuple[Named, int], ...]
"""How much of which, each once."""


def needs_of(job: Job) -> Needs:
    """What a job takes from the moment its start is decided until nothing of it is left."""
    spec = job.spec
    if (
        not job.failed_before
        and not spec.tokens
        and spec.locks == _NO_LOCKS
        and not spec.key
        and spec.array.at_most is None
    ):
        return ()
    found: list[tuple[Named, int]] = [(Tokens(name), amount) for name, amount in spec.tokens.items() if amount > 0]
    found += ((Lock(name), WHOLE) for name in spec.locks.exclusive)
    found += ((Lock(name), 1) for name in spec.locks.shared)
    if spec.key:
        found.append((Key(job.owner, spec.key), 1))
    if spec.array.at_most is not None and job.array is not None:
        found.append((ArrayPlaces(job.array, spec.array.at_most), 1))
    if job.failed_before:
        found.append((Retries(job.queue), 1))
    return tuple(found)


_NO_LOCKS = Locks()


def named(name: str) -> Named | None:
    """The capacity of that name; None if it is none."""
    kind, _, rest = name.partition(":")
    first, _, second = rest.partition(":")
    match kind:
        case "token":
            return Tokens(rest)
        case "lock":
            return Lock(rest)
        case "key" if first:
            return Key(first, second)
        case "array" if first.isdecimal() and second.isdecimal():
            return ArrayPlaces(int(first), int(second))
        case "retries":
            return Retries(rest)
    return None


def line_of(queue: str, owner: str, needs: Needs) -> int | None:
    """A number that jobs have in common which are alike for every gate: of one queue and user, with the same needs.
    None of jobs that need nothing by name. (63 bits of a hash: that two lines of a million have the same is as likely
    as one to ten million, and only has one of them wait for the other.)"""
    words = [f"{capacity.name}={amount}" for capacity, amount in needs if not isinstance(capacity, Retries)]
    if not words:
        return None
    words = [queue, owner, *sorted(words)]
    digest = hashlib.blake2b("\0".join(words).encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def at_once(needs: Needs, policy: HasTokens, limit: int) -> int:
    """How many jobs of a line could run at once, were there no others; at least one. ``limit``: of all jobs."""
    return max(1, min([limit, *(capacity.total(policy) // amount for capacity, amount in needs)]))
