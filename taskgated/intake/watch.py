"""The watched directories: the spool and the queue directories in it, and what was heard of them.

Events are hints and a rescan is the truth: whatever is lost, late or too much ends as "look at everything".
So nothing here needs to be complete, but it must notice when it is blind; ``health`` finds that out and
``stop`` and ``start`` begin anew. All methods of ``Watch`` are for the intake thread; ``Hints`` is what it
shares with the observer thread.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch

from taskgated.intake import scan
from taskgated.intake.emitter import Emitter, Look

ROOT = b""
"""The key of the spool itself; a queue directory's key is its name."""
HINTS = 4096
"""Names remembered for one directory; one more, and the whole directory is to be looked at instead."""
PLACES = 100
"""Directories used at most: each costs a thread and an inotify instance, of which a user has 128."""
CANARY = b".canary"
_TAKEN = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO)
PATIENCE = 5.0
"""Seconds in which the answer of an emitter must have come all the way to us."""


class Hints:
    """Names worth a look, by directory: thread-safe, bounded, each name once, in order of first mention."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._names: dict[bytes, dict[bytes, None]] = {}
        self._everything: set[bytes] = set()
        self._gone: set[bytes] = set()

    def names(self, key: bytes, names: tuple[bytes, ...]) -> None:
        worth = [name for name in names if not scan.ignored(name)]
        if not worth:
            return
        with self._lock:
            if key in self._everything:
                return
            known = self._names.setdefault(key, {})
            known.update(dict.fromkeys(worth))
            if len(known) > HINTS:
                del self._names[key]
                self._everything.add(key)
        self._wake()

    def everything(self, key: bytes) -> None:
        with self._lock:
            self._names.pop(key, None)
            self._everything.add(key)
        self._wake()

    def gone(self, key: bytes) -> None:
        with self._lock:
            self._gone.add(key)
        self._wake()

    def take(self, key: bytes) -> tuple[list[bytes], bool]:
        """The names said since the last call, and whether everything is to be looked at."""
        with self._lock:
            names = list(self._names.pop(key, ()))
            everything = key in self._everything
            self._everything.discard(key)
        return names, everything

    def take_gone(self) -> set[bytes]:
        """Directories that are no longer where they were."""
        with self._lock:
            gone, self._gone = self._gone, set()
        return gone

    def pending(self, key: bytes) -> bool:
        return key in self._names or key in self._everything


@dataclass(slots=True, eq=False)
class Place:
    """One directory that files come to. ``fd`` is open; ``blind``: why it is not watched, if it is not."""

    key: bytes
    path: bytes
    fd: int
    identity: tuple[int, int]
    watch: ObservedWatch | None = None
    emitter: Emitter | None = None
    blind: str = ""
    asked: float | None = None  # when the emitter was asked for a sign of life that has not come
    heard: float = field(default_factory=time.monotonic)


class _Handler(FileSystemEventHandler):
    """Runs on the observer thread, which an exception would end: there must be none."""

    def __init__(self, place: Place, hints: Hints) -> None:
        self._place = place
        self._hints = hints

    def dispatch(self, event: FileSystemEvent) -> None:
        key = self._place.key
        try:
            self._place.heard = time.monotonic()
            if not isinstance(event, Look) or event.everything:
                self._hints.everything(key)
            elif event.names:
                self._hints.names(key, event.names)
            if isinstance(event, Look) and event.gone:
                self._hints.gone(key)
        except Exception:
            self._hints.everything(key)


class Watch:
    """Owns the observer and the open directories. ``places`` changes only in calls of these methods."""

    def __init__(self, spool: bytes, wake: Callable[[], None], patience: float = PATIENCE) -> None:
        self.spool = spool
        self.places: dict[bytes, Place] = {}
        self.hints = Hints(wake)
        self._patience = patience
        self._observer = BaseObserver(Emitter)

    # Our descriptor keeps a removed directory alive, so that the kernel says nothing of its end (it does of a
    # move). Its name is heard of again when somebody makes it anew; else ``health`` finds out.

    def start(self) -> None:
        """A new observer; open and watch the spool. ``OSError`` when it is not there. Queue directories come
        by ``adopt``."""
        self._observer = BaseObserver(Emitter)
        self._observer.start()
        self._open(ROOT, self.spool)

    def stop(self) -> None:
        try:
            os.unlink(self.spool + b"/" + CANARY)
        except OSError:
            pass
        # Never waited for: a handler that hangs holds the observer's lock, and its stop() wants it.
        threading.Thread(target=_quietly, args=(self._observer.stop,), daemon=True).start()
        for place in self.places.values():
            os.close(place.fd)
        self.places.clear()

    def adopt(self, name: bytes) -> Place:
        """The place of a queue directory, watched from now on. Its files from before are still to be looked
        at: watch first, then scan. ``OSError`` when it cannot be used, also when it is another file system
        (EXDEV), for nothing could be renamed out of it, or there are too many (EDQUOT)."""
        place = self.places.get(name)
        if place is not None and _moved(place):
            self.drop(name)
            place = None
        if place is None and len(self.places) >= PLACES:
            raise OSError(errno.EDQUOT, f"there are {PLACES} of them already", name)
        return place or self._open(name, self.spool + b"/" + name)

    def drop(self, key: bytes) -> None:
        """Forget a directory that is gone."""
        place = self.places.pop(key, None)
        if place is None:
            return
        if place.watch is not None:
            # Waits for the observer's lock and the emitter's end, and nothing may make the intake wait.
            threading.Thread(target=_quietly, args=(self._observer.unschedule, place.watch), daemon=True).start()
        os.close(place.fd)

    def health(self) -> list[str]:
        """What is wrong with the watching, in words; nothing if all is well. Takes some 50 µs.

        A sign of life is asked for at each call, and must have come within ``PATIENCE`` seconds.
        """
        problems = []
        if not self._observer.is_alive():
            problems.append("the observer thread is dead")
        if ROOT not in self.places:
            problems.append(f"{_show(self.spool)} is not there")
        for place in self.places.values():
            problem = _moved(place) or place.blind or _deaf(place) or self._mute(place)
            if problem:
                problems.append(f"{_show(place.path)}: {problem}")
        return problems

    def _open(self, key: bytes, path: bytes) -> Place:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if key else 0))
        stat = os.fstat(fd)
        if key and stat.st_dev != self.places[ROOT].identity[0]:
            os.close(fd)
            raise OSError(errno.EXDEV, "it is on another file system than the spool", path)
        place = Place(key, path, fd, (stat.st_dev, stat.st_ino))
        self.places[key] = place
        try:
            place.watch = self._observer.schedule(_Handler(place, self.hints), path)  # type: ignore[arg-type]
        except OSError as error:
            place.blind = f"cannot be watched: {error.strerror}"
        else:
            emitters = [e for e in self._observer.emitters if e.watch == place.watch]
            if emitters and isinstance(emitters[0], Emitter):
                place.emitter = emitters[0]
        return place

    def _mute(self, place: Place) -> str:
        """Ask an emitter for a sign of life, and miss the one asked for before."""
        now = time.monotonic()
        if place.asked is not None:
            if place.heard < place.asked:
                return "no event comes through" if now - place.asked > self._patience else ""
            place.asked = None
        place.asked = now
        if place.key == ROOT:  # with a file, so that the kernel has its part in it
            # Somebody else may have taken the name, with a FIFO, say: that must not hold us up.
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                os.close(os.open(CANARY, flags, 0o600, dir_fd=place.fd))
            except OSError as error:
                if error.errno in _TAKEN:
                    _evict(place.fd)
                return f"cannot be written to: {error.strerror}"
        elif place.emitter is not None:  # in a queue directory it would be in the way of rmdir
            place.emitter.ping()
        return ""


def _evict(directory: int) -> None:
    """Move what is not our canary out of the way; next time there is one. Names with a dot are nobody's jobs."""
    try:
        os.rename(CANARY, CANARY + b"." + secrets.token_hex(8).encode(), src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        pass  # the spool is not ours: looking at everything now and then must do


def _moved(place: Place) -> str:
    try:
        stat = os.lstat(place.path) if place.key else os.stat(place.path)
    except OSError as error:
        return error.strerror or "gone"
    return "" if (stat.st_dev, stat.st_ino) == place.identity else "another directory is there now"


def _deaf(place: Place) -> str:
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


def _quietly(call: Callable[..., None], *args: ObservedWatch) -> None:
    try:
        call(*args)
    except (KeyError, RuntimeError):
        pass  # a second stop, or one before the start


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
