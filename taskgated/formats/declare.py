"""Declared keys: from one table follow the checking, its messages, and the JSON Schema for editors.

A ``Type`` reads one node; a ``Section`` is a mapping with declared keys. Everything that is wrong is
collected, so that a person sees all of it at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskgated.errors import Problem, Refused
from taskgated.formats import units
from taskgated.formats.yamlread import Mapping, Node, Source, quoted

Schema = dict[str, Any]

MAX_PROBLEMS = 100
"""What is wrong with one file beyond this is not looked for: nobody reads it, and it would take long."""
MAX_ARGUMENT = 128 * 1024 - 1
"""One argument of a program is at most this long (MAX_ARG_STRLEN, execve(2)), its final NUL not counted."""


class Mismatch(Exception):
    """A node is not what is expected; ``hint`` says what to do. Never leaves this module."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(slots=True)
class Check:
    """One text being checked, and all that was found wrong with it."""

    source: Source
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, node: Node, message: str, hint: str = "") -> None:
        self.add([self.source.problem(node.line, node.column, message, hint)])

    def add(self, problems: Iterable[Problem]) -> None:
        self.problems += problems
        if len(self.problems) >= MAX_PROBLEMS:
            last = Problem(self.source.where, 0, 0, f"these are the first {MAX_PROBLEMS}; there may be more")
            raise Refused([*self.problems[:MAX_PROBLEMS], last])


@dataclass(frozen=True, slots=True)
class Type:
    """How one kind of value is read. ``read`` gets the node and where to collect what is wrong inside it."""

    read: Callable[[Node, Check], Any]
    schema: Schema


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section: its name, its type, and one line about it for the manual and the schema."""

    name: str
    type: Type
    doc: str


def did_you_mean(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return _close(word, known) or f"known: {', '.join(known)}"


def _close(word: str, known: Sequence[str]) -> str:
    if len(word) > 100:
        return ""
    close = difflib.get_close_matches(word, known, 1, 0.6) or difflib.get_close_matches(word.lower(), known, 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def expected(what: str, node: Node) -> Mismatch:
    word = node.spelled or (node.value if isinstance(node.value, str) else "")
    shown = f" {quoted(word)}" if word and not isinstance(node.value, bool) else ""
    return Mismatch(f"expected {what}, not {node.kind}{shown}")


def read_section(node: Node, check: Check, keys: Sequence[Key], later: Sequence[str] = ()) -> dict[str, Any]:
    """The values of the keys that are there. ``later``: keys that belong to a later version."""
    if not isinstance(node.value, Mapping):
        check.wrong(node, f"expected a mapping of keys to values, not {node.kind}")
        return {}
    table = {key.name: key for key in keys}
    out = {}
    for name, (at, value) in node.value.items():
        if name in later:
            check.wrong(at, f"the key '{name}' is not supported by this version")
        elif name not in table:
            check.wrong(at, f"unknown key {quoted(name)}", did_you_mean(name, table))
        else:
            try:
                out[name] = table[name].type.read(value, check)
            except Mismatch as wrong:
                check.wrong(value, f"{name}: {wrong}", wrong.hint)
    return out


def section(keys: Sequence[Key], required: str = "") -> Type:
    """A mapping with these keys, of which one must be there."""
    schema = schema_of(keys)
    if required:
        schema["required"] = [required]

    def read(node: Node, check: Check) -> dict[str, Any]:
        out = read_section(node, check, keys)
        if required and isinstance(node.value, Mapping) and required not in node.value:
            check.wrong(node, f"'{required}' is missing")
        return out

    return Type(read, schema)


def schema_of(keys: Sequence[Key]) -> Schema:
    properties = {key.name: {"description": key.doc, **key.type.schema} for key in keys}
    return {"type": "object", "additionalProperties": False, "properties": properties}


# -- types ---------------------------------------------------------------------------------------


def text(pattern: str = "", what: str = "text", longest: int = 200) -> Type:
    """Text of at most ``longest`` characters on one line, fully matching ``pattern``."""
    compiled = re.compile(pattern) if pattern else None

    def read(node: Node, check: Check) -> str:
        if not isinstance(node.value, str):
            hint = "put it in quotes" if isinstance(node.value, int | float) else ""
            raise Mismatch(str(expected(what, node)), hint)
        if len(node.value) > longest:
            raise Mismatch(f"longer than {longest} characters")
        if compiled is not None and not compiled.fullmatch(node.value):
            raise Mismatch(f"expected {what}, not '{node.value}'")
        if any(c < " " or "\x7f" <= c <= "\x9f" for c in node.value):
            raise Mismatch("a control character has no place here")
        return node.value

    schema: Schema = {"type": "string", "maxLength": longest}
    return Type(read, {**schema, "pattern": f"^({pattern})$"} if pattern else schema)


def integer(low: int, high: int) -> Type:
    def read(node: Node, check: Check) -> int:
        if type(node.value) is not int:
            raise expected("a whole number", node)
        if not low <= node.value <= high:
            raise Mismatch(f"{node.value} is not between {low} and {high}")
        return node.value

    return Type(read, {"type": "integer", "minimum": low, "maximum": high})


def _boolean(node: Node, check: Check) -> bool:
    if not isinstance(node.value, bool):
        raise expected("true or false", node)
    return node.value


boolean = Type(_boolean, {"type": "boolean"})


def number(low: float, high: float) -> Type:
    def read(node: Node, check: Check) -> float:
        if type(node.value) not in (int, float):
            raise expected("a number", node)
        value = float(node.value)  # type: ignore[arg-type]
        if not low <= value <= high:
            raise Mismatch(f"{node.value} is not between {low:g} and {high:g}")
        return value

    return Type(read, {"type": "number", "minimum": low, "maximum": high})


def choice(*words: str) -> Type:
    def read(node: Node, check: Check) -> str:
        if node.value not in words:
            hint = _close(node.value, words) if isinstance(node.value, str) else ""
            raise Mismatch(str(expected(f"one of {', '.join(words)}", node)), hint)
        return str(node.value)

    return Type(read, {"enum": list(words)})


def _by(parse: Callable[[str], Any], what: str, kinds: list[str]) -> Type:
    """A unit: text that ``parse`` understands, or a bare number."""

    def read(node: Node, check: Check) -> Any:
        value = node.value
        number = isinstance(value, int | float) and not isinstance(value, bool) and "number" in kinds
        if not (number or isinstance(value, str)) or len(str(value)) > 100:
            raise expected(what, node)
        try:
            return parse(f"{value:.6f}" if isinstance(value, float) else str(value))
        except ValueError as error:
            written = f", not {quoted(node.spelled or str(value))}" if str(error).startswith("expected") else ""
            raise Mismatch(f"{error}{written}") from None

    return Type(read, {"type": kinds if len(kinds) > 1 else kinds[0]})


duration = _by(units.duration, "a duration such as 90s or 2h 30min", ["string", "number"])
size = _by(units.size, "a size such as 512K, 16M or 4G", ["string", "number"])
timestamp = _by(units.timestamp, "a time such as 2027-01-31T02:00:00+01:00", ["string"])


def or_word(word: str, type_: Type, value: Any) -> Type:
    """What ``type_`` reads, or one word that stands for ``value``."""

    def read(node: Node, check: Check) -> Any:
        return value if node.value == word else type_.read(node, check)

    return Type(read, {"anyOf": [{"const": word}, type_.schema]})


def positive(type_: Type) -> Type:
    def read(node: Node, check: Check) -> Any:
        value = type_.read(node, check)
        if not value > 0:
            raise Mismatch("must be more than nothing")
        return value

    return Type(read, type_.schema)


def long_text(what: str) -> Type:
    """Any text that is not empty."""

    def read(node: Node, check: Check) -> str:
        if not isinstance(node.value, str):
            raise expected(what, node)
        if not node.value.strip():
            raise Mismatch("is empty")
        return node.value

    return Type(read, {"type": "string", "pattern": "\\S"})


def list_of(item: Type, what: str, least: int = 1) -> Type:
    def read(node: Node, check: Check) -> tuple[Any, ...]:
        if not isinstance(node.value, list):
            raise expected(what, node)
        if len(node.value) < least:
            raise Mismatch("is empty")
        out = []
        for one in node.value:
            try:
                out.append(item.read(one, check))
            except Mismatch as wrong:
                check.wrong(one, str(wrong), wrong.hint)
        return tuple(out)

    return Type(read, {"type": "array", "items": item.schema, "minItems": least})


def _argument(node: Node, check: Check) -> str:
    if not isinstance(node.value, str):
        raise Mismatch(str(expected("text", node)), "put it in quotes" if node.spelled else "")
    return _argument_that_fits(node.value)


def _argument_that_fits(value: str) -> str:
    if len(value) * 4 > MAX_ARGUMENT and len(value.encode()) > MAX_ARGUMENT:
        raise Mismatch(f"longer than {MAX_ARGUMENT} bytes: no program can be given that")
    return value


_arguments = list_of(Type(_argument, {"type": "string"}), "a list of arguments")


def _command(node: Node, check: Check) -> tuple[str, ...] | str:
    if isinstance(node.value, list):
        return _program(node, check)
    line: str = _line.read(node, check)
    return _argument_that_fits(line)


def _program(node: Node, check: Check) -> tuple[str, ...]:
    value: tuple[str, ...] = _arguments.read(node, check)
    if isinstance(node.value, list) and node.value[0].value == "":
        raise Mismatch("its first argument, the program, is empty")
    return value


_line = long_text("a list of arguments, or text for /bin/sh -c")
argv = Type(_program, {**_arguments.schema, "prefixItems": [{"type": "string", "minLength": 1}]})
command = Type(_command, {"anyOf": [argv.schema, _line.schema]})

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _environment(node: Node, check: Check) -> dict[str, str]:
    if not isinstance(node.value, Mapping):
        raise expected("a mapping of names to values", node)
    out = {}
    for name, (at, value) in node.value.items():
        if not _VARIABLE.fullmatch(name):
            check.wrong(at, f"{quoted(name)} is not a name for a variable")
        elif isinstance(value.value, bool) or not isinstance(value.value, str | int | float):
            check.wrong(value, f"{name}: {expected('text', value)}", "put it in quotes")
        else:
            try:
                out[name] = _argument_that_fits(value.spelled or str(value.value))
            except Mismatch as wrong:
                check.wrong(value, f"{name}: {wrong}")
    return out


environment = Type(
    _environment,
    {
        "type": "object",
        "propertyNames": {"pattern": f"^({_VARIABLE.pattern})$"},
        "additionalProperties": {"type": ["string", "number"]},
    },
)


def mapping_of(names: str, what: str, item: Type) -> Type:
    """A mapping whose keys match ``names`` and whose values are all of one type."""
    pattern = re.compile(names)

    def read(node: Node, check: Check) -> dict[str, Any]:
        if not isinstance(node.value, Mapping):
            raise expected(f"a mapping of {what}", node)
        out = {}
        for name, (at, value) in node.value.items():
            if not pattern.fullmatch(name):
                check.wrong(at, f"{quoted(name)} cannot be used: {what}")
                continue
            try:
                out[name] = item.read(value, check)
            except Mismatch as wrong:
                check.wrong(value, f"{name}: {wrong}", wrong.hint)
        return out

    properties = {f"^({names})$": item.schema}
    return Type(read, {"type": "object", "additionalProperties": False, "patternProperties": properties})
