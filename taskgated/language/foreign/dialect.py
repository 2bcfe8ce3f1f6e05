"""What a dialect is made of: its options, each with what it becomes here; and how a line of words is taken apart."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.job import Dialect
from taskgated.language.declare import Mismatch, nearest
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted


class Takes(enum.Enum):
    """What comes behind the name of an option."""

    NOTHING = "nothing"
    VALUE = "a value"
    MAYBE = "a value, if any, behind '='"
    TWO = "two values"


class Read(Protocol):
    """What an option becomes. Raises ``Mismatch`` when its value is none that it can have."""

    def __call__(self, given: Given, wishes: Wishes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or one resource of a list of them.

    ``names``: all its spellings, the usual one first. ``becomes``: for the manual, the key, or what is done with it.
    """

    names: tuple[str, ...]
    takes: Takes
    becomes: str
    read: Read


class Scanner(Protocol):
    """Takes the words of one line apart."""

    def __call__(self, words: Sequence[Given], options: Sequence[Option], /) -> Iterator[tuple[Option, Given]]: ...


@dataclass(frozen=True, slots=True)
class Syntax:
    """One dialect.

    ``prefix``: what a line of it begins with; ``indented``: also behind blanks; ``everywhere``: also behind the first
    line of code. ``escapes``: whether a backslash is one within quotes as well; ``comments``: whether ``#`` ends the
    line also in the middle of a word. ``manual``: where all this is from. ``finish``: what follows from several
    options together. ``resources``: what may stand in its list of resources.
    """

    dialect: Dialect
    prefix: str
    manual: str
    options: tuple[Option, ...]
    scan: Scanner
    resources: tuple[Option, ...] = ()
    indented: bool = False
    everywhere: bool = False
    escapes: bool = False
    comments: bool = False
    finish: Callable[[Wishes], None] = lambda wishes: None

    def rest(self, line: str) -> str | None:
        """What stands behind the prefix, if the line is a directive."""
        start = line.lstrip(" \t") if self.indented else line
        if not start.startswith(self.prefix):
            return None
        rest = start[len(self.prefix) :]
        return rest if rest[:1] in ("", " ", "\t", "-", ":") else None


# -- words -----------------------------------------------------------------------------------------


def words(syntax: Syntax, text: str, line: int, column: int) -> list[Given]:
    """The words of a directive, quotes removed; ``column``: that of its first character, from 1. A comment at the end
    is left out. Raises ``Mismatch`` for a quote without its end."""
    found: list[Given] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] == "#":
            break
        word, end = _word(syntax, text, at)
        found.append(Given(word, "", line, column + at))
        if end < len(text) and text[end] == "#":
            break
        at = end
    return found


def _word(syntax: Syntax, text: str, at: int) -> tuple[str, int]:
    """The word that begins there, and where it ends."""
    word, quote = "", ""
    while at < len(text):
        char = text[at]
        if char == "\\" and (not quote or syntax.escapes) and at + 1 < len(text):
            at += 1
            word += text[at]
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'":
            quote = char
        elif char.isspace() or (char == "#" and syntax.comments):
            break
        else:
            word += char
        at += 1
    if quote:
        raise Mismatch(f"the quote {quote} has no end")
    return word, at


# -- options ---------------------------------------------------------------------------------------


def long_and_short(words: Sequence[Given], options: Sequence[Option]) -> Iterator[tuple[Option, Given]]:
    """As getopt_long(3) has it: ``--name=value``, ``--name value``, unique beginnings of a name, ``-n value``,
    ``-nvalue``, several letters in one word."""
    table = {name: option for option in options for name in option.names}
    left = list(words)
    while left:
        word = left.pop(0)
        if word.name.startswith("--"):
            name, equals, value = word.name.partition("=")
            full = _full(word.at(name), table)
            option = table[full]
            if equals:
                if option.takes is Takes.NOTHING:
                    raise Wrong(word.at(full), "takes no value")
                yield option, word.at(full, value)
            else:
                yield option, _with_values(option, word.at(full), left)
        else:
            yield from _letters(word, table, left)


def letters(words: Sequence[Given], options: Sequence[Option]) -> Iterator[tuple[Option, Given]]:
    """As getopt(3) has it: ``-n value``, ``-nvalue``, several letters in one word."""
    table = {name: option for option in options for name in option.names}
    left = list(words)
    while left:
        yield from _letters(left.pop(0), table, left)


def whole_words(words: Sequence[Given], options: Sequence[Option]) -> Iterator[tuple[Option, Given]]:
    """Names of several letters behind one ``-``, values in words of their own."""
    table = {name: option for option in options for name in option.names}
    left = list(words)
    while left:
        word = left.pop(0)
        if word.name not in table:
            raise _unknown(word, table)
        yield table[word.name], _with_values(table[word.name], word, left)


class Wrong(Exception):
    """Something about one option."""

    def __init__(self, at: Given, message: str, hint: str = "") -> None:
        self.at = at
        self.message = message
        self.hint = hint
        super().__init__(message)


def _full(word: Given, table: dict[str, Option]) -> str:
    if word.name in table:
        return word.name
    meant = sorted(name for name in table if len(word.name) > 2 and name.startswith(word.name))
    if len({id(table[name]) for name in meant}) > 1:
        raise Wrong(word, "is not clear", f"could be {' or '.join(meant[:5])}")
    if not meant:
        raise _unknown(word, table)
    return meant[0]


def _letters(word: Given, table: dict[str, Option], left: list[Given]) -> Iterator[tuple[Option, Given]]:
    if not word.name.startswith("-") or word.name in ("-", "--"):
        raise _unknown(word, table)
    cluster = word.name[1:]
    while cluster:
        name, cluster = f"-{cluster[0]}", cluster[1:]
        if name not in table:
            raise _unknown(word if word.name not in table else word.at(name), table)
        option = table[name]
        if option.takes is Takes.NOTHING or (option.takes is Takes.MAYBE and not cluster):
            yield option, word.at(name)
        elif cluster:
            if cluster.startswith("="):
                raise Wrong(word.at(name), f"has {quoted(cluster)} for its value", f"write {name} {cluster[1:]}")
            yield option, word.at(name, cluster)
            return
        else:
            yield option, _with_values(option, word.at(name), left)
            return


def _with_values(option: Option, word: Given, left: list[Given]) -> Given:
    wanted = {Takes.VALUE: 1, Takes.TWO: 2}.get(option.takes, 0)
    if len(left) < wanted:
        raise Wrong(word, f"needs {option.takes.value}")
    values = [left.pop(0).name for _ in range(wanted)]
    return word.at(word.name, " ".join(values))


def _unknown(word: Given, table: dict[str, Option]) -> Wrong:
    if not word.name.startswith("-"):
        return Wrong(word, "is no option", "quote a value with blanks in it, and begin a comment with #")
    return Wrong(word, "is an unknown option", nearest(word.name, sorted(table)))
