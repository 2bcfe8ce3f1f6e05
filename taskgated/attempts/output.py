"""What is kept of a job's output: its beginning and its end, in order, never more than a given size.

``writer`` (in the worker) and ``reader`` (in the daemon) share this module, because the layout on disk is their
contract. While the attempt runs there are

- ``J.A.log``, the *head*: the first half of ``max_size`` bytes;
- ``J.A.log.N``, *segments*: the bytes from offset N of the job's output, an eighth of ``max_size`` each.
  Only the newest three are kept.

``finish`` of the writer appends the segments to the head, with one line between that says how much is left out.
While it copies, one segment exists twice: four eighths in all, so the disk never holds more than
``max_size`` (and that one line), and at least a quarter of ``max_size`` of the end is there. A crash at
any moment leaves pieces that ``read`` still puts in order.

For readers an offset always counts what the job wrote, before, during and after the copying. ``max_size`` says where
the head ends, and what follows there in a longer file is that line, which says where the rest is from.

Jobs may run as the same user as the gate, so what has these names may be anything: no link is followed, nothing is
waited for that a file makes a reader or a writer wait for (open(2), O_NONBLOCK; fifo(7)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def gap(omitted: int) -> bytes:
    """The line that stands for what was left out."""
    return b"\n[taskgated: %d bytes left out here]\n" % omitted


GAP = re.compile(rb"\n\[taskgated: ([1-9][0-9]{0,18}) bytes left out here\]\n")
LONGEST_GAP = len(gap(10**19))


def division(max_size: int) -> tuple[int, int]:
    """The sizes of the head and of a segment. One that is too small to be divided is all head."""
    segment = max_size // 8
    return max_size - 4 * segment, segment


class Piece(NamedTuple):
    """A file and the part of the output that it holds: ``size`` bytes from ``offset``."""

    path: str
    offset: int
    size: int


def pieces(path: str) -> Sequence[Piece]:
    """What is on disk of the output whose head is ``path``, in order; empty when the job wrote nothing."""
    directory, name = os.path.split(path)
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                rest = entry.name.removeprefix(name)
                if len(rest) == len(entry.name) or not (rest == "" or (rest[0] == "." and rest[1:].isdecimal())):
                    continue
                try:
                    size = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:  # merged or dropped since the directory was read
                    continue
                found.append(Piece(entry.path, int(rest[1:] or 0), size))
    except FileNotFoundError:
        return ()
    return sorted(found, key=lambda piece: piece.offset)


def remove(path: str) -> None:
    """Delete the output, in whatever pieces it lies. Removing what is not there is no error."""
    for piece in pieces(path):
        try:
            os.unlink(piece.path)
        except FileNotFoundError:
            pass
