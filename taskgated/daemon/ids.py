"""No id is given twice, also not by a database that was put back from yesterday.

How far the ids have come is known outside of it, too: by what jobs have left on disk, and by a number in two small
files, one beside the database and one among the outputs, for jobs that left nothing, or whose output was removed.
"""

from __future__ import annotations

import os
from pathlib import Path

from taskgated.attempts import outputs
from taskgated.attempts.outcomes import Outcomes
from taskgated.attempts.scripts import Scripts
from taskgated.host.helper import Helper
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout

MARGIN = 1000
"""More ids than were given since the number was synced last: so many are left out when it was needed."""
SYNC = 500
"""After so many new ids the number is synced; until then the kernel does that when it likes."""
LAG = 0.02
"""Seconds until a number is written: its job starts first. Nowhere near ``MARGIN`` ids come in so long."""


class LastId:
    """Keeps the number, on a thread of its own. It may lag behind what it was told, by less than ``MARGIN``."""

    def __init__(self, layout: Layout, loop: Loop, helper: Helper, last: int) -> None:
        self._files = _files(layout)
        self._loop = loop
        self._helper = helper
        self._last = self._synced = 0
        self._pending = False
        self.given(last)

    def given(self, last: int) -> None:
        """Ids up to this one were given."""
        self._last = max(self._last, last)
        if not self._pending:
            self._pending = True
            self._loop.after(LAG, lambda: self._helper.do(self._write, lambda _: self._written()))

    def _written(self) -> None:
        self._pending = False

    def _write(self) -> None:
        last = self._last
        sync = last - self._synced >= SYNC
        for path in self._files:
            try:
                _put(path, last, sync=sync)
            except OSError:
                pass  # one of them will do; trouble with a disk is told by the parts that work with it
        if sync:
            self._synced = last


def known(layout: Layout) -> int:
    """The highest id of which there is a trace. What cannot be read is none."""
    return max(
        *(_get(path) for path in _files(layout)),
        _highest(Outcomes(layout.outcomes)),
        _highest(Scripts(layout.scripts)),
        outputs.highest_id(layout.log),
    )


def _highest(files: Outcomes | Scripts) -> int:
    try:
        return max((job for job, _ in files.attempts()), default=0)
    except OSError:
        return 0


def _files(layout: Layout) -> tuple[Path, Path]:
    return layout.last_id, layout.last_id_beside_output


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
