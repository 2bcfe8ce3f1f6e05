"""Where refused files go: ``rejected/NAME``, with ``NAME.reason`` beside it. Nothing is deleted there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from taskgated.faultpoints import point
from taskgated.host import acl, directories
from taskgated.host.clock import rfc3339, wall
from taskgated.text import to_bytes

REASON = b".reason"
_NAME_MAX = 255


def put_aside(rejected: bytes, directory: int, path: bytes, name: bytes, queue: str, reason: str) -> bytes | None:
    """Move ``path`` (relative to the open ``directory``) to ``rejected`` and say why; returns its name there, or None
    if there is no such file any more.

    The reason comes first: after a crash in between, the file is refused once more and takes the same name, for
    a reason without a file belongs to none. A disk too full for the reason does not keep the file in the spool.
    ``OSError`` when the file cannot be moved, also for want of a place to move it to.
    """
    directories.make_shared(os.fsdecode(rejected))
    if leads_back(rejected):
        raise OSError(errno.ELOOP, "it is a link into the spool, from where it would be refused again and again")
    owner = _owner(directory, path)
    if owner is None:
        return None
    new = free(name, lambda name: _taken(rejected, name))
    text = f"{reason}\n\nRefused {rfc3339(wall())}, queue {queue}.\n"
    try:
        write_reason(rejected + b"/" + new + REASON, to_bytes(text), owner)
    except OSError:
        pass  # it is in the journal
    point("reject.reason")
    try:
        os.rename(path, rejected + b"/" + new, src_dir_fd=directory)
    except OSError as error:
        _take_back(rejected + b"/" + new + REASON)
        # ENOENT speaks of either path (rename(2)): only without the file itself is there nothing left to move.
        if isinstance(error, FileNotFoundError) and _owner(directory, path) is None:
            return None
        raise
    point("reject.moved")
    return new


def leads_back(directory: bytes) -> bool:
    """Whether it is a link to a place in the spool that is not its own."""
    if not os.path.islink(directory):
        return False
    place, spool = os.path.realpath(directory), os.path.realpath(os.path.dirname(directory))
    return place == spool or place.startswith(spool + b"/")


def _owner(directory: int, path: bytes) -> int | None:
    """The uid of what lies there; None if there is nothing."""
    try:
        return os.stat(path, dir_fd=directory, follow_symlinks=False).st_uid
    except FileNotFoundError:
        return None


def _take_back(reason: bytes) -> None:
    """Remove a reason that speaks of a refused file which is not there."""
    try:
        os.unlink(reason)
    except OSError:
        pass


def sync(directory: bytes) -> None:
    """Put on stable storage which names it has; nothing to do if it is not there."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _taken(rejected: bytes, name: bytes) -> bool:
    path = rejected + b"/" + name
    if os.path.lexists(path):
        return True
    # NAME.reason alone is a leftover to be written again, unless it is itself a refused file of that name.
    return os.path.lexists(path + REASON + REASON)


def free(name: bytes, taken: Callable[[bytes], bool]) -> bytes:
    """``name``, or the name with the next number; cut so that its reason's name is not too long.

    Found by doubling and halving: the same file may have been refused every minute for a year.
    """

    def numbered(number: int) -> bytes:
        suffix = b".%d" % number if number else b""
        return name[: _NAME_MAX - len(REASON) - len(suffix)] + suffix

    if not taken(numbered(0)):
        return numbered(0)
    low, high = 0, 1
    while taken(numbered(high)):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(numbered(middle)) else (low, middle)
    return numbered(high)


def write_reason(path: bytes, data: bytes, owner: int) -> None:
    """Write the reason: for the owner of the refused file alone, from which it quotes, where that can be said."""
    temporary = os.path.dirname(path) + b"/.reason.tmp"
    try:
        os.unlink(temporary)  # whatever it is: a FIFO that a job put there would keep us waiting (fifo(7))
    except FileNotFoundError:
        pass
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        if owner != os.geteuid():
            try:
                acl.let_read(fd, owner)
            except OSError:
                pass  # no such lists on this file system: the group may read it
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
