"""A file is settled when no process writes to it any more; only then is it read.

The kernel knows: it grants a read lease (``F_SETLEASE``, fcntl(2)) only on a file that no process has open for
writing, by whatever name, inherited descriptor or shared mapping. While the lease is held, a process that opens the
file for writing waits. Where leases cannot be had (they take the owner or CAP_LEASE, and not every file system has
them) a file counts as settled when it has not changed for a while.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import stat as modes
from dataclasses import dataclass
from fcntl import F_GETLEASE, F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl

from taskgated.errors import Problem, Refused, Trouble
from taskgated.host.identity import how_to_drop, user_name
from taskgated.intake.later import Later
from taskgated.text import printable, to_text

BUSY = 1.0
"""Seconds until a file that is open for writing is looked at again. Its close is heard of at once, unless it
was opened by another name than that in our directory: a hard link, or none at all (``O_TMPFILE``)."""

MOMENT = 0.25
"""Seconds that a file which was written in the spool itself rests after its last change, unless ``settle_time`` is
less: so long has ``cp FILE SPOOL; chmod +x SPOOL/FILE`` for its second half. What is renamed in is finished."""
LONGEST = 2.0
"""Seconds after which a file has rested enough that changes all the time: crons may add to a list again and again."""

# No device, FIFO or terminal may hold us up or become ours, even if one is put there between lstat and open.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_WHAT = {
    modes.S_IFLNK: "a symbolic link",
    modes.S_IFIFO: "a FIFO",
    modes.S_IFSOCK: "a socket",
    modes.S_IFCHR: "a device",
    modes.S_IFBLK: "a device",
}
OURS_TO_SOLVE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)
_ITS_OWN = (errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.EOVERFLOW, errno.ENAMETOOLONG)
"""What is wrong with the file itself, its permissions and its kind; all else is said of what it lies on (open(2))."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that no process writes to; if ``leased``, none can begin to until ``close``."""

    fd: int
    stat: os.stat_result
    leased: bool

    def undisturbed(self) -> bool:
        """No writer waits for us to let the file go, and it is as long as when it was opened.

        While a lease is being broken ``F_GETLEASE`` already says what it will become: none.
        """
        if self.leased and fcntl(self.fd, F_GETLEASE) != F_RDLCK:
            return False
        return os.fstat(self.fd).st_size == self.stat.st_size

    def close(self) -> None:
        if self.leased:  # by hand: a forked child may have a copy of the descriptor, which would keep it
            _give_back(self.fd)
        try:
            os.close(self.fd)
        except OSError:
            pass  # of what was only read nothing can be lost, and the descriptor is free all the same (close(2))


def _give_back(fd: int) -> None:
    """Give a lease back, if it is still ours: when a writer has waited for too long the kernel takes it away, and
    says EAGAIN then (fcntl(2), ``/proc/sys/fs/lease-break-time``)."""
    try:
        fcntl(fd, F_SETLEASE, F_UNLCK)
    except OSError:
        pass


def hard_links_protected() -> bool:
    """Whether people can link only what they own or may read and write (fs.protected_hardlinks, proc(5))."""
    try:
        with open("/proc/sys/fs/protected_hardlinks", "rb") as file:
            return file.read().strip() != b"0"
    except OSError:
        return False


def open_settled(
    directory: int,
    path: bytes,
    key: bytes,
    later: Later,
    settle_time: float,
    any_link: bool,
    as_of: float | None = None,
) -> Opened | float | None:
    """Open a regular file that no process writes to.

    Returns in how many seconds to look again if one still does, or None if there is no such file.
    Raises ``Refused`` for what is not a regular file or may not be read, ``Trouble`` for what cannot be read now, and
    ``OSError`` when nothing can. ``any_link``: files with several names are welcome. ``as_of``: now, in
    seconds since the epoch, for a file that may have been written where it is: that has to rest for ``MOMENT``.
    """
    status = None
    try:
        status = os.stat(path, dir_fd=directory, follow_symlinks=False)
        _check_type(status.st_mode, path)
        if as_of is not None:
            rest = min(MOMENT, settle_time) - rested(status, key, later, as_of)
            if (rest := min(rest, LONGEST - later.known(key))) > 0:
                return rest
        fd = os.open(path, _OPEN, dir_fd=directory)
    except FileNotFoundError:
        return None
    except BlockingIOError:  # another process holds a write lease on it
        return BUSY
    except OSError as error:
        if error.errno in OURS_TO_SOLVE:
            raise
        if error.errno == errno.ELOOP:  # became a link since lstat: say so next time
            return 0.0
        if error.errno not in _ITS_OWN:
            raise Trouble(f"cannot be read: {error.strerror}") from error
        if status is None:
            raise unfit(path, f"cannot be read: {error.strerror}", "drop another") from None
        # Many programs make a file for themselves alone, and say only when it is written who may read it: install(1).
        if (rest := settle_time - later.unchanged(key, status)) > 0:
            return min(rest, BUSY)
        raise unfit(path, f"cannot be read: {error.strerror}", _how_to_drop(directory, path, status)) from None
    try:
        found = _settled(fd, path, key, later, settle_time, any_link)
    except BaseException:
        os.close(fd)
        raise
    if not isinstance(found, Opened):
        os.close(fd)
    return found


def rested(status: os.stat_result, key: bytes, later: Later, as_of: float) -> float:
    """For how many seconds the file has not changed, and its name neither, as of that ``time.time()``.

    Its change time tells that also of files that were there before us, and of any number without memory. After a step
    of the clock it may lie ahead; then it counts how long we have seen no change.
    """
    age = as_of - status.st_ctime_ns / 1e9
    return age if age >= 0 else later.unchanged(key, status)


def _how_to_drop(directory: int, path: bytes, status: os.stat_result) -> str:
    """What its owner may type to have it read. (The ways in taskgate-job(5), of which each is tried by a test.)"""
    place = os.readlink(f"/proc/self/fd/{directory}").removesuffix("/.claims")
    target = printable(shlex.quote(f"{place}/{to_text(os.path.basename(path))}"))
    return how_to_drop(user_name(os.geteuid()), status.st_mode, target)


def _settled(fd: int, path: bytes, key: bytes, later: Later, settle_time: float, any_link: bool) -> Opened | float:
    _check_type(os.fstat(fd).st_mode, path)
    leased = _lease(fd)
    if leased is None:
        return BUSY
    opened = Opened(fd, stat := os.fstat(fd), leased)
    # An empty file is often one that mktemp(1) or touch(1) made and that somebody will write to next. A file
    # with a second name may lose it in a moment: link and unlink is a way to rename.
    linked = stat.st_nlink > 1 and not any_link
    if not leased or stat.st_size == 0 or linked:
        rest = settle_time - later.unchanged(key, stat)
        if rest > 0:
            if leased:
                _give_back(fd)
            return rest
    if linked:
        # Without that protection anybody can link any file of this file system into the spool, and have us
        # read what they may not. With it they can link only what they could have copied.
        raise unfit(path, "has more than one name", "copy it, or set the sysctl fs.protected_hardlinks to 1")
    return opened


def _lease(fd: int) -> bool | None:
    """True: the lease is ours. None: a process has the file open for writing. False: there are no leases here."""
    try:
        # A writer that has to wait makes the kernel send a signal: SIGIO, which kills. SIGURG is ignored
        # by default, so no handler is needed and no job inherits one.
        fcntl(fd, F_SETSIG, signal.SIGURG)
        fcntl(fd, F_SETLEASE, F_RDLCK)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _check_type(mode: int, path: bytes) -> None:
    if modes.S_ISREG(mode):
        return
    if modes.S_ISDIR(mode):
        raise unfit(path, "is a directory that is no queue", "a queue is a directory in the spool itself, "
                    "named with letters, digits, '_', '-' and '.'")  # fmt: skip
    raise unfit(path, f"is {_WHAT.get(modes.S_IFMT(mode), 'no file')}", "put the file itself here")


def unfit(path: bytes, message: str, hint: str) -> Refused:
    return Refused([Problem(to_text(os.path.basename(path)), 0, 0, message, hint=hint)])
