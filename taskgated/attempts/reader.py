"""Reading a job's output, before, while and after its writer puts the pieces together; see ``output``."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from taskgated.attempts.output import GAP, LONGEST_GAP, SAFE, division, gap

_AGAIN = 10
"""Looks at pieces that are merged or dropped in the meantime, each time others: far more than any writer causes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an output beside its files: its ``max_size``; and, once its attempt is over and its worker
    could say so, how much the job wrote (``total``), and how much of that was not kept (``omitted``)."""

    max_size: int
    total: int | None = None
    omitted: int | None = None


def read(path: str, offset: int, limit: int, kept: Kept) -> tuple[bytes, int]:
    """Output from ``offset`` on, at most ``limit`` bytes (but a whole ``gap``), and the offset to read on from.

    Nothing is returned at the end of what there is now. What was left out is read as its ``gap``, whether it
    was dropped before or after the reader began. Raises ``OSError`` for what cannot be read, or is no file of ours.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | SAFE)
    except FileNotFoundError:
        return _rest(offset, kept)
    try:
        for _ in range(_AGAIN):
            with suppress(_Meanwhile):
                return _Reader(directory, os.path.basename(path), kept).read(offset, limit)
        return b"", offset
    finally:
        os.close(directory)


def _rest(offset: int, kept: Kept) -> tuple[bytes, int]:
    """Behind all that there is: what the job wrote and nobody has."""
    if kept.total is not None and kept.total > offset:
        return gap(kept.total - offset), kept.total
    return b"", offset


class _Meanwhile(Exception):
    """The pieces are no longer as they were when they were listed."""


class _Reader:
    """One look at the pieces of one output."""

    def __init__(self, directory: int, name: str, kept: Kept) -> None:
        self._directory = directory
        self._name = name
        self._kept = kept
        self._head, self._segment = division(kept.max_size)

    def read(self, offset: int, limit: int) -> tuple[bytes, int]:
        if offset < self._head:
            data = self._of_head(offset, min(limit, self._head - offset))
            return (data, offset + len(data)) if data else _rest(offset, self._kept)
        # Which segments there are, before the head is looked at: what is merged in between is in the head by then.
        starts = self._segments()
        for start in reversed(starts):
            if start <= offset and (data := self._of_segment(start, offset - start, limit)):
                return data, offset + len(data)
        left_out, begins = self._merged(starts)
        if begins:
            if offset < self._head + left_out:
                return gap(self._head + left_out - offset), self._head + left_out
            if data := self._of_head(offset - self._head - left_out + begins, limit):
                return data, offset + len(data)
        later = [start for start in starts if start > offset]
        if not later:
            return _rest(offset, self._kept)
        # One that was made while they were listed may have been passed over: that would be no gap.
        made = [start for start in self._segments() if start not in starts]
        if any(start <= offset for start in made):
            raise _Meanwhile
        start = min(later + made)
        return gap(start - offset), start

    def _segments(self) -> list[int]:
        """The offsets of the segments, in order."""
        return sorted(
            int(rest)
            for name in os.listdir(self._directory)
            if (rest := name.removeprefix(f"{self._name}.")) != name and rest.isdecimal() and rest.isascii()
        )

    def _merged(self, starts: Sequence[int]) -> tuple[int, int]:
        """How much is left out behind the head, as its file says, and where in it the rest begins; 0 of both while
        nothing is merged."""
        found = self._of_head(self._head, LONGEST_GAP)
        said = GAP.match(found)
        # A job may write such a line as well: to be ours it has to say what can be so.
        left_out = int(said[1]) if said else 0
        possible = self._segment and not left_out % self._segment
        if said and possible and (self._kept.omitted is None or left_out <= self._kept.omitted):
            return left_out, self._head + said.end()
        if starts and len(found) < LONGEST_GAP and starts[0] > self._head + len(found):
            return 0, 0  # no room for more than a part of the line
        return 0, self._head if found else 0

    def _of_head(self, offset: int, limit: int) -> bytes:
        try:
            return self._piece(self._name, offset, limit)
        except FileNotFoundError:
            return b""

    def _of_segment(self, start: int, offset: int, limit: int) -> bytes:
        try:
            return self._piece(f"{self._name}.{start}", offset, limit)
        except FileNotFoundError:  # merged, or dropped
            raise _Meanwhile from None

    def _piece(self, name: str, offset: int, limit: int) -> bytes:
        file = os.open(name, os.O_RDONLY | SAFE, dir_fd=self._directory)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(f"{name} is not a regular file")
            return os.pread(file, limit, offset)
        finally:
            os.close(file)
