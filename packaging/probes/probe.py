"""What the probes beside this file share: how one ends, how long it may take, and how it runs a program.

A probe looks at the world for the gate (``probes`` in taskgated.yaml(5)) and ends with

====  =====================================================================================
0     open: jobs may start
1     closed: none may start
2     the command line is wrong
3     it cannot know: no answer, or one that it does not understand
====  =====================================================================================

On stdout, if it can say, comes a number first, in a line of its own: how many more jobs may start until the next
look. Then one sentence that says why, which is for ``taskgatectl why``. A sentence about what went wrong goes to
stderr.

The probes need the standard library of Python 3.11 alone. They run as ``python3 -IBS``: no file of the directory they
are started in, no variable ``PYTHON*`` and no installed package changes what they do, and they start faster.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType, TracebackType

OPEN, CLOSED, USAGE, UNKNOWN = range(4)
"""Exit statuses."""
LARGEST = 16 * 1024 * 1024
"""Bytes of an answer that are read; a longer one is not understood."""
HUGE = 1e300
"""No number that is read is as large."""
MOST = 999_999_999
"""The largest number of jobs that the gate reads."""
TO_SAY = 0.2
"""Seconds that are left when the time is over, to put together what was asked in vain."""
TIMEOUT = 8.0
"""Seconds for a look, if the command line says nothing: fewer than the gate gives, so that the reason is told."""


class Unknown(Exception):
    """What is asked for cannot be known now; the text says why, in one sentence."""


class Late(Unknown):
    """The time is over."""


class Answer:
    """What a look has found.

    ``why`` is one sentence. ``room`` is how many more jobs may start until the next look, None if nothing is known of
    that; where there is none, the answer is "closed".
    """

    def __init__(self, is_open: bool, why: str, room: int | None = None) -> None:
        self.is_open = is_open and (room is None or room > 0)
        self.why = why
        self.room = room


def main(parser: argparse.ArgumentParser, look: Callable[[argparse.Namespace], Answer]) -> int:
    """Read the command line, look, and say what was found; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the locale cannot say
    options = parser.parse_args()
    try:
        with Deadline(options.timeout):
            answer = look(options)
    except Unknown as error:
        print(f"{parser.prog}: {one_line(str(error), 500)}", file=sys.stderr)
        return UNKNOWN
    except RecursionError:
        print(f"{parser.prog}: the answer is nested too deeply", file=sys.stderr)
        return UNKNOWN
    except Exception as error:  # Python would end with 1, which is an answer
        print(f"{parser.prog}: a fault of this probe: {one_line(repr(error), 400)}", file=sys.stderr)
        return UNKNOWN
    if answer.is_open and answer.room is not None:
        print(answer.room)
    print(one_line(answer.why, 500))
    return OPEN if answer.is_open else CLOSED


def new_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The parser of a probe, with what all of them take."""
    parser = argparse.ArgumentParser(name, description=description, allow_abbrev=False)
    parser.add_argument(
        "--timeout",
        type=duration,
        default=TIMEOUT,
        metavar="TIME",
        help=f"how long a look may take (default: {TIMEOUT:.0f}s); less than the timeout that the gate has for it",
    )
    return parser


# -- time ------------------------------------------------------------------------------------------


class Deadline:
    """Inside, ``Late`` is raised when the time is over, whatever is waited for. One inside another ends no later.

    Whoever is Late inside, and by that at the end of the time outside as well, has a moment left to say of what.
    """

    _inmost: Deadline | None = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = math.inf
        self._outer: Deadline | None = None

    def __enter__(self) -> None:
        self._outer, Deadline._inmost = Deadline._inmost, self
        outer_end = self._outer._end if self._outer else math.inf
        self._end = min(outer_end, time.monotonic() + self._seconds)
        signal.signal(signal.SIGALRM, _over)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # whoever starts us may have left it blocked
        _arm(0.001)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        Deadline._inmost = self._outer
        _arm(TO_SAY if isinstance(error, Late) else 0.001)

    @staticmethod
    def left() -> float:
        """Seconds until the innermost deadline."""
        return Deadline._inmost._end - time.monotonic() if Deadline._inmost else math.inf


def _over(number: int, frame: FrameType | None) -> None:
    if Deadline._inmost:
        raise Late(f"no answer within {span(Deadline._inmost._seconds)}")


def _arm(least: float) -> None:
    """Have the alarm of the innermost deadline come, but not within so many seconds."""
    left = Deadline.left()
    signal.setitimer(signal.ITIMER_REAL, 0 if math.isinf(left) else max(left, least))


_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hr": 3600, "d": 86400, "day": 86400, "ms": 0.001}


def duration(text: str) -> float:
    """Seconds, of a time as systemd.time(7) writes it (``90``, ``90s``, ``2h 30min``); more than none."""
    parts = re.fullmatch(r"\s*(?:\d+(?:\.\d+)?\s*[a-z]*\s*)+", text)
    total = 0.0
    for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text) if parts else ():
        if unit and unit not in _UNITS:
            raise argparse.ArgumentTypeError(f"{text!r} has a unit that is none of {', '.join(_UNITS)}")
        total += float(number) * _UNITS.get(unit, 1)
    if not 0 < total < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 10s or 2h 30min")
    return total


def span(seconds: float) -> str:
    """A time for people, in at most two units."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    for size, unit, smaller, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size) // smaller
            return f"{int(seconds // size)} {unit}" + (f" {rest} {below}" if rest else "")
    raise AssertionError(seconds)


# -- values ----------------------------------------------------------------------------------------


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def as_number(value: object) -> int | float | None:
    """A number that JSON or a text holds; None if it holds none, or one that is not finite or huge."""
    if isinstance(value, str):
        if re.fullmatch(r"\s*[-+]?\d{1,300}\s*", value, re.ASCII):
            return int(value)
        if not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", value, re.ASCII | re.IGNORECASE):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -HUGE < value < HUGE:
        return None
    return value


def as_text(value: object) -> str:
    """What JSON holds, as a text to compare: that of a string, else as JSON writes it."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)


def one_line(text: str, longest: int = 80) -> str:
    """A text from outside for people: one line, cut, without what a terminal would obey."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


class Condition:
    """A comparison with a fixed value, as the command line says it: ``< 10``, ``== ready``, ``contains ok``.

    Numbers are compared as numbers where both are some. ``matches`` searches for a regular expression of Python.
    """

    OPERATORS = ("==", "!=", "<=", ">=", "<", ">", "contains", "matches")

    def __init__(self, text: str) -> None:
        found = re.fullmatch(r"\s*(==|!=|<=|>=|<|>|contains\s|matches\s)\s*(.*?)\s*", text, re.DOTALL)
        if found is None:
            raise argparse.ArgumentTypeError(f"{text!r} does not begin with one of {', '.join(self.OPERATORS)}")
        self.operator, self.operand = found[1].strip(), found[2]
        self._number = as_number(self.operand)
        if self.operator[0] in "<>" and self._number is None:
            raise argparse.ArgumentTypeError(f"{self.operator} compares with a number, and {self.operand!r} is none")
        if self.operator == "matches":
            try:
                re.compile(self.operand)
            except re.error as error:
                raise argparse.ArgumentTypeError(f"{self.operand!r} is no regular expression: {error}") from None

    def __str__(self) -> str:
        return f"{self.operator} {one_line(self.operand)}"

    def holds(self, value: object) -> bool:
        """Whether it is so of this value; raises Unknown if they cannot be compared."""
        match self.operator:
            case "contains":
                if isinstance(value, list):
                    return any(as_text(item) == self.operand for item in value)
                return self.operand in as_text(value)
            case "matches":
                return re.search(self.operand, as_text(value)) is not None
        number = as_number(value)
        if number is None or self._number is None:
            if self.operator[0] in "<>":
                raise Unknown(f"the value is {one_line(as_text(value))!r}, which is no number to compare: {self}")
            return (as_text(value).strip() == self.operand) is (self.operator == "==")
        known = self._number
        return {
            "==": number == known,
            "!=": number != known,
            "<": number < known,
            "<=": number <= known,
            ">": number > known,
            ">=": number >= known,
        }[self.operator]


def judged(what: str, value: object, when: Condition | None, is_room: bool) -> Answer:
    """The answer of a value: whether the condition holds, and how much room it is if it is to be that."""
    shown = f"{what} is {one_line(as_text(value)) or 'empty'}"
    if when is not None and not when.holds(value):
        return Answer(False, f"{shown}, and open is {when}")
    if not is_room:
        return Answer(True, shown)
    number = as_number(value)
    if number is None:
        raise Unknown(f"{shown}, which is no number of jobs that may start")
    return Answer(True, shown, min(max(0, math.floor(number)), MOST))


# -- programs --------------------------------------------------------------------------------------


class Ran:
    """How a program has ended, and what it has written."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


def run(command: list[str], env: Mapping[str, str] | None = None) -> Ran:
    """Run a program of PATH to its end, without input; raises Unknown if it cannot be, or writes too much."""
    import selectors
    import subprocess

    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
    except OSError as error:
        where = f" (PATH is {os.environ.get('PATH', 'not set')})" if isinstance(error, FileNotFoundError) else ""
        raise Unknown(f"{command[0]} cannot be run: {error.strerror}{where}") from None
    assert process.stdout and process.stderr
    written = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, err = written.values()
    try:
        with selectors.DefaultSelector() as waiting:
            for channel in written:
                waiting.register(channel, selectors.EVENT_READ)
            while waiting.get_map():
                for key, _ in waiting.select():
                    piece = os.read(key.fd, 65536)
                    written[key.fd] += piece
                    if not piece:
                        waiting.unregister(key.fd)
                    elif len(written[key.fd]) > LARGEST:
                        raise Unknown(f"{command[0]} writes more than {LARGEST // 2**20} MiB")
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
    return Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def without(prefixes: Iterable[str], **more: str) -> dict[str, str]:
    """The environment without the variables whose names begin so, and with others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(tuple(prefixes))}
    return kept | more
