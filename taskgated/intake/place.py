"""One directory that files come to, and whether the kernel and its emitter still watch it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import ObservedWatch

from taskgated.intake.emitter import Emitter

ROOT = b""
"""The key of the spool itself; a queue directory's key is its name."""


@dataclass(slots=True, eq=False)
class Place:
    """One directory that files come to. ``fd`` is open; ``blind``: why it is not watched, if it is not;
    ``unwatched``: the same of one for which the host has no watch left, and ``helps`` what would help."""

    key: bytes
    path: bytes
    fd: int
    identity: tuple[int, int]
    handler: FileSystemEventHandler | None = None
    watch: ObservedWatch | None = None
    emitter: Emitter | None = None
    blind: str = ""
    unwatched: str = ""
    helps: str = ""
    asked: float | None = None  # when the emitter was asked for a sign of life that has not come
    heard: float = field(default_factory=time.monotonic)

    @property
    def owner(self) -> int:
        return os.fstat(self.fd).st_uid


def moved(place: Place) -> str:
    """Why it is not to be seen where it was; empty if it is."""
    try:
        stat = os.lstat(place.path) if place.key else os.stat(place.path)
    except OSError as error:
        return error.strerror or "gone"
    return "" if (stat.st_dev, stat.st_ino) == place.identity else "another directory is there now"


def deaf(place: Place) -> str:
    """Why no events of it can come; empty if they can."""
    emitter = place.emitter
    if emitter is None or not emitter.is_alive():
        return "the thread that reads its events is dead"
    try:
        with open(f"/proc/self/fdinfo/{emitter.inotify}", "rb") as file:
            watched = b"inotify wd:" in file.read()
    except FileNotFoundError:
        watched = False
    except OSError as error:  # no descriptors, say: then we do not know
        return f"the kernel cannot be asked whether it watches it: {error.strerror}"
    return "" if watched else "the kernel no longer watches it"
