"""The last words of workers that left because no daemon was there: who each was, and of which attempt it heard last.

A daemon may die between the store's start of an attempt and the moment when the worker hears of that. What the worker
has left tells such an attempt from one that it took to its grave. There is a file for each. They are not synced: the
boot is a part of a worker's name, and a power cut that takes the file ends the boot as well.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from taskgated.host.processes import ProcessId

LIMIT = 4096
"""Bytes that are read of a parting."""


@dataclass(frozen=True, slots=True)
class Parting:
    """``last``: job and number of the attempt, None if the worker has heard of none in its life."""

    worker: ProcessId
    last: tuple[int, int] | None


class Partings:
    """Those in a directory of their own, beside that of the outcomes."""

    def __init__(self, outcomes: Path) -> None:
        self._directory = outcomes.with_name("partings")

    def write(self, parting: Parting) -> None:
        """Whole or not at all; raises ``OSError``."""
        self._directory.mkdir(0o700, exist_ok=True)
        target = self._path(parting.worker)
        fresh = target.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(fresh, flags, 0o600), "w", encoding="ascii") as file:
            json.dump({**parting.worker.to_json(), "last": parting.last}, file)
        os.rename(fresh, target)

    def read(self, worker: ProcessId) -> Parting | None:
        """What that worker has left; None also if it cannot be read: its attempt is taken for begun then. A job may
        put anything there, as with an outcome."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(self._path(worker), flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return None
                said = json.loads(file.read(LIMIT))
            last = said["last"]
            if last is not None:
                job, attempt = last
                if type(job) is not int or type(attempt) is not int:
                    return None
                last = job, attempt
            found = Parting(ProcessId.from_json(said), last)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return found if found.worker == worker else None

    def forget_all_but(self, workers: Collection[ProcessId]) -> None:
        """What cannot be removed is tried by the next daemon."""
        kept = {self._path(worker).name for worker in workers}
        try:
            for name in os.listdir(self._directory):
                if name not in kept:
                    os.unlink(self._directory / name)
        except OSError:
            pass

    def _path(self, worker: ProcessId) -> Path:
        return self._directory / f"{worker.pid}.{worker.start}.json"
