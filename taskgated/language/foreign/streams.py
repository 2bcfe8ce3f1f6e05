"""Where a job writes: paths with marks of the dialects, and which stream goes where."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from taskgated.language.declare import Mismatch
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.language.streamtypes import NO_PATHS
from taskgated.text import quoted


def pattern(text: str, mark: str, meanings: Mapping[str, str]) -> str:
    """The path with our marks in it. ``mark``: what begins one of theirs; "": there are none."""
    out, at = "", 0
    while at < len(text):
        char = text[at]
        if mark and text.startswith(mark, at):
            rest = text[at + len(mark) :]
            name = next((n for n in sorted(meanings, key=len, reverse=True) if rest.startswith(n)), "")
            if not name:
                shown = re.match(r"\{?\w+\}?" if mark == "$" else ".", rest)
                word = quoted(mark + (shown[0] if shown else ""))
                raise Mismatch(f"{word} in a path has no meaning here")
            out += meanings[name]
            at += len(mark) + len(name)
        elif char in "{}":
            raise Mismatch(f"{char} has no place in a path here")
        else:
            out += char
            at += 1
    return out


def destination(text: str, letter: str, marks: Mapping[str, str], *, array: bool) -> str:
    """The path of ``[[host]:]path`` of PBS and Grid Engine, our marks for theirs behind ``$``; one that ends in a
    slash gets the name that they give, with ``letter`` in it. ``array``: whether the job is one."""
    host, colon, path = text.partition(":")
    if colon and "/" not in host:
        if host not in ("", "localhost", os.uname().nodename):
            raise Mismatch(f"{quoted(host)} is another host")
        text = path
    if text.startswith("~"):
        raise Mismatch("~ has no meaning here")
    text = pattern(text, "$", marks)
    return f"{text}{{name}}.{letter}{'{array}.{index}' if array else '{id}'}" if text.endswith("/") else text


UNKNOWN = "is a place that is not known here: the gate keeps the output, see taskgatectl logs"
NOWHERE = "is below no known directory, say one for the job: the gate keeps the output, see taskgatectl logs"


@dataclass(frozen=True, slots=True)
class Streams:
    """Where what a job writes goes. ``append``: how the files are opened. ``path``: the path with our marks, of one
    with theirs and of the letter o or e; ``Mismatch`` for what has no meaning here."""

    append: bool
    path: Callable[[str, str], str]

    def say(self, wishes: Wishes, output: Given | None, error: Given | None, *, both: bool, first: str = "o") -> None:
        """``both``: the errors go where the output goes. ``first``: the letter of ``output``."""
        for key, given, letter in (
            ("stdout", output, first),
            ("stderr", *((output, first) if both else (error, "e"))),
        ):
            if given is None:
                continue
            try:
                path = self.path(given.value, letter)
            except Mismatch:
                wishes.note(given, UNKNOWN)
                continue
            if path in NO_PATHS:
                path = f"./{path}"
            if below_nothing(path, wishes):
                wishes.note(given, NOWHERE)
            else:
                wishes.say(key, given, path if self.append else {"path": path, "mode": "truncate"})


def below_nothing(path: str, wishes: Wishes) -> bool:
    """Whether a path is relative, and neither the script nor its queue says to what: a dropped file has no directory
    of a submission."""
    return not path.startswith("/") and "cwd" not in wishes.keys and not wishes.has_cwd
