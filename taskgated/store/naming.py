"""Owners that an earlier version has noted by their uids alone: what a store does until their names are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

NAMED = 10_000
"""Jobs of one owner that are given the name at once, at most; others have their turn in between."""


class Unnamed(Protocol):
    """A part of ``contract.Questions``."""

    def unnamed(self) -> Sequence[int]:
        """Uids that stand for the owners of jobs which an earlier version has taken in, and of which nobody has said
        the name yet."""


class Naming(Protocol):
    """A part of ``contract.Store``, for the time before anything else is asked or done: nobody else knows yet whose
    these jobs are."""

    def name(self, uid: int, owner: str) -> bool:
        """One of ``unnamed`` is that owner; a number, that it has no name. Returns whether that was all of it: until
        then it is to be said again, in other groups."""
