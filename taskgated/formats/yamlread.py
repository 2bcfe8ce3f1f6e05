"""YAML into nodes that know their line and column, with nothing in it that surprises or explodes.

The events of libyaml's parser are read one by one (the fastest way PyYAML has, and the only one that is safe:
its C composer recurses and a few ten thousand brackets overflow the stack). Plain scalars are read as
YAML 1.2's core schema has them (https://yaml.org/spec/1.2.2/#103-core-schema), so ``on``, ``no`` and ``1:30``
are text. Aliases, anchors, tags, merge keys and duplicate keys are refused; size, depth and number of nodes
are bounded.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from taskgated.errors import Problem, Refused, printable

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 32
MAX_NODES = 200_000

Scalar = str | int | float | bool | None

_CONSTANTS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Beside control characters: U+0085, U+2028 and U+2029, which end a line for some programs and not for others,
and U+FEFF, which nobody sees."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAB_HINT = "YAML is indented with spaces, not tabs"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands (from 1). ``value`` is a scalar, a list of nodes, or a ``Mapping``.

    ``spelled``: how a value without quotes was written (1.10 is not 1.1 for everybody).
    """

    value: Scalar | list[Node] | Mapping
    line: int
    column: int
    spelled: str = ""

    @property
    def kind(self) -> str:
        """What it is, in words."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true or false"
            case int():
                return "a whole number"
            case float():
                return "a number"
            case str():
                return "text"
            case list():
                return "a list"
            case _:
                return "a mapping"


class Mapping(dict[str, tuple[Node, Node]]):
    """Key to (node of the key, node of the value), in the order of the file."""

    def add(self, source: Source, key: Node, value: Node) -> None:
        name = key.spelled or str(key.value or "")
        if name in self:
            first = self[name][0].line
            raise source.refuse(key.line, key.column, f"{quoted(name)} is given twice", f"first in line {first}")
        self[name] = (key, value)


def quoted(word: str, longest: int = 60) -> str:
    """A word that somebody wrote, for a message: in quotes, and not too much of it."""
    return f"'{word if len(word) <= longest else word[: longest - 3] + '...'}'"


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its name, to speak of what is wrong with it. ``first``: the number of its first line."""

    where: str
    lines: tuple[str, ...]
    first: int = 1

    @classmethod
    def of(cls, where: str, text: str, first: int = 1) -> Source:
        return cls(where, tuple(text.split("\n")), first)

    def problem(self, line: int, column: int, message: str, hint: str = "") -> Problem:
        index = line - self.first
        text = self.lines[index].rstrip("\r") if 0 <= index < len(self.lines) else ""
        message = printable(message)
        start = max(0, column - 60)  # a line of a megabyte is shown around the fault only
        shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text[start : start + 100])
        return Problem(self.where, line, column, message, shown, hint, column - start)

    def refuse(self, line: int, column: int, message: str, hint: str = "") -> Refused:
        return Refused([self.problem(line, column, message, hint)])


def decode(where: str, data: bytes, max_size: int, hint: str = "see max_file_size") -> str:
    """The text of a file, its lines ended by newlines, or ``Refused`` with the place of what is no text."""
    if len(data) > max_size:
        raise Refused([Problem(where, 0, 0, f"larger than {max_size} bytes", hint=hint)])
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = _lines(data.decode())
    except UnicodeDecodeError as error:
        text = _lines(data.decode("utf-8", "replace"))
        found: tuple[int, str] | None = (
            len(_lines(data[: error.start].decode())),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
        )
    else:
        found = forbidden(text)
    if found is None:
        return text
    at, message = found
    raise Source.of(where, text).refuse(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), message)


def _lines(text: str) -> str:
    """Whatever ends its lines: newlines, so that everybody counts the same."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_yaml(source: Source, text: str) -> list[Node]:
    """The documents in a text, or ``Refused``. An empty text has none."""
    try:
        return list(_documents(_Reader(source, text)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        message = f"not YAML: {error.problem or error.context}"
        at_tab = _character(source, line, column) == "\t"
        raise source.refuse(line + source.first, column + 1, message, _TAB_HINT if at_tab else "") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused([Problem(source.where, 0, 0, f"not YAML: {error}")]) from None


def forbidden(text: str) -> tuple[int, str] | None:
    """Where in a text the first character is that has no place there, and what is wrong with it."""
    match = _FORBIDDEN.search(text)
    if match is None:
        return None
    name = "NUL" if match[0] == "\0" else f"character U+{ord(match[0]):04X}"
    return match.start(), f"{name} has no place in a text"


def refuse_characters(source: Source, value: str, line: int, column: int) -> None:
    """A value that was written with escapes may hold what no file name, argument or variable can."""
    if "\0" in value:
        raise source.refuse(line, column, "NUL has no place in a text")
    if not value.isascii() and _SURROGATE.search(value):
        raise source.refuse(line, column, "half of a surrogate pair is no character")


class _Reader:
    """The events of a text, with bounds."""

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self._loader = _Loader(text)
        self._nodes = 0

    def next(self) -> Any:
        return self._loader.get_event()

    def place(self, event: Any) -> tuple[int, int]:
        return event.start_mark.line + self.source.first, event.start_mark.column + 1

    def node(self, event: Any, depth: int) -> Node:
        line, column = self.place(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.source.refuse(line, column, f"more than {MAX_NODES} values in one file")
        if depth > MAX_DEPTH:
            raise self.source.refuse(line, column, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            raise self.source.refuse(line, column, "aliases are not supported", "write the value out")
        if event.anchor is not None:
            raise self.source.refuse(line, column, "anchors are not supported", "write the value out")
        if event.tag is not None:
            raise self.source.refuse(line, column, "tags are not supported", "leave it out")
        if isinstance(event, yaml.ScalarEvent):
            refuse_characters(self.source, event.value, line, column)
            return Node(_scalar(event), line, column, "" if event.style else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := self.next(), yaml.SequenceEndEvent):
                items.append(self.node(item, depth + 1))
            return Node(items, line, column)
        return Node(self._mapping(depth), line, column)

    def _mapping(self, depth: int) -> Mapping:
        out = Mapping()
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            if isinstance(key.value, list | Mapping):
                raise self.source.refuse(key.line, key.column, f"a key must be text, not {key.kind}")
            if key.spelled == "<<":
                raise self.source.refuse(key.line, key.column, "merge keys are not supported", "write it out")
            out.add(self.source, key, self.node(self.next(), depth + 1))
        return out


def _documents(reader: _Reader) -> Iterator[Node]:
    while not isinstance(event := reader.next(), yaml.StreamEndEvent):
        if isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent | yaml.DocumentEndEvent):
            continue
        yield reader.node(event, 1)


def _character(source: Source, index: int, column: int) -> str:
    return source.lines[index][column : column + 1] if index < len(source.lines) else ""


def _scalar(event: Any) -> Scalar:
    text: str = event.value
    if event.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit() and len(text) < 64:
        return float(text)
    return text
