"""Reading what somebody dropped, whatever it is: it is understood, or the file is refused. Nothing else comes out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from taskgated.core.job import to_text
from taskgated.errors import Problem, Refused
from taskgated.intake import settle
from taskgated.intake.settle import Opened

T = TypeVar("T")


def understand(name: bytes, read: Callable[[], T]) -> T:
    """What ``read`` returns; any way in which it fails is the fault of the file, or of the disk under it.

    A reader that trips over one file must not take the gate with it, now and at each start.
    """
    try:
        return read()
    except Refused:
        raise
    except OSError as error:
        raise settle.unfit(name, f"cannot be read: {error.strerror}", "look at the disk") from None
    except Exception as error:
        problem = Problem(to_text(name), 0, 0, f"cannot be understood: {error!r}", hint="a bug in taskgated")
        raise Refused([problem]) from error


def read_all(name: bytes, opened: Opened, limit: int) -> bytes:
    check_size(name, opened, limit)
    return understand(name, lambda: os.pread(opened.fd, opened.stat.st_size, 0))


def check_size(name: bytes, opened: Opened, limit: int) -> None:
    if (size := opened.stat.st_size) > limit:
        raise settle.unfit(name, f"is too large: {size} bytes, the limit is {limit}", "split it")
