"""Which names in a directory are meant for us, and in what order they came."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Callable, Iterator

from taskgated.language.keys import QUEUE_NAME, RESERVED
from taskgated.language.names import hidden

CHUNK = 16_384
"""Names that one pass over a directory brings at most, whatever lies in it: some 4 MB."""

_QUEUE = re.compile(QUEUE_NAME.encode("ascii"))
_NOT_QUEUES = (*(name.encode("ascii") for name in RESERVED), b"lost+found")

Age = tuple[int, bytes]
"""When a name (or what is behind it) last changed, in nanoseconds, and the name: the order of arrival."""
START: Age = (-1, b"")


def reserved(name: bytes) -> bool:
    """Whether a name in the spool is neither a file to take nor a queue."""
    return name in _NOT_QUEUES


def queue_name(name: bytes) -> str | None:
    """The queue that a sub-directory of the spool feeds; None if no queue can have that name."""
    if hidden(name) or reserved(name) or not _QUEUE.fullmatch(name):
        return None
    return name.decode("ascii")


def oldest(
    directory: int, after: Age = START, limit: int = CHUNK, passed: Callable[[bytes], object] | None = None
) -> list[Age]:
    """The ``limit`` names that arrived first after ``after``, oldest first; fewer only when these are all.

    ``directory`` is an open directory. Memory depends on ``limit``, not on the directory: each pass reads
    all of it and keeps the oldest. The inode's change time stands for arrival: unlike the modification time
    it cannot be chosen, and a rename or a link sets it too. ``passed`` is called with the name of each file that is
    passed over, as its name is nobody's.
    """
    return heapq.nsmallest(limit, (age for age in _ages(directory, passed) if age > after))


def _ages(directory: int, passed: Callable[[bytes], object] | None) -> Iterator[Age]:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if hidden(name):
                if passed is not None and not _is_directory(entry):
                    passed(name)
                continue
            try:
                yield entry.stat(follow_symlinks=False).st_ctime_ns, name
            except FileNotFoundError:
                continue
            except OSError:  # what keeps us from this name is told of when it is looked at; it has no age
                yield 0, name


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Without asking the disk, where the file system tells what it lists (readdir(3))."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return True
