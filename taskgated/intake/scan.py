"""Which names in a directory are meant for us, and in what order they came."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator

from taskgated.formats.keys import QUEUE_NAME

CHUNK = 16_384
"""Names that one pass over a directory brings at most, whatever lies in it: some 4 MB."""

_QUEUE = re.compile(QUEUE_NAME.encode("ascii"))
_NOT_QUEUES = (b"rejected", b"lost+found")
_UNFINISHED = (b".tmp", b".part", b".swp", b"~")

Age = tuple[int, bytes]
"""When a name (or what is behind it) last changed, in nanoseconds, and the name: the order of arrival."""
START: Age = (-1, b"")


def ignored(name: bytes) -> bool:
    """A name that a writer uses for what is not finished yet; nobody looks at such a file."""
    return name.startswith(b".") or name.endswith(_UNFINISHED)


def reserved(name: bytes) -> bool:
    """A name in the spool that is neither a file to take nor a queue."""
    return name in _NOT_QUEUES


def queue_name(name: bytes) -> str | None:
    """The queue that a sub-directory of the spool feeds; None if no queue can have that name."""
    if ignored(name) or reserved(name) or not _QUEUE.fullmatch(name):
        return None
    return name.decode("ascii")


def oldest(directory: int, after: Age = START, limit: int = CHUNK) -> list[Age]:
    """The ``limit`` names that arrived first after ``after``, oldest first; fewer only when these are all.

    ``directory`` is an open directory. Memory depends on ``limit``, not on the directory: each pass reads
    all of it and keeps the oldest. The inode's change time stands for arrival: unlike the modification time
    no one can set it, and a rename or a link sets it too.
    """
    return heapq.nsmallest(limit, (age for age in _ages(directory) if age > after))


def _ages(directory: int) -> Iterator[Age]:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if ignored(name):
                continue
            try:
                yield entry.stat(follow_symlinks=False).st_ctime_ns, name
            except FileNotFoundError:
                continue
            except OSError:  # what keeps us from this name is told of when it is looked at; it has no age
                yield 0, name
