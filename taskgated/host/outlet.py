"""Where events leave the process, on a thread of its own: what tells of something never waits for what listens.

What cannot be written yet is kept in order, up to a bound; beyond it the newest are dropped, and where they would
have been it is said how many they were.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

BOUND = 4 * 1024 * 1024
"""Bytes that may wait."""
SHORTEST, LONGEST = 0.1, 30.0
"""Seconds until it is tried again to write where nobody listens just now, or there is no room: doubled each time."""
LINGER = 0.005
"""Seconds that the thread, once woken, lets go by: what is told meanwhile need not wake it again. To be woken for
each event, and to take turns with the main loop for it, costs a quarter of all that is done for a job."""
AT_ONCE = 64
"""Events that are written in one piece at most."""
_PASSES = frozenset({
    errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EIO,
    errno.ECONNREFUSED, errno.ENOENT,
})  # fmt: skip


class Outlet:
    """``write`` may block; it returns how much it wrote, or raises ``OSError``. ``gap``: the text that says how many
    events are missing there. ``joined``: several events may be written as one piece."""

    def __init__(
        self, name: str, write: Callable[[bytes], int], gap: Callable[[int], bytes], *, joined: bool = False
    ) -> None:
        self._joined = joined
        self._name = name
        self._write = write
        self._gap = gap
        self._waiting: deque[bytes | int] = deque()  # events, and how many are missing between two of them
        self._size = 0
        self._missing = 0  # events that can never be written (standard error is closed), not told of yet
        self._changed = threading.Condition()
        self._idle = False  # the thread waits for something to write
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, events: Iterable[bytes]) -> None:
        """Write these, soon. The thread is started by the first, so that a process that tells of nothing has none."""
        with self._changed:
            for event in events:
                if not self._size or self._size + len(event) <= BOUND:
                    self._waiting.append(event)
                    self._size += len(event)
                elif self._waiting and isinstance(last := self._waiting[-1], int):
                    self._waiting[-1] = last + 1
                else:
                    self._waiting.append(1)
            if self._idle:
                self._changed.notify()
        if self._thread is None and self._waiting:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more processes (pthread_create(3), EAGAIN): it is tried again with the next
                return
            self._thread = thread

    def close(self) -> None:
        """Nothing more will come; what cannot be written now is not waited for."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, patience: float) -> None:
        """Until all is written, or for that many seconds."""
        if self._thread is not None:
            self._thread.join(patience)

    # -- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while events := self._next():
            texts = [event for event in events if isinstance(event, bytes)]
            self._missing += sum(event for event in events if isinstance(event, int))
            if self._missing and self._done(self._gap(self._missing)):
                self._missing = 0
            if not self._done(b"".join(texts)):
                self._missing += len(texts)

    def _next(self) -> list[bytes | int]:
        """What is to be written next: one event, or some that may be joined; or how many are missing."""
        with self._changed:
            if not self._waiting:
                self._idle = True
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._idle = False
                self._changed.wait_for(lambda: self._closing, LINGER)
            events: list[bytes | int] = []
            while self._waiting and (not events or self._fits(events, self._waiting[0])):
                event = self._waiting.popleft()
                self._size -= len(event) if isinstance(event, bytes) else 0
                events.append(event)
            return events

    def _fits(self, events: Sequence[bytes | int], more: bytes | int) -> bool:
        return self._joined and len(events) < AT_ONCE and isinstance(events[-1], bytes) and isinstance(more, bytes)

    def _done(self, text: bytes) -> bool:
        """Write it, as soon as that is possible; False: it never will be."""
        pause = SHORTEST
        while text:
            try:
                text = text[self._write(text) :]
            except OSError as error:
                if error.errno not in _PASSES or self._closing:
                    return False
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(2 * pause, LONGEST)
        return True
