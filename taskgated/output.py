"""What is kept of a job's output: its beginning and its end, in order, never more than a given size.

Writer (in the worker) and readers (control, retention) share this module, because the layout on disk is
their contract. While the attempt runs there are

- ``J.A.log``, the *head*: the first half of ``max_size`` bytes;
- ``J.A.log.N``, *segments*: the bytes from offset N of the job's output, an eighth of ``max_size`` each.
  Only the newest three are kept.

``Writer.finish`` appends the segments to the head, with one line between that says how much is left out.
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
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

_SEGMENTS = 3
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | _SAFE
_AGAIN = 10
"""Looks at pieces that are merged or dropped in the meantime, each time others: far more than any writer causes."""


def gap(omitted: int) -> bytes:
    """The line that stands for what was left out."""
    return b"\n[taskgated: %d bytes left out here]\n" % omitted


_GAP = re.compile(rb"\n\[taskgated: ([1-9][0-9]{0,18}) bytes left out here\]\n")
_LONGEST_GAP = len(gap(10**19))


def _division(max_size: int) -> tuple[int, int]:
    """The sizes of the head and of a segment. One that is too small to be divided is all head."""
    segment = max_size // 8
    return max_size - 4 * segment, segment


class Writer:
    """Takes all output of one attempt and keeps what fits. No file is made before the first byte, and what lies there
    of another attempt with that number is deleted: there may be one when the database was put back from a copy, or a
    power cut has undone a start.

    Trouble with the disk never reaches the job: from the first error on nothing more is kept, and
    ``error`` says why. ``total`` counts the bytes taken, ``omitted`` those that were not kept.
    """

    __slots__ = ("_fd", "_head", "_path", "_room", "_segment", "_starts", "error", "omitted", "total")

    def __init__(self, path: str, max_size: int) -> None:
        self._path = path
        self._head, self._segment = _division(max_size)
        self._fd = -1  # the piece that is being written
        self._room = 0  # what still fits into it
        self._starts: list[int] = []  # the segments on disk, by offset
        self.total = 0
        self.omitted = 0
        self.error = ""
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):  # whatever else there may be is none of ours
                remove(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if os.path.lexists(path):
                self.error = f"output is not kept, that of another attempt is in the way: {path}: {error.strerror}"

    def write(self, data: bytes) -> None:
        """Take more output. Never raises ``OSError``."""
        view = memoryview(data)
        try:
            while view and not self.error:
                if not self._room and not self._next_piece():
                    break
                written = os.write(self._fd, view[: self._room])
                self._room -= written
                self.total += written
                view = view[written:]
        except OSError as error:
            self.error = f"output was cut: {self._path}: {error.strerror}"
        self.omitted += len(view)
        self.total += len(view)

    def finish(self) -> None:
        """Put the pieces together. Never raises ``OSError``: on trouble the pieces stay as they are."""
        try:
            if self._starts:
                self._merge()
        except OSError as error:
            self.error = self.error or f"output is in pieces: {self._path}: {error.strerror}"
        finally:
            self._close()

    def _next_piece(self) -> bool:
        """Open the file that takes the next byte; False when no more is to be kept."""
        if self.total < self._head:
            self._fd = self._create_head()
            self._room = self._head
            return True
        if not self._segment:
            return False
        self._close()
        if len(self._starts) == _SEGMENTS:  # room first, so that the limit holds at every moment
            os.unlink(f"{self._path}.{self._starts[0]}")
            del self._starts[0]
            self.omitted += self._segment
        self._fd = os.open(f"{self._path}.{self.total}", _CREATE, _FILE_MODE)
        self._starts.append(self.total)
        self._room = self._segment
        return True

    def _create_head(self) -> int:
        try:
            return os.open(self._path, _CREATE, _FILE_MODE)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self._path), _DIRECTORY_MODE, exist_ok=True)
            return os.open(self._path, _CREATE, _FILE_MODE)

    def _merge(self) -> None:
        self._close()
        head = os.open(self._path, os.O_WRONLY | _SAFE)
        try:
            end = os.lseek(head, 0, os.SEEK_END)
            dropped = self._starts[0] - end
            if dropped:
                os.write(head, gap(dropped))
            while self._starts:
                segment = f"{self._path}.{self._starts[0]}"
                _append(head, segment)
                os.unlink(segment)
                del self._starts[0]
        finally:
            os.close(head)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _append(target: int, path: str) -> None:
    source = os.open(path, os.O_RDONLY | _SAFE)
    try:
        while os.sendfile(target, source, None, 1 << 20):
            pass
    finally:
        os.close(source)


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


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an output beside its files: its ``max_size``; and, once its attempt is over and its worker
    could say so, how much the job wrote (``total``), and how much of that was not kept (``omitted``)."""

    max_size: int
    total: int | None = None
    omitted: int | None = None


def read(path: str, offset: int, limit: int, kept: Kept) -> tuple[bytes, int]:
    """Output from ``offset`` on, at most ``limit`` bytes (but a whole ``gap``), and the offset to read on from.

    Nothing is returned at the end of what there is now. What was left out is read as its ``gap``, also by who was
    not there when it was dropped. Raises ``OSError`` for what cannot be read, or is no file of ours.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | _SAFE)
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
        self._head, self._segment = _division(kept.max_size)

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
        found = self._of_head(self._head, _LONGEST_GAP)
        said = _GAP.match(found)
        # A job may write such a line as well: to be ours it has to say what can be so.
        left_out = int(said[1]) if said else 0
        possible = self._segment and not left_out % self._segment
        if said and possible and (self._kept.omitted is None or left_out <= self._kept.omitted):
            return left_out, self._head + said.end()
        if starts and len(found) < _LONGEST_GAP and starts[0] > self._head + len(found):
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
        file = os.open(name, os.O_RDONLY | _SAFE, dir_fd=self._directory)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(f"{name} is not a regular file")
            return os.pread(file, limit, offset)
        finally:
            os.close(file)


def remove(path: str) -> None:
    """Delete the output, in whatever pieces it lies. Removing what is not there is no error."""
    for piece in pieces(path):
        try:
            os.unlink(piece.path)
        except FileNotFoundError:
            pass
