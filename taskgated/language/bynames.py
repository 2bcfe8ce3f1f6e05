"""What the name of a file says of it before it is opened: that it is left alone, that no handler takes it, or that
it is the companion of another, or needs one (``require:``). The gate and ``taskgatectl check`` ask here."""

from __future__ import annotations

import os

from taskgated.errors import Problem, Refused
from taskgated.language.config import Config, QueueConfig, Require
from taskgated.language.names import in_the_making, matches
from taskgated.text import to_text

NAME_MAX = 255
"""Bytes of a name at most (limits.h)."""


def file_of(name: bytes, require: Require | None) -> bytes | None:
    """The file that one of this name says of that it is whole; None if it is the name of no companion."""
    if require is None:
        return None
    file = name.removesuffix(require.ending)
    return file if file != name and file else None


def companion(name: bytes, require: Require) -> bytes:
    """The name of the second file. Raises ``Refused`` for a name that can have none."""
    beside = name + require.ending
    if len(beside) > NAME_MAX:
        raise _unfit(
            name, f"has too long a name: there is none with {to_text(require.ending)} behind it", "rename it"
        )
    return beside


def left_alone(name: bytes, queue: str, config: Config, file: bytes | None) -> str:
    """Why it is left alone there, in words; "" if it is not. ``file``: the one that it is the companion of: that
    the globs fit the name of a companion says only that it is no job."""
    if in_the_making(name):
        return "its name is that of a file in the making, or of a copy; see taskgate-job(5)"
    for where, globs in (("ignore", config.ignore), (f"ignore of queue {queue}", config.queue(queue).ignore)):
        for glob in globs:
            if matches(name if file is None else file, (glob,)):
                return f"its name fits {glob} ({where})"
    return ""


def not_taken(name: bytes, queue: QueueConfig) -> Refused | None:
    """Why the handler of its queue does not take it; None if it does, or there is none."""
    if queue.takes(name):
        return None
    hint = "rename it, and drop it again"
    if matches(os.fsencode(os.fsdecode(name).lower()), [glob.lower() for glob in queue.match]):
        hint = f"case counts: {hint}"
    return _unfit(name, f"queue {queue.name} takes only {', '.join(queue.match)} (match)", hint)


def _unfit(name: bytes, message: str, hint: str) -> Refused:
    return Refused([Problem(to_text(name), 0, 0, message, hint=hint)])
