"""The cookie: what marks every process of an attempt, as a variable of its environment.

Whatever a job starts inherits it, unless it is given another environment. Then its worker's ``mark`` is left.
"""

from __future__ import annotations

import re

NAME = b"TASKGATE_COOKIE"

_VARIABLE = re.compile(NAME + rb"=(.+)-([0-9]{1,15})-([0-9]{1,15})")


def of(instance: str, job: int, attempt: int) -> bytes:
    """The value of an attempt of that instance of the gate."""
    return f"{instance}-{job}-{attempt}".encode()


def variable(instance: str, job: int, attempt: int) -> bytes:
    """The same with its name, as it stands in an environment."""
    return NAME + b"=" + of(instance, job, attempt)


def read(variable: bytes) -> tuple[bytes, int, int] | None:
    """Instance, job and number of the attempt that a variable of an environment is the cookie of, if of any."""
    match = _VARIABLE.fullmatch(variable)
    return None if match is None else (match[1], int(match[2]), int(match[3]))
