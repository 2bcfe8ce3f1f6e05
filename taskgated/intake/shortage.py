"""What helps where the kernel has nothing left to watch a directory with.

The words of the error would mislead: "no space left on device" is said of watches, "too many open files" of two
things, and "can't start new thread" of three. Sources: inotify_init1(2), inotify_add_watch(2), pthread_create(3),
systemd.exec(5), systemd.resource-control(5).
"""

from __future__ import annotations

import errno
import os

_HELPS = {
    errno.EMFILE: "raise the sysctl fs.inotify.max_user_instances",
    errno.ENOSPC: "raise the sysctl fs.inotify.max_user_watches",
    errno.ENFILE: "raise the sysctl fs.file-max",
    errno.ENOMEM: "the kernel has no memory for it: raise MemoryMax= of the service, or free some on the host",
    errno.EAGAIN: "each directory takes a thread: raise TasksMax=, LimitNPROC= or LimitAS= of the service, "
    "or see which jobs start processes without end",
}


def of(error: OSError | MemoryError) -> int | None:
    """Of what there is too little, as an error number; None if something else is wrong."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno
    return number if number in _HELPS else None


def helps(number: int, descriptor: int) -> str:
    """What to do. ``descriptor``: any that is open, which tells whose limit EMFILE is about: that of the process, or
    that of its user's inotify instances."""
    if number == errno.EMFILE:
        try:
            os.close(os.dup(descriptor))
        except OSError:
            return "raise LimitNOFILE= of the service"
    return _HELPS[number]


def no_thread(error: RuntimeError, path: str | bytes) -> OSError:
    """What ``threading.Thread.start`` raises when it can start none, as the system says it (pthread_create(3))."""
    return OSError(errno.EAGAIN, str(error), path)
