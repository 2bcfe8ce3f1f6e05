"""Where the outputs of all jobs lie: a thousand jobs share a directory, so that none grows without end.

``log`` is the directory of them all, the ``log`` of a ``Layout``. What lies at one ``path``, and in which pieces, is
said in ``output``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from taskgated.attempts.names import attempts_in, stem

TOGETHER = 1000
"""So many jobs, by their ids, have their outputs in one directory. The directories are numbered from 0."""


def path(log: Path, job: int, attempt: int) -> str:
    """The output of one attempt, as text: a ``Path`` for each job is too dear."""
    return f"{log}/{_name(number_in(job))}/{stem(job, attempt)}.log"


def _name(number: int) -> str:
    return f"{number:06d}"


def directory_of(log: Path, number: int) -> Path:
    """The directory of that number."""
    return log / _name(number)


def number_in(job: int) -> int:
    """The number of the directory that has the output of this job."""
    return job // TOGETHER


def number_of(name: str) -> int | None:
    """The number of the directory of outputs that has that name; None if none of them has."""
    return int(name) if name.isascii() and name.isdecimal() and name == _name(int(name)) else None


def by_directory(log: Path, jobs: Collection[int]) -> dict[Path, set[int]]:
    """Jobs by the directory that has their output."""
    directories: dict[Path, set[int]] = {}
    for job in jobs:
        directories.setdefault(directory_of(log, number_in(job)), set()).add(job)
    return directories


def highest_id(log: Path) -> int:
    """The highest id of a job that has left output; 0 when none is seen. What cannot be read is none."""
    try:
        directories = sorted(filter(str.isdecimal, os.listdir(log)), key=int, reverse=True)
    except OSError:
        return 0
    for name in directories:
        try:
            ids = [job for job, _ in attempts_in(log / name) if _name(number_in(job)) == name]
        except OSError:
            continue
        if ids:
            return max(ids)
    return 0


def remove(log: Path, jobs: Collection[int]) -> dict[int, str]:
    """Delete the output of all attempts of these jobs. Returns the jobs of which something is left, and why."""
    stuck: dict[int, str] = {}
    for directory, some in by_directory(log, jobs).items():
        stuck |= _remove(directory, some)
    return stuck


def _remove(directory: Path, jobs: Collection[int]) -> dict[int, str]:
    """Each file's name begins with its job's id."""
    names = {str(job): job for job in jobs}
    try:
        listed = os.listdir(directory)
    except FileNotFoundError:
        return {}  # there never was any
    except OSError as error:
        return dict.fromkeys(jobs, f"{directory}: {error.strerror}")
    stuck = {}
    for name in listed:
        job = names.get(name.partition(".")[0])
        if job is not None:
            try:
                os.unlink(directory / name)
            except FileNotFoundError:
                pass
            except OSError as error:
                stuck[job] = f"{directory / name}: {error.strerror}"
    try:
        os.rmdir(directory)
    except OSError:
        pass  # output of others is still there
    return stuck
