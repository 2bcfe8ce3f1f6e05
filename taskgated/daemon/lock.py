"""One daemon for each gate: the lock on its state directory."""

from __future__ import annotations

import fcntl
import os

from taskgated.errors import CannotStart
from taskgated.host import directories
from taskgated.host.paths import Layout


def only_one(layout: Layout) -> int:
    """Take the lock that makes this process the only daemon of its state directory (flock(2)); it is held as long as
    the descriptor that is returned is open. Raises ``CannotStart`` or ``DiskTrouble``."""
    try:
        fd = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise directories.cannot(f"open {layout.lock_file}", error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"
        os.close(fd)
        raise CannotStart(f"another taskgated (pid {holder}) has {layout.state}") from None
    try:
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # no room: it is for people
    return fd
