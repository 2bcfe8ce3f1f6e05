"""inotify for watchdog's observer: says which names in one directory are worth a look.

The library's own emitter pairs the two halves of a rename, and for that holds events back for half a second,
keeps state for each file that leaves the directory and hides a queue overflow. Taking a file out of the
spool is a rename, so nothing of this fits. This one needs no pairs: an event is only a hint to look.

Works unchanged with watchdog 2.2 to 7: it uses ``EventEmitter`` and nothing below it.
Sources: inotify(7), inotify_init1(2), inotify_add_watch(2), eventfd(2).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading

from watchdog.events import FileSystemEvent
from watchdog.observers.api import EventEmitter

from taskgated.intake import shortage

# The ends of writing (a file is closed, or comes by rename), the birth of a name (link(2) gives nothing but
# this), and the end of the directory itself.
IN_CLOSE_WRITE = 0x00000008
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE_SELF = 0x00000400
IN_MOVE_SELF = 0x00000800
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONLYDIR = 0x01000000

MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
_GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name with its padding
_BUFFER = 64 * 1024  # some two thousand events
BEHIND = 64
"""When so many buffers of names wait for the observer, names are worth nothing: one look at everything is."""

_libc = ctypes.CDLL(None, use_errno=True)


class Look(FileSystemEvent):
    """One message of an emitter: look at ``names`` in the directory, or at ``everything``.

    ``gone``: the directory was removed, moved or unmounted. Without all three it is the answer to a ping.
    ``renamed``: those of the names whose last event was a rename to it.
    """

    def __init__(
        self,
        path: bytes,
        names: tuple[bytes, ...] = (),
        everything: bool = False,
        gone: bool = False,
        renamed: frozenset[bytes] = frozenset(),
    ) -> None:
        super().__init__(path)
        self.names = names
        self.everything = everything
        self.gone = gone
        self.renamed = renamed

    # The library's queue drops an event that equals the one before it, so equality must mean all of it.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Look) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.src_path, self.names, self.everything, self.gone, self.renamed)


class Emitter(EventEmitter):
    """The thread that reads one directory's inotify descriptor. It has no time-out: without events it sleeps.

    ``start`` raises ``OSError`` when the directory cannot be watched. The descriptors are opened by ``start``
    and closed by the thread when it ends. A forked child shares the watch, so the watch is never removed by
    hand: it goes with the last copy of its descriptor.
    """

    inotify = -1
    """The inotify descriptor while the thread runs, else -1."""
    _alarm = -1

    def on_thread_start(self) -> None:
        self._guard = threading.Lock()  # a closed descriptor's number may already be that of another file
        path = self.watch.path
        self.inotify = _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), path)
        try:
            _check(_libc.inotify_add_watch(self.inotify, _bytes(path), ctypes.c_uint32(MASK)), path)
            self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            os.close(self.inotify)
            self.inotify = -1
            raise

    def start(self) -> None:
        try:
            super().start()
        except RuntimeError as error:
            self._close()
            raise shortage.no_thread(error, self.watch.path) from None

    def on_thread_stop(self) -> None:
        self.ping()

    def ping(self) -> None:
        """Make the thread turn round once: it answers with an empty ``Look``, or ends if it was told to."""
        if self._alarm < 0:
            return
        with self._guard:
            if self._alarm >= 0:
                os.eventfd_write(self._alarm, 1)

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._close()

    def _close(self) -> None:
        with self._guard:
            inotify, alarm, self.inotify, self._alarm = self.inotify, self._alarm, -1, -1
            os.close(inotify)
            os.close(alarm)

    def queue_events(self, timeout: float) -> None:
        poll = select.poll()
        poll.register(self.inotify, select.POLLIN)
        poll.register(self._alarm, select.POLLIN)
        while self.should_keep_running():
            for fd, _ in poll.poll():
                if fd == self._alarm:
                    os.eventfd_read(fd)
                    self.queue_event(Look(self._path))
                else:
                    self._read()

    def _read(self) -> None:
        """One buffer of events becomes one message, with each name once."""
        try:
            data = os.read(self.inotify, _BUFFER)
        except BlockingIOError:
            return
        seen = 0
        names: dict[bytes, bool] = {}  # and whether it was renamed to that
        offset = 0
        while offset < len(data):
            _, mask, _, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            seen |= mask
            if length:
                names[data[offset : offset + length].rstrip(b"\0")] = bool(mask & IN_MOVED_TO)
                offset += length
        if seen & _GONE:
            self.queue_event(Look(self._path, everything=True, gone=True))
        elif seen & IN_Q_OVERFLOW or self._event_queue.qsize() > BEHIND:
            self.queue_event(Look(self._path, everything=True))
        else:
            renamed = frozenset(name for name, so in names.items() if so)
            self.queue_event(Look(self._path, tuple(names), renamed=renamed))

    @property
    def _path(self) -> bytes:
        return _bytes(self.watch.path)


def _bytes(path: str | bytes) -> bytes:
    return path if isinstance(path, bytes) else os.fsencode(path)


def _check(result: int, path: str | bytes) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
