"""The main loop: one thread, file descriptors, timers, signals, and calls from other threads.

Signal handlers only note the signal (signal(7) leaves little else that is safe); everything happens on the
loop. Timers are on the monotonic clock. An idle loop sleeps until something comes.

Callbacks may add, remove and close what they like, in any order: an event belongs to the watch that there was when
the kernel told of it. A watch that has ended hears nothing more, also if another has its number by then.
An exception out of a callback ends the loop. So what a peer may cause is caught where that peer's messages are read,
and costs it its connection; what comes through to here is our own state gone wrong, and the daemon
must not go on with that.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from types import FrameType
from typing import Protocol

from taskgated.host.clock import LONGEST_SLEEP


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Timer:
    """A call to come; ``cancel`` forgets it."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class _Watch:
    """What is called for one descriptor. Another one that gets the same number later has a watch of its own."""

    __slots__ = ("readable", "writable")

    def __init__(self, readable: Callable[[], object]) -> None:
        self.readable = readable
        self.writable: Callable[[], None] | None = None


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, _Watch] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._on_wake: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._posted: deque[Callable[[], None]] = deque()
        self._signals: dict[int, Callable[[int], None]] = {}
        self._stopped = False
        self.turns = 0
        self.add(FileDescriptor(self._wake_fd), self._woken)

    # -- file descriptors ------------------------------------------------------------------------

    def add(self, what: HasFileno, readable: Callable[[], object]) -> None:
        """Raises ``OSError`` when the kernel has no room for one more (epoll_ctl(2))."""
        self._epoll.register(what.fileno(), select.EPOLLIN)
        self._watched[what.fileno()] = _Watch(readable)

    def want_write(self, what: HasFileno, writable: Callable[[], None] | None) -> None:
        """Also (or no longer) call ``writable`` when there is room to write. Of what is not watched (any more):
        nothing."""
        watch = self._watched.get(what.fileno())
        if watch is not None:
            watch.writable = writable
            self._epoll.modify(what.fileno(), select.EPOLLIN | (select.EPOLLOUT if writable else 0))

    def remove(self, what: HasFileno) -> None:
        """Must be called before the descriptor is closed."""
        if self._watched.pop(what.fileno(), None) is not None:
            self._epoll.unregister(what.fileno())

    def add_later(self, what: HasFileno, readable: Callable[[], object], seconds: float = 1.0) -> None:
        """Watch it no more, and again in so many seconds. For a descriptor that is readable, and cannot be dealt with
        now: the loop would call at each turn."""
        self.remove(what)
        self.after(seconds, lambda: self.add(what, readable) if what.fileno() >= 0 else None)

    # -- timers, other threads, signals ----------------------------------------------------------

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + max(0.0, seconds), call)
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    def wake(self) -> None:
        """From any thread: call what ``on_wake`` was given, soon, on the loop's thread."""
        os.eventfd_write(self._wake_fd, 1)

    def on_wake(self, call: Callable[[], None]) -> None:
        self._on_wake.append(call)

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        """Call this after everything else in each turn."""
        self._at_end.append(call)

    def post(self, call: Callable[[], None]) -> None:
        """From any thread: do this on the loop's thread."""
        self._posted.append(call)
        self.wake()  # always: that others have posted does not say that the loop is not just done with theirs

    def handle_signals(self, numbers: Iterable[int], call: Callable[[int], None]) -> None:
        """``call`` runs on the loop for each signal; the handler itself does nothing but note it."""
        if not self._signals:
            self._reader, writer = socket.socketpair()
            self._reader.setblocking(False)
            writer.setblocking(False)
            self._writer = writer
            signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            self.add(self._reader, self._signalled)
        for number in numbers:
            self._signals[number] = call
            signal.signal(number, _noted)

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        while not self._stopped:
            self.turn()

    def stop(self) -> None:
        self._stopped = True

    def turn(self) -> None:
        self.turns += 1
        told = [(fd, events, self._watched[fd]) for fd, events in self._epoll.poll(self._timeout())]
        for fd, events, watch in told:  # each may be removed by what comes before it in this turn
            to_read = events & ~select.EPOLLOUT  # also the end, and errors: reading says which
            if to_read and self._watched.get(fd) is watch:
                watch.readable()
            if events & select.EPOLLOUT and self._watched.get(fd) is watch and watch.writable is not None:
                watch.writable()
        if self._timers:
            self._run_timers()
        for call in self._at_end:
            call()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                timer.call()

    def close(self) -> None:
        if self._signals:
            signal.set_wakeup_fd(-1)
            self._reader.close()
            self._writer.close()
        self._epoll.close()
        os.close(self._wake_fd)

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return min(LONGEST_SLEEP, max(0.0, self._timers[0][0] - time.monotonic()))

    def _woken(self) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return
        for call in self._on_wake:
            call()
        while self._posted:
            self._posted.popleft()()

    def _signalled(self) -> None:
        for number in self._reader.recv(64):
            if call := self._signals.get(number):
                call(number)


class FileDescriptor:
    """A bare descriptor, for ``Loop.add``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


def _noted(number: int, frame: FrameType | None) -> None:
    """The number is already in the wakeup descriptor."""
