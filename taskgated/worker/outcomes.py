"""Outcomes that nobody was there to take, each in a file of its own until a daemon has it safe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from taskgated.core.job import Outcome


def file_name(job: int, attempt: int) -> str:
    return f"{job}.{attempt}.json"


def save(directory: str, outcome: Outcome) -> None:
    """Write it so that it is there, whole, after a power cut. Raises ``OSError``."""
    os.makedirs(directory, 0o700, exist_ok=True)
    path = f"{directory}/{file_name(outcome.job, outcome.attempt)}"
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(json.dumps(outcome.to_json()).encode())
        file.flush()
        os.fsync(fd)
    os.rename(path + ".tmp", path)
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def remove(directory: str, job: int, attempt: int) -> None:
    """Forget one that is on stable storage elsewhere; the daemon may have done so before the worker."""
    try:
        os.unlink(f"{directory}/{file_name(job, attempt)}")
    except FileNotFoundError:
        pass


def saved(directory: str) -> Iterator[Outcome]:
    """All that lie there. A file that cannot be read as an outcome is left alone and not given."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(".json"):
            try:
                with open(f"{directory}/{name}", "rb") as file:
                    yield Outcome.from_json(json.load(file))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
