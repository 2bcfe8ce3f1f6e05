"""What the outputs of all jobs take of the disk, a directory at a time, so that no look costs as much as all of them.

A directory's time of modification says whether a name came or went in it since it was measured (inode(7)); a file
that is there grows only while its attempt runs. Jobs may run as the same user as the gate, so what has the name of an
output may be anything: nothing is followed, and only regular files count.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from taskgated.attempts.names import job_of
from taskgated.attempts.outputs import by_directory, number_of

BLOCK = 512
"""The unit of ``st_blocks`` (stat(2)), whatever the file system's own is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """``changed``: the directory's time of modification in nanoseconds, only ever compared with itself. ``size``: the
    bytes of disk that outputs in it take, without the directory."""

    changed: int
    size: int


def directories(log: Path) -> dict[int, int] | None:
    """Each directory of outputs by its number, with its time of modification; None when they cannot be listed."""
    found = {}
    try:
        with os.scandir(log) as entries:
            for entry in entries:
                number = number_of(entry.name)
                if number is None:
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    found[number] = status.st_mtime_ns
    except OSError:
        return None
    return found


def measure(directory: Path) -> Usage | None:
    """What the outputs in one directory take; None when it is gone, or cannot be read."""
    try:
        before = os.stat(directory, follow_symlinks=False)  # what comes meanwhile is seen next time
        return Usage(before.st_mtime_ns, sum(_sizes(directory).values()))
    except OSError:
        return None


def sizes(log: Path, jobs: Collection[int]) -> dict[int, int]:
    """What the output of each of these jobs takes; of those that have some. What cannot be read is none."""
    found: dict[int, int] = {}
    for directory, some in by_directory(log, jobs).items():
        try:
            found |= {job: size for job, size in _sizes(directory).items() if job in some and size}
        except OSError:
            continue
    return found


def _sizes(directory: Path) -> dict[int, int]:
    """By job; those of a directory are a thousand at most, however many files they have. Raises ``OSError``."""
    found: dict[int, int] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if (job := job_of(entry.name)) is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[job] = found.get(job, 0) + status.st_blocks * BLOCK
    return found
