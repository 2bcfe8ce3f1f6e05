"""The watched directories: the spool and the queue directories in it, and what was heard of them.

Events are hints and a rescan is the truth: whatever is lost, late or too much ends as "look at everything".
So nothing here needs to be complete, but it must notice when it is blind; ``health`` finds that out and
``stop`` and ``start`` begin anew. All methods are for the intake thread; ``Hints`` is what it shares with the
observer thread.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch

from taskgated.intake import quota, shortage
from taskgated.intake.emitter import Emitter, Look
from taskgated.intake.hints import Hints
from taskgated.intake.place import ROOT, Place, deaf, moved
from taskgated.text import printable, to_text

CANARY = b".canary"
_TAKEN = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO)
PATIENCE = 5.0
"""Seconds in which the answer of an emitter must have come all the way to us."""


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
                self._hints.names(key, event.names, event.renamed)
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
        self.evicted: list[bytes] = []
        self._configured: frozenset[bytes] = frozenset()
        self._others: dict[bytes, Place] = {}  # of the places, those that nobody has configured: a bounded number
        self._openings = 0
        self._patience = patience
        self._observer = BaseObserver(Emitter)

    # Our descriptor keeps a removed directory alive, so that the kernel says nothing of its end (it does of a
    # move). Its name is heard of again when somebody makes it anew; else ``health`` finds out.

    def start(self) -> None:
        """A new observer; open and watch the spool. ``OSError`` when it is not there. Queue directories come
        by ``adopt``."""
        self._observer = BaseObserver(Emitter)
        try:
            self._observer.start()
        except RuntimeError as error:
            missing = shortage.no_thread(error, self.spool)
            text = f"{missing.strerror}; {shortage.helps(errno.EAGAIN, -1)}"
            raise OSError(errno.EAGAIN, text, self.spool) from None
        self._open(ROOT, self.spool)

    def stop(self) -> None:
        try:
            os.unlink(self.spool + b"/" + CANARY)
        except OSError:
            pass
        # Never waited for: a handler that hangs holds the observer's lock, and its stop() wants it.
        _apart(self._observer.stop)
        for place in self.places.values():
            os.close(place.fd)
        self.places.clear()
        self._others.clear()
        self.evicted.clear()

    def adopt(self, name: bytes) -> Place:
        """The place of a queue directory, watched from now on. Its files from before are still to be looked
        at: watch first, then scan. ``OSError`` when it cannot be used, also when it is another file system
        (EXDEV), for nothing could be renamed out of it, or there are too many (EDQUOT). One may make room for
        itself: then another is no longer among ``places``, but in ``evicted``."""
        place = self.places.get(name)
        if place is not None and moved(place):
            self.drop(name)
            place = None
        return place or self._open(name, self.spool + b"/" + name)

    def configure(self, queues: Collection[bytes]) -> None:
        """Which queue directories are configured."""
        self._configured = frozenset(queues)
        self._others = {key: place for key, place in self.places.items() if key and key not in self._configured}

    def displaced(self) -> list[bytes]:
        """The queue directories that are not, or are not to be seen, where they were."""
        return [place.key for place in self.places.values() if place.key and moved(place)]

    def watch_again(self) -> None:
        """There may be watches again for those that got none."""
        for place in self.places.values():
            if place.unwatched:
                self._schedule(place)
                if place.unwatched:
                    return  # nor is there one for the next
                self.hints.everything(place.key)  # that came while nothing was heard of

    def drop(self, key: bytes) -> None:
        """Forget a directory that is gone."""
        place = self.places.pop(key, None)
        if place is None:
            return
        self._others.pop(key, None)
        self.hints.take(key)
        if place.watch is not None:
            # Waits for the observer's lock and the emitter's end, and nothing may make the intake wait.
            _apart(self._observer.unschedule, place.watch)
        os.close(place.fd)

    def health(self) -> list[str]:
        """What is wrong with the watching, in words; nothing if all is well. Takes some 50 µs.

        A sign of life is asked for at each call, and must have come within ``PATIENCE`` seconds.
        """
        problems = []
        if not self._observer.is_alive():
            problems.append("the observer thread is dead")
        if ROOT not in self.places:
            problems.append(f"{printable(to_text(self.spool))} is not there")
        for place in self.places.values():
            # What becomes of a queue directory is no trouble of the spool: see ``displaced``.
            gone = moved(place) if place.key == ROOT else ""
            if place.unwatched and not gone:
                continue
            problem = gone or place.blind or deaf(place) or self._mute(place)
            if problem:
                problems.append(f"{printable(to_text(place.path))}: {problem}")
        return problems

    def _open(self, key: bytes, path: bytes) -> Place:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if key else 0))
        stat = os.fstat(fd)
        if key and stat.st_dev != self.places[ROOT].identity[0]:
            os.close(fd)
            raise OSError(errno.EXDEV, "it is on another file system than the spool", path)
        place = Place(key, path, fd, (stat.st_dev, stat.st_ino))
        try:
            if key:
                self._make_room(place)
        except OSError:
            os.close(fd)
            raise
        self.places[key] = place
        if key and key not in self._configured:
            self._others[key] = place
        self._openings += 1
        place.handler = _Handler(place, self.hints)
        self._schedule(place)
        return place

    def _schedule(self, place: Place) -> None:
        """Have it watched, or say in the place why it is not."""
        assert place.handler is not None
        # The library knows a watch by its path; what was there before may not be quite forgotten yet.
        spelled = self.spool + b"/." * (self._openings % 8) + b"/" + place.key
        place.blind = place.unwatched = place.helps = ""
        try:
            place.watch = self._observer.schedule(place.handler, spelled)  # type: ignore[arg-type]
        except (OSError, MemoryError) as error:
            why = f"cannot be watched: {getattr(error, 'strerror', None) or 'there is not enough memory'}"
            if (short := shortage.of(error)) is not None:
                place.unwatched, place.helps = why, shortage.helps(short, place.fd)
            else:
                place.blind = why
            return
        emitters = [e for e in self._observer.emitters if e.watch == place.watch]
        if emitters and isinstance(emitters[0], Emitter):
            place.emitter = emitters[0]

    def _make_room(self, place: Place) -> None:
        """As ``quota`` has it: another directory may be given up, or ``OSError`` says why this one is not used."""
        other = quota.given_up(place, place.key in self._configured, len(self.places), list(self._others.values()))
        if other is not None:
            self.drop(other.key)
            self.evicted.append(other.key)

    def _mute(self, place: Place) -> str:
        """Ask an emitter for a sign of life; returns what is wrong if the one asked for before has not come."""
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


def _apart(call: Callable[..., None], *args: ObservedWatch) -> None:
    """Call it on a thread of its own. Where none can be started it is left: a watch that is not read does no harm."""
    try:
        threading.Thread(target=_quietly, args=(call, *args), daemon=True).start()
    except RuntimeError:
        pass


def _quietly(call: Callable[..., None], *args: ObservedWatch) -> None:
    try:
        call(*args)
    except (KeyError, RuntimeError):
        pass  # a second stop, or one before the start
