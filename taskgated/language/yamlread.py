"""YAML into nodes that know their line and column, with nothing in it that surprises or explodes.

The events of libyaml's parser are read one by one. This is the fastest way PyYAML has, and the only safe one: its C
composer recurses, and a few ten thousand brackets overflow the stack. Plain scalars are read as YAML 1.2's core
schema has them (https://yaml.org/spec/1.2.2/#103-core-schema), so ``on``, ``no`` and ``1:30`` are text.
Aliases, anchors, tags, merge keys and duplicate keys are refused; size, depth and number of nodes are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from taskgated.errors import Problem, Refused
from taskgated.language.nodes import MAX_DEPTH, MAX_NODES, Entries, Node, Scalar, Wrong
from taskgated.language.source import Source, refuse_characters

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CONSTANTS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"(?:^\s*|[\[{,]\s*|[:-]\s+)([*&!%@`])[^\s,\[\]{}]*$")
_JOINED = re.compile(r"\s*(?:- )?([a-z_]{3,20}):([^\s/:\[{\"'].{0,60})")
_TAB_HINT = "YAML is indented with spaces, not tabs"


def read_yaml(source: Source, text: str, wrong: Wrong | None = None) -> list[Node]:
    """The documents in a text, or ``Refused``. An empty text has none. ``wrong``: what is told of keys that are given
    twice; None: they are refused."""
    return list(yaml_documents(source, text, wrong))


def yaml_documents(source: Source, text: str, wrong: Wrong | None = None) -> Iterator[Node]:
    """The same one by one: of ten thousand documents only that one is in memory which the caller looks at."""
    try:
        yield from _documents(_Reader(source, text, wrong))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        message = f"not YAML: {error.problem or error.context}"
        tab = _character(source, line, column) == "\t"
        hint = _TAB_HINT if tab else _joined(source, line) or _unquoted(source, line, column)
        raise source.refuse(line + source.first, column + 1, message, hint) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused([Problem(source.where, 0, 0, f"not YAML: {error}")]) from None


class _Reader:
    """The events of a text, with bounds."""

    def __init__(self, source: Source, text: str, wrong: Wrong | None) -> None:
        self.source = source
        self._wrong = wrong
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

    def _mapping(self, depth: int) -> Entries:
        out = Entries()
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            if isinstance(key.value, list | Entries):
                raise self.source.refuse(key.line, key.column, f"a key must be text, not {key.kind}")
            if key.spelled == "<<":
                raise self.source.refuse(key.line, key.column, "merge keys are not supported", "write it out")
            out.add(self.source, key, self.node(self.next(), depth + 1), self._wrong)
        return out


def _documents(reader: _Reader) -> Iterator[Node]:
    while not isinstance(event := reader.next(), yaml.StreamEndEvent):
        if isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent | yaml.DocumentEndEvent):
            continue
        yield reader.node(event, 1)


def _joined(source: Source, line: int) -> str:
    """What to do if the line of a mistake, or the one before, has a key without a blank behind its colon."""
    for text in source.lines[max(0, line - 1) : line + 1]:
        if match := _JOINED.fullmatch(text[:100].rstrip()):
            return f"write {match[1]}: {match[2]}, with a blank"
    return ""


def _unquoted(source: Source, index: int, column: int) -> str:
    """What to do if a value without quotes ends the text up to there, and begins with what means something in YAML: a
    glob, say, or a calendar expression."""
    text = source.lines[index][: column + 1] if index < len(source.lines) else ""
    match = _SPECIAL.search(text[-200:])
    return f"a value that begins with {match[1]} has to be in quotes" if match else ""


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
