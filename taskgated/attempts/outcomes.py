"""Outcomes that nobody was there to hear: one small file each, until a daemon has taken it.

Written by a worker whose daemon is gone, read by the next daemon. A file is whole or not there: it is
written beside its place, synced, and renamed (rename(2)).

A job, which is of the same user, may put anything in these places. Nobody waits for what that makes a reader or a
writer wait for (fifo(7)), and nobody follows it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from taskgated.attempts.names import attempts_in, stem
from taskgated.core.job import Outcome

LIMIT = 1024 * 1024
"""Bytes that are read of an outcome: those that workers put down are short."""


class Outcomes:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, outcome: Outcome) -> None:
        """On stable storage when this returns; raises ``OSError``."""
        self._directory.mkdir(0o700, exist_ok=True)
        target = self._path(outcome.job, outcome.attempt)
        fresh = target.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with open(os.open(fresh, flags, 0o666), "w", encoding="ascii") as file:
                json.dump(outcome.to_json(), file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(fresh, target)
        except OSError:
            fresh.unlink(missing_ok=True)  # the outcome may go to a daemon by the socket yet, which looks for no file
            raise
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def read(self, job: int, attempt: int) -> Outcome | None:
        """The outcome of that attempt, if one was put down. Raises ``OSError`` when that cannot be said now: to
        take it for none would run the job again. What no worker has put there is none."""
        path = self._path(job, attempt)
        try:
            mode = os.lstat(path).st_mode
            if not stat.S_ISREG(mode) or not mode & stat.S_IRUSR:
                return None
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                outcome = Outcome.from_json(json.loads(file.read(LIMIT)))
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return outcome if (outcome.job, outcome.attempt) == (job, attempt) else None

    def forget(self, job: int, attempt: int) -> None:
        path = self._path(job, attempt)
        for file in (path, path.with_suffix(".tmp")):  # its worker may have died while it wrote
            try:
                os.unlink(file)
            except OSError:
                pass

    def attempts(self) -> Iterator[tuple[int, int]]:
        """Those (job, number) of which something was put down, whole or not. Raises ``OSError``."""
        return attempts_in(self._directory)

    def _path(self, job: int, attempt: int) -> Path:
        return self._directory / f"{stem(job, attempt)}.json"
