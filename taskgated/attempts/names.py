"""How files of an attempt are called: ``JOB.ATTEMPT``, and behind that what each kind of them has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"([1-9][0-9]{0,14})\.([1-9][0-9]*)\b.*")


def stem(job: int, attempt: int) -> str:
    return f"{job}.{attempt}"


def job_of(name: str) -> int | None:
    """The job that a file belongs to by its name; None if it is of none."""
    return int(match[1]) if (match := _NAME.fullmatch(name)) else None


def attempts_in(directory: Path) -> Iterator[tuple[int, int]]:
    """Job and number of each attempt that has a file there, once for each file. Raises ``OSError``."""
    for name in os.listdir(directory):
        if match := _NAME.fullmatch(name):
            yield int(match[1]), int(match[2])
