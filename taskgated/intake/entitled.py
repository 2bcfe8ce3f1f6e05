"""The users of a queue are those who may drop into its directory, also for a file that names it from elsewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.errors import Refused
from taskgated.host import acl
from taskgated.intake.settle import unfit
from taskgated.text import to_text

_KEEPS_US_OUT = (errno.EACCES, errno.EPERM, errno.ENOTCONN, errno.EINVAL)
"""What a file system in user space answers to other users than its owner, when no process serves it, and when what it
says of permissions is nonsense (mount.fuse(8)). That may stay so for ever, and is no trouble of ours."""


def check_queues(spool: bytes, name: bytes, owner: int, queues: Iterable[str]) -> None:
    """Raises ``Refused`` when the owner of the file may not use one of the queues that it names; ``OSError`` and
    ``Trouble`` when that cannot be told now."""
    for queue in queues:
        directory = to_text(directory_of(spool, queue))
        try:
            allowed = may_use(spool, queue, owner)
        except OSError as error:
            if error.errno not in _KEEPS_US_OUT:
                raise
            message = f"the queue {queue} cannot be used: its directory is that of a file system that keeps us out"
            raise unfit(name, message, f"unmount {directory}, or name another queue") from None
        if not allowed:
            raise not_entitled(spool, name, queue)


def not_entitled(spool: bytes, name: bytes, queue: str) -> Refused:
    """What is said of a file whose owner may not use the queue."""
    hint = f"those may who may write to {to_text(directory_of(spool, queue))}"
    return unfit(name, f"whoever owns this file may not use the queue {queue}", hint)


def may_use(spool: bytes, queue: str, user: int) -> bool:
    """Whether that user may use a queue. Raises ``OSError`` and ``Trouble`` when that cannot be told now."""
    try:
        return acl.may_enter(os.fsdecode(directory_of(spool, queue)), user)
    except FileNotFoundError:
        return True  # nobody has made that queue anything special


def directory_of(spool: bytes, queue: str) -> bytes:
    """The directory in which those may make files who may use the queue."""
    return spool if queue == DEFAULT_QUEUE else spool + b"/" + queue.encode("ascii")
