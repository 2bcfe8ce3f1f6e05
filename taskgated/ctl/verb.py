"""What a verb of the command is. Each is a module with the name of the verb, and has in ``VERB`` what it is.

A new one is such a module, and its name in ``__main__.VERBS``; the manual page, its completions and its place in the
README follow (``packaging/documents``).
"""

from __future__ import annotations

import argparse
import enum
import re
from collections.abc import Callable
from dataclasses import dataclass

from taskgated.ctl.client import Client
from taskgated.host.paths import Layout
from taskgated.text import quoted

_DIGITS = re.compile(r"[0-9]{1,18}")
ELEMENT = re.compile(r"([0-9]{1,18})_([0-9]{1,18})")
"""A job of an array as Slurm names it: by the id of the array, and its index."""


class Exit(enum.IntEnum):
    """With what the command exits, the job's own exit code (``wait``) excepted."""

    OK = 0
    """What was asked for is so."""
    NOT_SO = 1
    """It is not: a file is refused, the gate is not ready, no such job."""
    USAGE = 2
    """A wrong command line (argparse)."""
    UNAVAILABLE = 69
    """No daemon answers (EX_UNAVAILABLE, sysexits.h)."""
    INTERRUPTED = 130
    """Interrupted from the keyboard: 128 and SIGINT, as a shell has it."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A question to the daemon. ``help``: one line without a full stop. ``arguments`` adds those that it alone has.

    ``run`` gets what they were parsed to, and returns the exit status. ``open_jobs``: the jobs that it is about are
    those that are not over, and completions offer no others.
    """

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Client, argparse.Namespace], int]
    open_jobs: bool = False


@dataclass(frozen=True, slots=True)
class LocalVerb:
    """The same, but nobody is asked: no daemon is needed."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Layout, argparse.Namespace], int]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """``arguments`` of a verb that has none."""


def positive(text: str) -> int:
    """The type of an argument that counts from 1."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def number(text: str) -> int | None:
    """What a text of digits alone stands for; None of any other."""
    return int(text) if _DIGITS.fullmatch(text) else None


def whole(text: str) -> int:
    """The type of an argument that counts from 0. It has the digits of ASCII and nothing else: what Python's ``int``
    takes as well (blanks, signs, other digits, ``7_9``, which is 79) would name another job than people mean."""
    if (value := number(text)) is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is no number: digits alone make one, 18 at most")
    return value


def array_id(text: str) -> int:
    """The type of an argument that names an array."""
    if element := ELEMENT.fullmatch(text):
        what = f"{element[0]} is one of its jobs, the array is {element[1]}"
        raise argparse.ArgumentTypeError(f"an array is called by the id of its first job: {what}")
    return positive(text)
