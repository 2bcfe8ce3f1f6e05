"""JSON into the same nodes as YAML, with the same bounds.

``json`` judges the syntax, and knows no places; they come from a second look at the tokens. Both see a text only
when its depth is known to be bounded, because ``json`` recurses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from taskgated.language.nodes import MAX_DEPTH, MAX_NODES, Entries, Node, Scalar, Wrong
from taskgated.language.source import Source, refuse_characters

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]|[^\s",:\[\]{}]++', re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


def read_json(source: Source, text: str, wrong: Wrong | None = None) -> list[Node]:
    """The one value in a JSON text, as a list of one document, or ``Refused``. ``wrong``: as of ``read_yaml``."""
    _bounded(source, text)
    try:
        # No value is used: numbers need not be understood, only recognized.
        json.loads(text, parse_int=_ignore, parse_float=_ignore, parse_constant=_ignore)
    except json.JSONDecodeError as error:
        raise source.refuse(error.lineno, error.colno, f"not JSON: {error.msg}") from None
    tokens = _tokens(source, text)
    return [_Reader(source, tokens, wrong).node(*next(tokens))]


def _ignore(_: str) -> None:
    return None


def _bounded(source: Source, text: str) -> None:
    depth = nodes = 0
    for match in _TOKEN.finditer(text):
        if match[0] in ("]", "}"):
            depth -= 1
            continue
        nodes += 1
        depth += match[0] in ("[", "{")
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            what = f"nested deeper than {MAX_DEPTH}"
            if nodes > MAX_NODES:
                what = f"more than {MAX_NODES} values in one file"
            before = text[: match.start()]
            raise source.refuse(before.count("\n") + source.first, match.start() - before.rfind("\n"), what)


def _tokens(source: Source, text: str) -> Iterator[tuple[str, int, int]]:
    """Each token but ``,`` and ``:``, with its line and column."""
    line, start, seen = source.first, 0, 0
    for match in _TOKEN.finditer(text):
        at = match.start()
        if newlines := text.count("\n", seen, at):
            line += newlines
            start = text.rindex("\n", seen, at) + 1
        seen = at
        yield match[0], line, at - start + 1


class _Reader:
    """The values of a text whose syntax is known to be right."""

    def __init__(self, source: Source, tokens: Iterator[tuple[str, int, int]], wrong: Wrong | None) -> None:
        self._source = source
        self._tokens = tokens
        self._wrong = wrong

    def node(self, token: str, line: int, column: int) -> Node:
        """The value that begins with ``token``."""
        if token == "[":
            items = []
            while (item := next(self._tokens))[0] != "]":
                items.append(self.node(*item))
            return Node(items, line, column)
        if token == "{":
            return Node(self._mapping(), line, column)
        if token[0] == '"':
            value = json.loads(token)
            refuse_characters(self._source, value, line, column)
            return Node(value, line, column)
        return Node(_scalar(self._source, token, line, column), line, column, token)

    def _mapping(self) -> Entries:
        out = Entries()
        while (token := next(self._tokens))[0] != "}":
            out.add(self._source, self.node(*token), self.node(*next(self._tokens)), self._wrong)
        return out


def _scalar(source: Source, token: str, line: int, column: int) -> Scalar:
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if token in ("NaN", "Infinity", "-Infinity"):  # json reads them, but JSON has them not
        raise source.refuse(line, column, f"not JSON: {token} is not a value")
    return int(token) if _INTEGER.fullmatch(token) else float(token)
