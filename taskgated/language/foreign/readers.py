"""What options become: the ways that all dialects share. Each makes a ``Read``, or is one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from taskgated.core.job import Interrupted
from taskgated.language import units
from taskgated.language.declare import Mismatch
from taskgated.language.foreign.dialect import Option, Read, Takes
from taskgated.language.foreign.streams import below_nothing
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.language.streamtypes import NO_PATHS
from taskgated.text import quoted

_NUMBER = re.compile(r"[0-9]{1,9}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEMORY = re.compile(r"([0-9]{1,15})(?:\.[0-9]+)?([a-zA-Z]*)")
_SCALE = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}

ONE_HOST = "has no meaning on one host"
NO_MEMORY = "is not counted, nor is memory limited, by this version"
NO_CPUS = "is not counted: as many jobs run at once as there are workers, whatever CPUs each takes"
NO_GPUS = "is not counted: let jobs that share them go through a queue with a limit"
NO_MAIL = "sends no mail: taskgatectl wait, list and logs tell how it ended"
NOT_THE_QUEUE = "is not its queue here: that is the one of the directory it is dropped in"
NO_RELEASE = "nothing in this version releases a job that is held", "drop it when it may start"
NO_DEADLINE = (
    "a deadline is no date here, but counts from the submission",
    "say #TASKGATE deadline: 2h, and all else in #TASKGATE lines as well: beside these no other is read",
)
NO_SUBMISSION = "brings nothing: a dropped file has no environment of a submission"


def option(names: str, takes: Takes, becomes: str, read: Read) -> Option:
    """An option from its names, which have blanks between them."""
    return Option(tuple(names.split()), takes, becomes, read)


def passed_over(names: str, takes: Takes, why: str) -> Option:
    """An option that changes nothing of what the job does; its record has a note that says why."""
    return option(names, takes, f"a note: {why}", lambda given, wishes: wishes.note(given, why))


def refused(names: str, takes: Takes, why: str, hint: str = "") -> Option:
    """An option without which the job would be another: a script with it is refused."""

    def read(given: Given, wishes: Wishes) -> None:
        raise Mismatch(why, hint)

    return option(names, takes, f"refused: {why}", read)


def key(names: str, name: str) -> Option:
    """An option whose value is that of a key as it stands."""
    return option(names, Takes.VALUE, f"`{name}`", lambda given, wishes: wishes.say(name, given, given.value))


def counted(names: str, why: str, variable: str = "") -> Option:
    """A number of things that the gate does not count: a note, and a variable for the script, which often asks."""

    def read(given: Given, wishes: Wishes) -> None:
        number = positive(given.value)
        if number > 1 or why is not NO_CPUS:
            wishes.note(given, why)
        wishes.remember(names.split(maxsplit=1)[0], given.at(given.name, str(number)))
        if variable:
            wishes.variable(variable, number, given)

    return option(names, Takes.VALUE, f"a note: {why}" + f"; sets {variable}" * bool(variable), read)


def hosts(number: int) -> None:
    """Raises ``Mismatch`` for more than one."""
    if number > 1:
        raise Mismatch(f"asks for {number} hosts, and this gate has one", "ask for one, if one will do")


def positive(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise Mismatch(f"expected a number from 1, not {quoted(text)}")
    return int(text)


def whole(text: str) -> int:
    """A number with a sign, perhaps."""
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        raise Mismatch(f"expected a whole number, not {quoted(text)}")
    return int(text)


def memory(text: str, unit: str, hint: str = "") -> int:
    """Bytes of ``4G``, ``16gb``, ``512M``; ``unit`` is that of a bare number."""
    match = _MEMORY.fullmatch(text)
    letters = (match[2] or unit).lower() if match else ""
    letters = letters.removesuffix("ib").removesuffix("b").removesuffix("w") or "b"
    if match is None or letters not in (*_SCALE, "b"):
        raise Mismatch(f"expected a size such as 4G, not {quoted(text)}", hint)
    return int(match[1]) * _SCALE.get(letters, 1)


def limit(seconds: float | None, given: Given, wishes: Wishes) -> None:
    """How long the job may run; None: without a limit."""
    wishes.say("timeout", given, "infinity" if seconds is None else units.format_duration(seconds))


def clock_time(text: str) -> int:
    """Seconds of ``[[[days:]hours:]minutes:]seconds[.part]``, as PBS and Grid Engine write them; parts may be empty,
    and of any size."""
    parts = text.split(".", maxsplit=1)[0].split(":")
    if len(parts) > 4 or not all(re.fullmatch(r"[0-9]{0,9}", part) for part in parts) or not "".join(parts):
        raise Mismatch(f"expected HH:MM:SS, or seconds, not {quoted(text)}")
    return sum(int(part or 0) * worth for part, worth in zip(reversed(parts), (1, 60, 3600, 86400), strict=False))


def rerun(may: bool, given: Given, wishes: Wishes) -> None:
    wishes.say("interrupted", given, str(Interrupted.RERUN if may else Interrupted.FAIL))


def yes(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no"):
        raise Mismatch(f"expected y or n, not {quoted(text)}")
    return text.lower().startswith("y")


def rank(number: int, full: int, wishes: Wishes) -> int:
    """A priority of ours: ``number`` is from -``full`` to ``full``, and 0 is that of the queue."""
    return max(0, min(100, wishes.priority + int(number * 50 / full)))


def priority(names: str) -> Option:
    """A priority as qsub(1p) of POSIX has it."""
    full = 1024

    def read(given: Given, wishes: Wishes) -> None:
        number = whole(given.value)
        if not -full <= number <= full:
            raise Mismatch(f"{number} is not between -{full} and {full}")
        wishes.say("priority", given, rank(number, full, wishes))

    return option(names, Takes.VALUE, f"`priority`: that of the queue, and 50 more for {full}", read)


def shell(given: Given, wishes: Wishes) -> None:
    """What is to run the script. Here its first line says so, and mostly that is the same."""
    first = wishes.check.source.lines[0].removeprefix("#!").split()
    if os.path.basename(given.value) not in [os.path.basename(word) for word in first[:2]]:
        wishes.note(given, "is not asked: the first line of the script says what runs it")


def say_input(wishes: Wishes, path: Callable[[str], str]) -> None:
    """The file on its standard input, if there is one; for the end, when the directory is known. ``path``: that with
    our marks, of one with theirs; ``Mismatch`` for what has no meaning here."""
    if (given := wishes.seen.get("input")) is None:
        return
    try:
        value = path(given.value)
    except Mismatch as wrong:
        wishes.wrong(given, str(wrong), wrong.hint)
        return
    if below_nothing(value, wishes):
        wishes.wrong(given, "is below no known directory", "write the whole path")
    else:
        wishes.say("stdin", given, f"./{value}" if value in NO_PATHS else value)


def remember(name: str) -> Read:
    """For the end, when all of the script is known."""
    return lambda given, wishes: wishes.remember(name, given)


def comment(given: Given, wishes: Wishes) -> None:
    wishes.notes[given.name] = f"comment: {quoted(given.value)}"


def directory(given: Given, wishes: Wishes) -> None:
    """Where it runs."""
    if not given.value.startswith("/"):
        raise Mismatch(
            f"expected an absolute path, not {quoted(given.value)}",
            "a dropped file has no directory of a submission, and nothing expands ~ or $HOME here",
        )
    wishes.say("cwd", given, given.value)


# -- environment -----------------------------------------------------------------------------------


def assignments(text: str) -> Iterator[tuple[str, str | None]]:
    """Names and values of ``A=1,B='x,y',C``; no value: that of the submission is meant."""
    for part in split_list(text):
        name, equals, value = part.partition("=")
        if not _VARIABLE.fullmatch(name.strip()):
            raise Mismatch(f"{quoted(name)} is not a name for a variable")
        yield name.strip(), value if equals else None


def export(text: str, given: Given, wishes: Wishes) -> None:
    for name, value in assignments(text):
        if value is None:
            raise Mismatch(
                f"the value that {name} had where it was submitted is not known here", f"write {name}=VALUE"
            )
        wishes.variable(name, value, given)


def split_list(text: str) -> list[str]:
    """The parts between commas; quotes, which are removed, keep one together."""
    parts, quote = [""], ""
    for char in text:
        if quote:
            quote, parts[-1] = ("", parts[-1]) if char == quote else (quote, parts[-1] + char)
        elif char in "\"'":
            quote = char
        elif char == ",":
            parts.append("")
        else:
            parts[-1] += char
    if quote:
        raise Mismatch(f"the quote {quote} has no end")
    return [part for part in parts if part]


# -- arrays ----------------------------------------------------------------------------------------

_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})(?::([0-9]{1,9}))?)?")
MOST = 100_000
"""Indices that a list may have; a single range may be as long as the key says."""


def indices(text: str, at_most: str, given: Given, wishes: Wishes) -> Sequence[int]:
    """The array ``1-100:2``, or several such ranges and numbers with commas, in order; ``at_most``: how many at once,
    or "". What is said again has to be the same."""
    whole = f"{text}%{at_most}"
    if (before := wishes.seen.get("array")) is not None:
        if before.value != whole:
            raise Mismatch(f"has other indices than {before.name} in line {before.line}", "make two scripts of it")
        return _expanded(text)
    found = _expanded(text)
    bound = {"at_most": positive(at_most)} if at_most else {}
    if isinstance(found, range):
        wishes.say("array", given, {"from": found.start, "to": found[-1], "step": found.step, **bound})
    else:
        wishes.say("array", given, {"values": found, **bound} if bound else found)
    wishes.remember("array", given.at(given.name, whole))
    return found


@lru_cache(maxsize=1)
def _expanded(text: str) -> Sequence[int]:
    """The indices; a range where it is one."""
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise Mismatch(f"expected indices such as 1-100 or 1-10:2, not {quoted(part)}")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step < 1:
            raise Mismatch(f"there is no index in {quoted(part)}")
        ranges.append(range(first, last + 1, step))
    if len(ranges) == 1:
        return ranges[0]
    if sum(map(len, ranges)) > MOST:
        raise Mismatch(f"more than {MOST} indices in a list", "write it as one range")
    return sorted({index for one in ranges for index in one})
