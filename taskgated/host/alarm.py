"""A descriptor that gets readable at a time, also if the host was suspended until after it (timerfd_create(2))."""

from __future__ import annotations

import ctypes
import os
import time

_TFD_TIMER_ABSTIME = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """By CLOCK_BOOTTIME. Raises ``OSError`` where the kernel has no such thing, or no descriptor is left."""

    def __init__(self) -> None:
        self._fd = _libc.timerfd_create(time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"timerfd_create: {os.strerror(error)}")

    def fileno(self) -> int:
        return int(self._fd)

    def set(self, at: int | None) -> None:
        """``at``: microseconds since boot, in place of what was set before; None: never. What is past is now."""
        seconds, rest = divmod(max(1, at or 1), 1_000_000)  # all of it 0 would be: never
        value = _Timespec() if at is None else _Timespec(seconds, rest * 1000)
        new = _Itimerspec(_Timespec(), value)
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(new), None) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"timerfd_settime: {os.strerror(error)}")

    def clear(self) -> None:
        """Make it unreadable again, until it is set anew."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._fd)
