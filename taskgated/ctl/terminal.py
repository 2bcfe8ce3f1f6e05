"""The one place where text meets a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from taskgated.protocol.strict import unicode_json
from taskgated.text import printable


def say(*lines: str) -> None:
    """Print each of these as one line, whatever somebody wrote into it."""
    print(_lines(lines), flush=True)


def warn(*lines: str) -> None:
    """The same on standard error, the first line in the name of the program."""
    print(f"taskgatectl: {_lines(lines)}", file=sys.stderr, flush=True)


def answer(as_json: bool, value: object, lines: Sequence[str]) -> None:
    """Print what was asked for: for programs ``value``, for people ``lines``."""
    say(*([unicode_json(value)] if as_json else lines))


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(map(printable, lines))
