"""The private copies of scripts, from which they run: editing or deleting the original changes nothing.

Made by the worker of an attempt, and deleted by it; by a daemon where that worker could not. A job, which is of the
same user, may put anything in these places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from taskgated.attempts.names import attempts_in, stem
from taskgated.text import to_bytes


class Scripts:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, job: int, attempt: int, text: str) -> str:
        """The path of the copy, which may be executed. Raises ``OSError``; then a part of it may be there."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        path = self._path(job, attempt)
        try:
            os.unlink(path)  # whatever it is: a job may have put it there, for us to wait for (fifo(7))
        except FileNotFoundError:
            pass
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700), "wb") as file:
            file.write(to_bytes(text))
        return path

    def forget(self, job: int, attempt: int) -> None:
        try:
            os.unlink(self._path(job, attempt))
        except OSError:
            pass

    def attempts(self) -> Iterator[tuple[int, int]]:
        """Those (job, number) of which there is a copy. Raises ``OSError``."""
        return attempts_in(self._directory)

    def _path(self, job: int, attempt: int) -> str:
        return f"{self._directory}/{stem(job, attempt)}"
