"""The Varlink language (varlink.org/Interface-Definition): what an interface declares, and whether a value is so.

A type is a text (``int``, ``Job``), a set of words (an enum), a mapping (a struct), or a pair: ``?``, ``[]`` or
``[string]`` and a type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Type = str | frozenset[str] | Mapping[str, "Type"] | tuple[str, "Type"]
Struct = Mapping[str, Type]

_TOKEN = re.compile(r"\s+|#[^\n]*|(->|\[string\]|\[\]|[?(),:]|[A-Za-z][\w.]*)")
_PLAIN = {"int": (int,), "bool": (bool,), "string": (str,), "float": (float, int), "object": (dict,)}


@dataclass
class Declared:
    """Methods with their parameters and replies, errors with theirs, and named types."""

    name: str
    methods: dict[str, tuple[Struct, Struct]] = field(default_factory=dict)
    errors: dict[str, Struct] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)

    def faults(self, value: object, kind: Type, where: str = "") -> list[str]:
        """Why a value is not of that type."""
        match kind:
            case "?", inner:
                return [] if value is None else self.faults(value, inner, where)
            case "[]", inner if isinstance(value, list):
                return [f for n, one in enumerate(value) for f in self.faults(one, inner, f"{where}[{n}]")]
            case "[string]", inner if isinstance(value, dict):
                return [f for name, one in value.items() for f in self.faults(one, inner, f"{where}[{name}]")]
            case str() if kind in self.types:
                return self.faults(value, self.types[kind], where)
            case str():
                return [] if type(value) in _PLAIN[kind] else [f"{where} is {value!r}, no {kind}"]
            case frozenset():
                return [] if value in kind else [f"{where} is {value!r}, none of {sorted(kind)}"]
            case Mapping() if isinstance(value, dict):
                found = [f"{where}.{name}: there, or declared, alone" for name in kind.keys() ^ value.keys()]
                both = kind.keys() & value.keys()
                return found + [f for name in both for f in self.faults(value[name], kind[name], f"{where}.{name}")]
        return [f"{where} is {value!r}, not {kind}"]


class _Reader:
    def __init__(self, text: str) -> None:
        tokens, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            assert match, f"no Varlink: {text[at : at + 40]!r}"
            at = match.end()
            if match[1]:
                tokens.append(match[1])
        self._tokens = tokens[::-1]

    @property
    def more(self) -> bool:
        return bool(self._tokens)

    def take(self, wanted: str = "") -> str:
        token = self._tokens.pop()
        assert wanted in ("", token), f"{token} instead of {wanted}"
        return token

    def struct(self) -> Struct:
        members = self.members()
        assert isinstance(members, Mapping)
        return members

    def members(self) -> Type:
        """``(name: type, ...)`` or ``(word, ...)``"""
        self.take("(")
        words: list[str] = []
        typed: dict[str, Type] = {}
        while self._tokens[-1] != ")":
            name = self.take()
            if self._tokens[-1] == ":":
                self.take()
                typed[name] = self.type()
            else:
                words.append(name)
            if self._tokens[-1] != ")":
                self.take(",")
        self.take(")")
        assert not (words and typed)
        return frozenset(words) if words else typed

    def type(self) -> Type:
        if self._tokens[-1] == "(":
            return self.members()
        token = self.take()
        return (token, self.type()) if token in ("?", "[]", "[string]") else token


def parse(text: str) -> Declared:
    reader = _Reader(text)
    reader.take("interface")
    declared = Declared(reader.take())
    while reader.more:
        what, name = reader.take(), reader.take()
        match what:
            case "type":
                declared.types[name] = reader.members()
            case "error":
                declared.errors[name] = reader.struct()
            case "method":
                parameters = reader.struct()
                reader.take("->")
                declared.methods[name] = (parameters, reader.struct())
            case _:
                raise AssertionError(f"no Varlink: {what}")
    return declared
