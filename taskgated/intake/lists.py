"""A file of lines, read in pieces: what is one job a line, and how far it has been taken in.

Parts are numbered by the jobs that the file yields, from its first line on; lines are only ever added at
its end, so the same part is the same line each time the file is read.

That holds across versions, too. What an earlier one took in as a job and this one would refuse is counted as the part
that it is. Until 0.3.0 a byte order mark was a part of the first line: a comment behind one, or nothing, was a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskgated.core.job import Spec
from taskgated.errors import Problem, Refused, Unexplained
from taskgated.intake.understand import read_at
from taskgated.language.source import BOM

CHUNK = 256 * 1024
"""Bytes read at once. A line longer than this is refused: no program takes such an argument (execve(2))."""

Parse = Callable[[int, bytes], Spec | None]
"""A line's number and its bytes without the newline to a job, or None for a comment; raises ``Refused``, or
``Unexplained`` for a line that would be one if there were a handler for it."""


KNOWN = Spec()
"""Stands for any job that is in the store already."""


class Lines:
    """How far one list has been read. ``parts`` of it are known to the store; ``skip`` of these were not
    read since the daemon started."""

    def __init__(self, name: str, known: int, earlier: bool = False) -> None:
        """``earlier``: the first of its parts were counted by a version to which the mark was text."""
        self.name = name
        self.parts = known
        self.refused: Refused | None = None
        self.checked = known > 0
        """All lines are good, or some are jobs already."""
        self._skip = known
        self._earlier = earlier
        self._offset = self._number = 0
        self._check_offset = self._check_number = 0

    def notice(self, size: int) -> None:
        """A list that has become shorter was written anew: all that is in it has not been read."""
        if size < self._offset:
            self._offset = self._number = self._skip = 0

    def check(self, fd: int, parse: Parse) -> None:
        """Look at the next piece; raises ``Refused`` at the first bad line. Until ``checked`` nothing of
        it may become a job, so that a file which was never meant to be a list does not run in part."""
        start = self._check_offset
        for line, end in self._lines(fd, start, final=True):
            parse(self._check_number + 1, line)
            self._check_number += 1
            self._check_offset = end
        self.checked = self._check_offset == start

    def read(self, fd: int, parse: Parse, room: int, final: bool) -> tuple[list[Spec], bool]:
        """The next jobs, at most ``room``, and whether that was all that can be read now.

        The end of a file without a newline is a line only if no process can still be writing it: ``final``. A
        bad line sets ``refused`` and is the last that is read: what came before it is good. When anything else is
        raised, nothing was read.
        """
        before = (self._number, self._offset, self._skip)
        specs: list[Spec] = []
        try:
            for line, end in self._lines(fd, self._offset, final):
                try:
                    spec = parse(self._number + 1, line)
                except Refused as error:
                    if not self._skip or line.removeprefix(BOM).lstrip().startswith(b"#"):
                        self.refused = error.alone()
                        return specs, True
                    spec = KNOWN  # an earlier version did not refuse it, and took it in
                except Unexplained:
                    if not self._skip:
                        raise
                    spec = KNOWN  # it is in the store, whatever it was
                if spec is None and self._skip and self._earlier and self._number == 0 and line.startswith(BOM):
                    spec = KNOWN
                if spec is not None and not self._skip:
                    if len(specs) >= room:
                        return specs, False
                    specs.append(spec)
                elif spec is not None:
                    self._skip -= 1
                self._number += 1
                self._offset = end
            return specs, self._at_end(fd, final)
        except BaseException:
            self._number, self._offset, self._skip = before
            raise

    def _at_end(self, fd: int, final: bool) -> bool:
        return next(self._lines(fd, self._offset, final), None) is None

    def _lines(self, fd: int, offset: int, final: bool) -> Iterator[tuple[bytes, int]]:
        """The lines of the next chunk, each with the offset behind it."""
        data = read_at(fd, CHUNK, offset)
        start = 0
        while (newline := data.find(b"\n", start)) >= 0:
            yield data[start:newline], offset + newline + 1
            start = newline + 1
        if start == 0 and len(data) == CHUNK:
            yield data, offset + CHUNK
        elif start < len(data) < CHUNK and final:
            yield data[start:], offset + len(data)


def too_long(name: str, number: int, line: bytes) -> None:
    """Refuse what may be only the beginning of a line; its rest must not pass for the next one."""
    if len(line) >= CHUNK:
        message = f"this line is longer than {CHUNK} bytes"
        raise Refused([Problem(name, number, 0, message, hint="put it in a script")])
