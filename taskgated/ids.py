"""No id is given twice, also not by a database that was put back from yesterday.

How far the ids have come is known outside of it, too: by what jobs have left on disk, and by a number in two small
files, one beside the database and one among the outputs, for jobs that left nothing, or whose output was removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from taskgated.helper import Helper
from taskgated.paths import Layout

MARGIN = 1000
"""More ids than were given since the number was synced last: so many are left out when it was needed."""
SYNC = 500
"""After so many new ids the number is synced; until then the kernel does that when it likes."""

_FILE = re.compile(r"([1-9][0-9]{0,14})\.[1-9][0-9]*\b.*")
"""Of an attempt: its output, its outcome, its script."""


class LastId:
    """Keeps the number, on a thread of its own. It may lag behind what it was told, by less than ``MARGIN``."""

    def __init__(self, layout: Layout, helper: Helper, last: int) -> None:
        self._files = _files(layout)
        self._helper = helper
        self._last = self._synced = 0
        self._pending = False
        self.given(last)

    def given(self, last: int) -> None:
        """Ids up to this one were given."""
        self._last = max(self._last, last)
        if not self._pending:
            self._pending = True
            self._helper.do(self._write, lambda _: self._written())

    def _written(self) -> None:
        self._pending = False

    def _write(self) -> None:
        last = self._last
        sync = last - self._synced >= SYNC
        for path in self._files:
            try:
                _put(path, last, sync=sync)
            except OSError:
                pass  # one of them will do, and what is no disk's fault is said by whoever works with that disk
        if sync:
            self._synced = last


def known(layout: Layout) -> int:
    """The highest id of which there is a trace. What cannot be read is none."""
    found = [_get(path) for path in _files(layout)]
    for directory in (layout.outcomes, layout.scripts):
        found += _ids_in(directory)
    # A thousand jobs share a directory of outputs: the one with the highest number that has any.
    for name in sorted(filter(str.isdecimal, _names(layout.log)), key=int, reverse=True):
        if ids := [job for job in _ids_in(layout.log / name) if layout.output_file(job, 1).parent.name == name]:
            found += ids
            break
    return max(found)


def _files(layout: Layout) -> tuple[Path, Path]:
    return layout.last_id, layout.last_id_beside_output


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _ids_in(directory: Path) -> Iterator[int]:
    return (int(match[1]) for name in _names(directory) if (match := _FILE.fullmatch(name)))


def _put(path: Path, number: int, *, sync: bool) -> None:
    """In place, always as many bytes: a crash leaves this number or the one before."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.pwrite(fd, b"%020d\n" % number, 0)
        if sync:
            os.fdatasync(fd)
    finally:
        os.close(fd)


def _get(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        text = os.read(fd, 32).decode("ascii", "replace").strip()
    except OSError:
        return 0
    finally:
        os.close(fd)
    return int(text) if text.isdecimal() and len(text.lstrip("0")) < 16 else 0
