"""The comments of a script that are meant for the gate: which they are, and where they have a place.

A directive is a comment of the form ``#TASKGATE KEY: VALUE`` before the first line of code. Whatever else is plainly
meant as one is refused, for a wish that is passed over is heard of too late: one behind the first line of code, one
that is spelled otherwise (``#TASKGTE``, ``# taskgate``, ``#TASKGATE:``), one in the comment of another language. What
is *not* meant as one is left alone: a sentence that mentions the gate, a directive that another ``#`` has taken out
(``##TASKGATE``), and the text of a here-document, which is another file's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

DIRECTIVE = "#TASKGATE"
_WORD = DIRECTIVE[1:]
_COMMENT = re.compile(
    r"\s*(#|(?://|--|;+|%+)(?:[ \t]*#)?)([ \t]*)"
    r"([A-Za-z](?:[A-Za-z_-]{0,20}[A-Za-z])?)(?![\w])([ \t]*[:=]*)[ \t]*(.*)"
)
"""The mark of a comment, that of another language also with # behind it; blanks, its first word, a colon behind that,
and the rest."""
_KEY = re.compile(r"-{0,2}([A-Za-z_][\w.-]{0,40})[ \t]*[:=]|\{")
_JOINED = re.compile(r"\s*(#[ \t]*)([A-Za-z]{7,10})(?:[-.]|_(?=[a-z]))([A-Za-z_][\w.-]*)[ \t]*([:=])[ \t]*(.*)")
"""A directive whose word and key are one; ``TASKGATE_NAME=x`` is a variable that was commented out."""
_PAIR = re.compile(r"-{0,2}([A-Za-z_][\w.-]{0,40})(?:[ \t]*[:=][ \t]*|[ \t]+)(\S.*)")
_VALUE = re.compile(r"[0-9\[{'\"/]")
_HERE = re.compile(r"(?<!<)<<[-~]?[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_][\w.-]*))")
"""The beginning of a here-document and its delimiter (POSIX.1-2017, XCU 2.7.4); Perl, Ruby and PHP have nearly the
same."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A line of a script that is a comment, and the number of that line, from 1."""

    number: int
    line: str


def head(lines: Sequence[str]) -> tuple[list[Comment], int]:
    """The comments before the first line of code, that with the interpreter left out, and the number of that line of
    code; if there is none, of the line that would follow the last."""
    found: list[Comment] = []
    for number, line in enumerate(lines[1:], 2):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            return found, number
        if stripped:
            found.append(Comment(number, line))
    return found, len(lines) + 1


def is_directive(line: str, mark: str = DIRECTIVE) -> bool:
    """Whether a comment begins with that word, and nothing else is part of the word."""
    stripped = line.strip()
    return stripped.startswith(mark) and not stripped[len(mark) :][:1].strip()


@dataclass(frozen=True, slots=True)
class Amiss:
    """What is plainly meant as a directive, and is none: where, why, and what to do."""

    number: int
    column: int
    message: str
    hint: str


BELOW = "a directive behind the first line of code"


def amiss(lines: Sequence[str], code: int, is_key: Callable[[str], bool]) -> Iterator[Amiss]:
    """What is meant as a directive and is none. ``code``: as of ``head``. ``is_key``: whether a word is a key, or
    near to one: ``# taskgate timeout: 1h`` is meant as a directive, ``# taskgate runs this at night: slow`` is not.
    """
    inside: set[int] | None = None
    for number, line in enumerate(lines[1:], 2):
        if not _may_be(line):
            continue
        wrong = _near_miss(line, is_key)
        if wrong is None and (number < code or not is_directive(line)):
            continue
        if number > code:  # that is rare, and the search for here-documents takes its time
            inside = here_documents(lines) if inside is None else inside
            if number in inside:
                continue
        column = len(line) - len(line.lstrip()) + 1
        if wrong is None:
            hint = f"put it before line {code}; if it is no directive but text, write '#{DIRECTIVE}'"
            yield Amiss(number, column, f"{BELOW} has no effect", hint)
        else:
            yield Amiss(number, column, *wrong)


@lru_cache(maxsize=1024)
def near(word: str, of: str) -> int:
    """How many slips of the keyboard lie between two words, of which each leaves out, adds, replaces or swaps a
    letter (Damerau-Levenshtein, optimal string alignment); 3 if there are more than two."""
    # Each slip adds one letter at most that the other has not: most words are told apart by that, which is fast.
    if abs(len(word) - len(of)) > 2 or len(set(word) - set(of)) > 2 or len(set(of) - set(word)) > 2:
        return 3
    first = end = 0  # what both begin and end with has no slips
    least = min(len(word), len(of))
    while first < least and word[first] == of[first]:
        first += 1
    while end < least - first and word[-1 - end] == of[-1 - end]:
        end += 1
    word, of = word[first : len(word) - end], of[first : len(of) - end]
    width = len(of) + 1
    before: list[int] = []
    last = [min(j, 3) for j in range(width)]
    for i, letter in enumerate(word, 1):
        # More than two places off the diagonal there are more than two slips, and so there are in all that comes when
        # a row has nothing else: a script may be a megabyte of words that are nearly alike.
        row = [min(i, 3)] + [3] * (width - 1)
        for j in range(max(1, i - 2), min(width, i + 3)):
            other = of[j - 1]
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == of[j - 2] and word[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row[j] = min(cost, 3)
        if min(row) > 2 and min(last) > 1:
            return 3
        before, last = last, row
    return last[-1]


def _may_be(line: str) -> bool:
    """Most lines are no comments; this says so fast."""
    return line.lstrip()[:1] in ("#", "/", "-", ";", "%")


def _near_miss(line: str, is_key: Callable[[str], bool]) -> tuple[str, str] | None:
    """What is wrong with a comment that is no directive and is meant as one, and what to do; else None."""
    joined = _JOINED.match(line.rstrip()[:400])
    if joined and near(joined[2].upper(), _WORD) <= 1 and is_key(joined[3]):
        return _no_directive(line.strip()[: joined.start(4) - joined.start(1)], f"{joined[3]}: {joined[5]}")
    match = _COMMENT.match(line.rstrip()[:400])
    if match is None:
        return None
    mark, blanks, word, colon, rest = match.groups()
    if mark == "#" and not blanks and word == _WORD and not colon.strip():
        return None  # it is one
    key = _KEY.match(rest)
    alike = mark == "#" and not blanks and word.isupper() and "=" not in colon
    if key is None and not alike and word.upper() != _WORD:
        return None
    slips = near(word.upper(), _WORD)
    if slips > 2:  # so it is with the words of nearly all comments, and to look for a key takes longer
        return None
    keyed = key is not None and (key[1] is None or is_key(key[1]))
    alike = alike and slips <= 1
    alone = mark == "#" and not blanks and slips == 0 and not rest
    if not (alike or alone or keyed or (slips == 0 and _is_pair(word, rest, is_key))):
        return None
    if mark != "#":
        return "a directive is a comment that begins with #", "for a language with other comments use a spec"
    return _no_directive(line.strip()[: match.start(5) - match.start(1)], as_written(rest, is_key))


def _is_pair(word: str, rest: str, is_key: Callable[[str], bool]) -> bool:
    """Whether this is a key and one value, and no sentence: ``timeout 5m``. Only behind a word in capitals may the
    value be a word as well."""
    pair = _PAIR.fullmatch(rest)
    if pair is None or len(pair[2].split()) > 1 or not is_key(pair[1]):
        return False
    return bool(_VALUE.match(pair[2])) or (word.isupper() and pair[2].isalnum())


def as_written(rest: str, is_key: Callable[[str], bool]) -> str:
    """What is behind the word of a directive, as it has to be written, as far as that can be told."""
    pair = _PAIR.fullmatch(rest)
    if pair is None or not is_key(pair[1]):
        return rest
    outer, dot, inner = pair[1].partition(".")
    return f"{outer}: {{{inner}: {pair[2]}}}" if dot else f"{outer}: {pair[2]}"


def _no_directive(written: str, right: str) -> tuple[str, str]:
    return f"this is no directive: '{written.strip()}'", f"write '{DIRECTIVE} {right[:60] or 'KEY: VALUE'}', or ##"


def here_documents(lines: Sequence[str]) -> set[int]:
    """The numbers of the lines that are text of here-documents. What only looks like the beginning of one, a shift of
    bits say, has no end, and so no lines."""
    ends: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        if len(line) <= 200:
            ends.setdefault(line.strip().rstrip(";"), []).append(number)
    for numbers in ends.values():
        numbers.reverse()  # the next is the last
    inside: set[int] = set()
    number = 1
    while number <= len(lines):
        line = lines[number - 1]
        if "<<" in line and not line.lstrip().startswith("#"):
            for match in list(_HERE.finditer(line[:2000]))[:4]:
                later = ends.get((match[1] or match[2] or match[3]).strip(), [])
                while later and later[-1] <= number:
                    later.pop()
                if later:
                    inside.update(range(number + 1, later[-1]))
                    number = later[-1]
        number += 1
    return inside
