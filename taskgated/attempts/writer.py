"""Writing what is kept of a job's output; see ``output`` for how it lies on disk."""

from __future__ import annotations

import os
import stat

from taskgated.attempts.output import SAFE, division, gap, remove

_SEGMENTS = 3
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | SAFE


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
        self._head, self._segment = division(max_size)
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
        head = os.open(self._path, os.O_WRONLY | SAFE)
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
    source = os.open(path, os.O_RDONLY | SAFE)
    try:
        while os.sendfile(target, source, None, 1 << 20):
            pass
    finally:
        os.close(source)
