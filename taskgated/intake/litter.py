"""What is left of claims that are done with, whatever it is: it goes away a little at a time.

A handler may leave anything beside its file: a million files, directories a thousand deep, some that not even
we may write to. One rename puts all of it here. From then on it costs each round of intake a bounded number of steps,
and no memory: a directory that lies in another is first moved up here, so that nothing is ever deeper than one level,
and no path is followed. What cannot be removed (another user's directory, a mount) is told of once, and left.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable

from taskgated.faultpoints import point
from taskgated.host import directories

STEP = 500
"""Entries that are removed, or moved up, in one go: some ten milliseconds."""
STUCK = 256
"""Entries remembered that cannot be removed; with more of them all the rest waits for the next rescan as well."""
OF_THE_ENTRY = (
    errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOENT,
    errno.ELOOP, errno.EXDEV,
)  # fmt: skip
"""What is in the way of one entry alone; anything else is trouble with the disk."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Litter:
    """The directory of that ``name`` in the open directory ``parent``. ``OSError`` means trouble with its disk."""

    def __init__(self, parent: int, path: bytes, name: bytes, tell: Callable[[bytes, str], None]) -> None:
        """``path``: of the parent. ``tell``: what cannot be removed, and why."""
        directories.make_private(os.fsdecode(path + b"/" + name))
        self._parent = parent
        self._path = path + b"/" + name
        self._fd = os.open(name, _OPEN, dir_fd=parent)
        self._tell = tell
        self._stuck: dict[bytes, None] = {}
        self.pending = True
        """There may be something to remove."""

    def close(self) -> None:
        os.close(self._fd)

    def put(self, name: bytes) -> None:
        """Take an entry of the parent directory, whatever it is; nothing if it is not there."""
        try:
            self._move_up(self._parent, name)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in OF_THE_ENTRY:
                raise
            self._tell(os.path.dirname(self._path) + b"/" + name, error.strerror or "")
            return
        self.pending = True
        point("litter.put")

    def try_again(self) -> None:
        """What could not be removed may go now."""
        if self._stuck:
            self._stuck.clear()
            self.pending = True

    def step(self) -> None:
        """Remove some of it."""
        left = STEP
        found = 0
        with os.scandir(self._fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if name in self._stuck:
                    continue
                found += 1
                left -= self._remove(name, left)
                if left <= 0 or len(self._stuck) >= STUCK:
                    break
        self.pending = found > 0 and len(self._stuck) < STUCK

    def _remove(self, name: bytes, most: int) -> int:
        """Remove an entry, or a part of what is in it; returns how many steps that took."""
        try:
            try:
                os.unlink(name, dir_fd=self._fd)
            except IsADirectoryError:
                return self._empty(name, most)
        except OSError as error:
            if error.errno not in OF_THE_ENTRY:
                raise
            self._stuck[name] = None
            self._tell(self._path + b"/" + name, error.strerror or "")
        return 1

    def _empty(self, name: bytes, most: int) -> int:
        """Remove a directory, or lift some of what is in it; returns how many steps that took."""
        try:
            os.rmdir(name, dir_fd=self._fd)
            point("litter.removed")
            return 1
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        make_ours(self._fd, name)
        steps = gone = 0
        failed: OSError | None = None
        directory = os.open(name, _OPEN, dir_fd=self._fd)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    steps += 1
                    try:
                        self._lift(directory, os.fsencode(entry.name))
                        gone += 1
                    except OSError as error:
                        if error.errno not in OF_THE_ENTRY:
                            raise
                        failed = error
                    if steps >= most:
                        break
        finally:
            os.close(directory)
        if failed is not None and not gone:
            raise failed
        return steps + 1

    def _lift(self, directory: int, name: bytes) -> None:
        """Take an entry out of a directory: a file is gone then, a directory lies up here."""
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            self._move_up(directory, name)

    def _move_up(self, directory: int, name: bytes) -> None:
        new = secrets.token_hex(12).encode()
        try:
            os.rename(name, new, src_dir_fd=directory, dst_dir_fd=self._fd)
        except PermissionError:  # a directory that moves is written to, for its ".." (rename(2))
            make_ours(directory, name)
            os.rename(name, new, src_dir_fd=directory, dst_dir_fd=self._fd)


def make_ours(directory: int, name: bytes) -> None:
    """Whatever a job did to the permissions of its directory, it can be looked into and emptied from then on."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # the directory itself, even if its name is given to another
    finally:
        os.close(fd)
