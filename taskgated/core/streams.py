"""Where a job's standard streams go: files of its own, and what stands in braces in their paths."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

ARRAY_WORDS = ("index", "array")
"""What may stand in braces in a path of a job of an array: its index, and the id of the array."""
WORDS = ("id", "name", "attempt", *ARRAY_WORDS)
"""What may stand in braces in a path."""

_BRACES = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Mode(enum.StrEnum):
    """What becomes of what a file holds already. To append is the default: nothing is lost that way, neither what
    an earlier attempt wrote nor what another job did, and several may write to one file."""

    APPEND = "append"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class Stream:
    """A file that takes what a job writes. ``path``: absolute, or below the job's directory."""

    path: str = ""
    mode: Mode = Mode.APPEND


@dataclass(frozen=True, slots=True)
class Stdin:
    """What a job reads: a file, or else a text."""

    path: str = ""
    text: str = ""


def unknown(path: str) -> Iterator[str]:
    """The words in braces that stand for nothing. Braces around anything but a word are ordinary characters."""
    return (word for word in _BRACES.findall(path) if word not in WORDS)


def of_arrays(path: str) -> Iterator[str]:
    """The words in braces that stand for something in a job of an array alone."""
    return (word for word in _BRACES.findall(path) if word in ARRAY_WORDS)


def expand(path: str, job: int, name: str, attempt: int, array: tuple[int, int] | None = None) -> str:
    """A path for one attempt. A name is part of one component, whatever it holds: it leads to no other directory.
    ``array``: of a job of one, the id of that and the index."""
    part = name.replace("/", "_")
    values = {"id": str(job), "name": "_" + part[1:] if part.startswith(".") else part, "attempt": str(attempt)}
    if array is not None:
        values |= {"array": str(array[0]), "index": str(array[1])}
    return _BRACES.sub(lambda found: values.get(found[1], found[0]), path)
