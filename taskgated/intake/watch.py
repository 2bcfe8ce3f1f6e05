"""The watched directories: the spool and the queue directories in it, and what was heard of them.

Events are hints and a rescan is the truth: whatever is lost, late or too much ends as "look at everything".
So nothing here needs to be complete, but it must notice when it is blind; ``health`` finds that out and
``stop`` and ``start`` begin anew. All methods of ``Watch`` are for the intake thread; ``Hints`` is what it
shares with the observer thread.
"""

from __future__ import annotations

import errno
import os
import resource
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
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
"""Queue directories that nobody has configured are used up to this, together with the configured ones: each costs a
thread and an inotify instance, of which a user has 128 (inotify(7))."""
SHARE = 25
"""Of these, what one user may have who is neither root nor ourselves."""
COST, KEPT = 3, 256
"""Descriptors that a place takes, and those that are left for everything else: the bound on configured queues."""
UNBOUNDED = 2**31
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM, errno.EAGAIN)
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
    """One directory that files come to. ``fd`` is open; ``blind``: why it is not watched, if it is not;
    ``unwatched``: the same of a queue directory for which the kernel has no watch left."""

    key: bytes
    path: bytes
    fd: int
    identity: tuple[int, int]
    handler: FileSystemEventHandler | None = None
    watch: ObservedWatch | None = None
    emitter: Emitter | None = None
    blind: str = ""
    unwatched: str = ""
    asked: float | None = None  # when the emitter was asked for a sign of life that has not come
    heard: float = field(default_factory=time.monotonic)

    @property
    def owner(self) -> int:
        return os.fstat(self.fd).st_uid


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
            raise OSError(errno.EAGAIN, str(error), self.spool) from None
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
        if place is not None and _moved(place):
            self.drop(name)
            place = None
        return place or self._open(name, self.spool + b"/" + name)

    def configure(self, queues: Collection[bytes]) -> None:
        """Which queue directories are configured."""
        self._configured = frozenset(queues)
        self._others = {key: place for key, place in self.places.items() if key and key not in self._configured}

    def displaced(self) -> list[bytes]:
        """The queue directories that are not, or are not to be seen, where they were."""
        return [place.key for place in self.places.values() if place.key and _moved(place)]

    def watch_again(self) -> None:
        """There may be watches again for those that got none."""
        for place in self.places.values():
            if place.unwatched:
                self._schedule(place)
                if place.unwatched:
                    return  # nor is there one for the next

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
            problems.append(f"{_show(self.spool)} is not there")
        for place in self.places.values():
            if place.unwatched:
                continue
            # What becomes of a queue directory is no trouble of the spool: see ``displaced``.
            moved = _moved(place) if place.key == ROOT else ""
            problem = moved or place.blind or _deaf(place) or self._mute(place)
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
        place.blind = place.unwatched = ""
        try:
            place.watch = self._observer.schedule(place.handler, spelled)  # type: ignore[arg-type]
        except OSError as error:
            why = f"cannot be watched: {error.strerror}"
            if place.key and error.errno in _SHORT:
                place.unwatched = why
            else:
                place.blind = why
            return
        emitters = [e for e in self._observer.emitters if e.watch == place.watch]
        if emitters and isinstance(emitters[0], Emitter):
            place.emitter = emitters[0]

    def _make_room(self, place: Place) -> None:
        """What is configured is bound by the descriptors that there are, the rest by ``PLACES``; and of that rest
        the administrators' come first, and no user has more than a share. Raises ``OSError`` (EDQUOT)."""
        configured = place.key in self._configured
        if configured and len(self.places) >= most():
            raise _too_many(place, f"the descriptors (LimitNOFILE=) do for {most()} of them")
        if configured and (len(self.places) < PLACES or not self._others):
            return
        others = list(self._others.values())
        theirs = [other for other in others if not _administrators(other.owner)]
        if configured:
            leaves = others
        elif _administrators(place.owner):
            leaves = theirs
        elif sum(other.owner == place.owner for other in theirs) >= SHARE:
            raise _too_many(place, f"its owner has {SHARE} of them already")
        else:
            leaves = []
        if len(self.places) < PLACES:
            return
        if not leaves:
            raise _too_many(place, f"there are {PLACES} of them already")
        have = Counter(other.owner for other in leaves)  # whoever has most of them, and of these the last one
        last = max(enumerate(leaves), key=lambda it: (it[1] in theirs, have[it[1].owner], it[0]))[1]
        self.drop(last.key)
        self.evicted.append(last.key)

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


def most() -> int:
    """How many directories can be open, watched and unwatched."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNBOUNDED if descriptors == resource.RLIM_INFINITY else max(PLACES, (descriptors - KEPT) // COST)


def _administrators(owner: int) -> bool:
    return owner in (0, os.geteuid())


def _too_many(place: Place, why: str) -> OSError:
    return OSError(errno.EDQUOT, why, place.path)


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


def _apart(call: Callable[..., None], *args: ObservedWatch) -> None:
    """On a thread of its own. Where none can be started it is left: what nobody listens to does no harm."""
    try:
        threading.Thread(target=_quietly, args=(call, *args), daemon=True).start()
    except RuntimeError:
        pass


def _quietly(call: Callable[..., None], *args: ObservedWatch) -> None:
    try:
        call(*args)
    except (KeyError, RuntimeError):
        pass  # a second stop, or one before the start


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
