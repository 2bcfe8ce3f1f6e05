"""What is kept of a job's output: its beginning and its end, in order, never more than a given size.

Writer (in the worker) and readers (control, retention) share this module, because the layout on disk is
their contract. While the attempt runs there are

- ``J.A.log``, the *head*: the first half of ``max_size`` bytes;
- ``J.A.log.N``, *segments*: the bytes from offset N of the job's output, an eighth of ``max_size`` each.
  Only the newest three are kept.

``Writer.finish`` appends the segments to the head, with one line between that says how much is left out.
While it copies, one segment exists twice: four eighths in all, so the disk never holds more than
``max_size`` (and that one line), and at least a quarter of ``max_size`` of the end is there. A crash at
any moment leaves pieces that ``pieces`` and ``read`` still put in order.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

_SEGMENTS = 3
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def gap(omitted: int) -> bytes:
    """The line that stands for what was left out."""
    return b"\n[taskgated: %d bytes left out here]\n" % omitted


class Writer:
    """Takes all output of one attempt and keeps what fits. No file is made before the first byte.

    Trouble with the disk never reaches the job: from the first error on nothing more is kept, and
    ``error`` says why. ``total`` counts the bytes taken, ``omitted`` those that were not kept.
    """

    __slots__ = ("_fd", "_head", "_path", "_room", "_segment", "_starts", "error", "omitted", "total")

    def __init__(self, path: str, max_size: int) -> None:
        self._path = path
        self._segment = max_size // 8
        self._head = max_size - 4 * self._segment  # all of a size too small to be divided
        self._fd = -1  # the piece that is being written
        self._room = 0  # what still fits into it
        self._starts: list[int] = []  # the segments on disk, by offset
        self.total = 0
        self.omitted = 0
        self.error = ""

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
        head = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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


def read(path: str, offset: int, limit: int) -> tuple[bytes, int]:
    """Output from ``offset`` on, at most ``limit`` bytes, and the offset to read on from.

    Nothing is returned at the end of what there is now. While the attempt runs, offsets count what the
    job wrote, and a stretch that was dropped is jumped over: the offset returned tells. Once the pieces
    are put together they count the bytes of the one file, which is the same unless something was left out.
    """
    for piece in pieces(path):
        if offset >= piece.offset + piece.size:
            continue
        start = max(offset, piece.offset)
        try:
            with open(piece.path, "rb") as file:
                file.seek(start - piece.offset)
                data = file.read(min(limit, piece.size - (start - piece.offset)))
        except FileNotFoundError:  # dropped meanwhile: what follows it is in a later piece
            continue
        if data:
            return data, start + len(data)
    return b"", offset


def remove(path: str) -> None:
    """Delete the output, in whatever pieces it lies. Removing what is not there is no error."""
    for piece in pieces(path):
        try:
            os.unlink(piece.path)
        except FileNotFoundError:
            pass
