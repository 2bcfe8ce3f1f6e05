"""The types of values that keys have: how each is read, what the schema says of it, and how a default is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from taskgated.language import units
from taskgated.language.declare import Check, Mismatch, Schema, Type, expected, nearest, written_with
from taskgated.language.nodes import Entries, Node
from taskgated.text import has_controls, quoted

MAX_ARGUMENT = 128 * 1024 - 1
"""One argument of a program is at most this long (MAX_ARG_STRLEN, execve(2)), its final NUL not counted."""

LONGEST_PATH = 4095
"""Bytes of a path that the kernel takes (PATH_MAX, path_resolution(7)), its final NUL not counted."""

T = TypeVar("T")
V = TypeVar("V")
N = TypeVar("N", int, float)


def text(pattern: str = "", what: str = "text", longest: int = 200) -> Type[str]:
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
        if has_controls(node.value):
            raise Mismatch("a control character has no place here")
        return node.value

    schema: Schema = {"type": "string", "maxLength": longest}
    return Type(read, {**schema, "pattern": f"^({pattern})$"} if pattern else schema, str)


def octal(what: str) -> Type[int]:
    """The mode of a file, or a mask, in quotes."""
    digits = text("0?[0-7]{3}", what)
    return Type(lambda node, check: int(digits.read(node, check), 8), digits.schema, lambda value: f"'{value:03o}'")


def integer(low: int, high: int) -> Type[int]:
    def read(node: Node, check: Check) -> int:
        if type(node.value) is not int:
            raise expected("a whole number", node)
        if not low <= node.value <= high:
            raise Mismatch(f"{node.value} is not between {low} and {high}")
        return node.value

    return Type(read, {"type": "integer", "minimum": low, "maximum": high}, str)


def _boolean(node: Node, check: Check) -> bool:
    if not isinstance(node.value, bool):
        raise expected("true or false", node)
    return node.value


boolean = Type(_boolean, {"type": "boolean"}, lambda value: "true" if value else "false")


def number(low: float, high: float) -> Type[float]:
    def read(node: Node, check: Check) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise expected("a number", node)
        value = float(node.value)
        if not low <= value <= high:
            raise Mismatch(f"{node.value} is not between {low:g} and {high:g}")
        return value

    return Type(read, {"type": "number", "minimum": low, "maximum": high}, lambda value: f"{value:g}")


def choice(*words: str) -> Type[str]:
    def read(node: Node, check: Check) -> str:
        if node.value not in words:
            hint = nearest(node.value, words) if isinstance(node.value, str) else ""
            raise Mismatch(str(expected(f"one of {', '.join(words)}", node)), hint)
        return str(node.value)

    return Type(read, {"enum": list(words)}, str)


def _by(
    parse: Callable[[str], T],
    write: Callable[[object], str],
    what: str,
    kinds: list[str],
    hint: Callable[[str], str] = lambda value: "",
) -> Type[T]:
    """A unit: text that ``parse`` understands, or a bare number. ``hint``: what to do with other text."""

    def read(node: Node, check: Check) -> T:
        value = node.value
        number = isinstance(value, int | float) and not isinstance(value, bool) and "number" in kinds
        if not (number or isinstance(value, str)) or len(str(value)) > 100:
            raise expected(what, node)
        try:
            return parse(f"{value:.6f}" if isinstance(value, float) else str(value))
        except ValueError as error:
            written = f", not {quoted(node.spelled or str(value))}" if str(error).startswith("expected") else ""
            raise Mismatch(f"{error}{written}", hint(str(value))) from None

    return Type(read, {"type": kinds if len(kinds) > 1 else kinds[0]}, write)


def _write_duration(value: object) -> str:
    return units.format_duration(value) if isinstance(value, float) else ""


def _write_size(value: object) -> str:
    return units.format_size(value) if isinstance(value, int) else ""


def _no_date(value: str) -> str:
    return "that is a date: say how long, such as 2h" if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else ""


def _no_duration(value: str) -> str:
    try:
        units.duration(value)
    except ValueError:
        return ""
    return f"that is how long: say delay: {value}"


duration = _by(units.duration, _write_duration, "a duration such as 90s or 2h 30min", ["string", "number"], _no_date)
size = _by(units.size, _write_size, "a size such as 512K, 16M or 4G", ["string", "number"])
timestamp = _by(units.timestamp, str, "a time such as 2027-01-31T02:00:00+01:00", ["string"], _no_duration)


_BOUNDLESS = ("none", "never", "unlimited", "forever", "inf", ".inf", "no limit", "infinite", "off", "max")


def or_word(word: str, type_: Type[T], value: V) -> Type[T | V]:
    """What ``type_`` reads, or one word that stands for ``value``."""

    def read(node: Node, check: Check) -> T | V:
        if node.value == word:
            return value
        try:
            return type_.read(node, check)
        except Mismatch as wrong:
            boundless = isinstance(node.value, str) and node.value.lower() in _BOUNDLESS
            raise Mismatch(str(wrong), f"write {word}" if boundless else wrong.hint) from None

    return Type(read, {"anyOf": [{"const": word}, type_.schema]}, type_.write)


def positive(type_: Type[N]) -> Type[N]:
    def read(node: Node, check: Check) -> N:
        value = type_.read(node, check)
        if not value > 0:
            raise Mismatch("must be more than nothing")
        return value

    return Type(read, type_.schema, type_.write)


def at_least(low: float, type_: Type[float]) -> Type[float]:
    """A duration that is no shorter than so many seconds."""

    def read(node: Node, check: Check) -> float:
        value = type_.read(node, check)
        if value < low:
            raise Mismatch(f"must be at least {units.format_duration(low)}")
        return value

    return Type(read, type_.schema, type_.write)


def at_most(high: float, type_: Type[float]) -> Type[float]:
    """A duration that is no longer than so many seconds."""

    def read(node: Node, check: Check) -> float:
        value = type_.read(node, check)
        if value > high:
            raise Mismatch(f"must be at most {units.format_duration(high)}")
        return value

    return Type(read, type_.schema, type_.write)


def long_text(what: str) -> Type[str]:
    """Any text that is not empty."""

    def read(node: Node, check: Check) -> str:
        if not isinstance(node.value, str):
            raise expected(what, node)
        if not node.value.strip():
            raise Mismatch("is empty")
        return node.value

    return Type(read, {"type": "string", "pattern": "\\S"})


def list_of(item: Type[T], what: str, least: int = 1) -> Type[tuple[T, ...]]:
    def read(node: Node, check: Check) -> tuple[T, ...]:
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

    def write(value: object) -> str:
        return f"[{', '.join(map(item.write, value))}]" if isinstance(value, tuple) else ""

    return Type(read, {"type": "array", "items": item.schema, "minItems": least}, write)


def _argument(node: Node, check: Check) -> str:
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _argument_that_fits(node.spelled)  # 1.10 is no 1.1, and 010 no 10
    if not isinstance(node.value, str):
        raise Mismatch(str(expected("text", node)), "put it in quotes" if node.spelled else "")
    return _argument_that_fits(node.value)


def _argument_that_fits(value: str) -> str:
    if len(value) * 4 > MAX_ARGUMENT and len(value.encode()) > MAX_ARGUMENT:
        raise Mismatch(f"longer than {MAX_ARGUMENT} bytes: no program can be given that")
    return value


_arguments = list_of(Type(_argument, {"type": ["string", "number"]}), "a list of arguments")


def _command(node: Node, check: Check) -> tuple[str, ...] | str:
    if isinstance(node.value, list):
        return _program(node, check)
    return _argument_that_fits(_line.read(node, check))


def _program(node: Node, check: Check) -> tuple[str, ...]:
    value = _arguments.read(node, check)
    if isinstance(node.value, list) and node.value[0].value == "":
        raise Mismatch("its first argument, the program, is empty")
    if isinstance(node.value, list) and type((first := node.value[0]).value) in (int, float):
        check.wrong(first, str(expected("a program first", first)), "put it in quotes")
    return value


_line = long_text("a list of arguments, or text for /bin/sh -c")
argv = Type(_program, {**_arguments.schema, "prefixItems": [{"type": "string", "minLength": 1}]})
command = Type(_command, {"anyOf": [argv.schema, _line.schema]})

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _environment(node: Node, check: Check) -> dict[str, str]:
    if not isinstance(node.value, Entries):
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


def mapping_of(
    names: str, what: str, item: Type[T], reserved: Mapping[str, str] = MappingProxyType({}), instead: str = ""
) -> Type[Mapping[str, T]]:
    """A mapping whose keys match ``names`` and whose values are all of one type. ``reserved``: names that are not
    among these, and why. ``instead``: as of ``section``."""
    pattern = re.compile(names)

    def read(node: Node, check: Check) -> Mapping[str, T]:
        if not isinstance(node.value, Entries):
            raise Mismatch(str(expected(f"a mapping of {what}", node)), written_with(instead, node))
        out = {}
        for name, (at, value) in node.value.items():
            if name in reserved:
                check.wrong(at, f"'{name}' cannot be used: {reserved[name]}", "take another name")
                continue
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
