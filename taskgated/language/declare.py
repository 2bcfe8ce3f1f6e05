"""Declared keys: from one table follow the checking, its messages, the manual, and the JSON Schema for editors.

A ``Type`` reads one node; a section is a mapping with declared keys. A key whose value becomes a field of a dataclass
has the default of that field (``keys_of``): defaults stand in the dataclass alone. Everything that is wrong is
collected, so that a person sees all of it at once.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from taskgated.errors import Problem, Refused
from taskgated.language import synonyms
from taskgated.language.nodes import Entries, Node
from taskgated.language.source import Source
from taskgated.text import printable, quoted

Schema = dict[str, Any]
Values = Mapping[str, object]
"""Checked values by the names of their keys; those of a section are a mapping again."""

T_co = TypeVar("T_co", covariant=True)

MAX_PROBLEMS = 100
"""What is wrong with one file beyond this is not looked for: nobody reads it, and it would take long."""


class Mismatch(Exception):
    """A node is not what is expected; ``hint`` says what to do. ``read_section`` adds the key."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(slots=True)
class Check:
    """One text being checked, and all that was found wrong with it. ``notes``: on what is taken, and may not be meant
    so."""

    source: Source
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, node: Node, message: str, hint: str = "") -> None:
        self.add([self.source.problem(node.line, node.column, message, hint)])

    def note(self, node: Node, message: str) -> None:
        self.notes.append(printable(f"line {node.line}: {message}"))

    def add(self, problems: Iterable[Problem]) -> None:
        self.problems += problems
        if len(self.problems) >= MAX_PROBLEMS:
            last = Problem(self.source.where, 0, 0, f"these are the first {MAX_PROBLEMS}; there may be more")
            raise Refused([*self.problems[:MAX_PROBLEMS], last])


@dataclass(frozen=True, slots=True)
class Type(Generic[T_co]):
    """How one kind of value is read, and written.

    ``read`` gets the node and where to collect what is wrong inside it, and raises ``Mismatch`` when the node as a
    whole is wrong. ``write``: a default as people would write it, for the manual; "" where there is nothing to say.
    """

    read: Callable[[Node, Check], T_co]
    schema: Schema
    write: Callable[[object], str] = lambda value: ""


class Scope(enum.StrEnum):
    """Whose a key of the configuration is. What the ``gate`` decides by is the same wherever it runs; what is said of
    a ``host`` is about that machine, its spool, and the daemon on it. Of the bounds of a machine, say, the gate has
    which they are, and each host looks at itself."""

    GATE = "gate"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section: its name, its type, and what the manual and the schema say of it.

    ``unset``: what holds when it is left out, in words, where ``default`` is no value that says it; "" where ``doc``
    says it. ``note``: what is to be said behind the default. ``default``: see ``keys_of``.
    ``of``: whose it is, with all that is inside of it; None: what is inside says so, or it is none of the
    configuration.
    """

    name: str
    type: Type[object]
    doc: str
    unset: str | None = None
    note: str = ""
    default: object = None
    of: Scope | None = None

    @property
    def description(self) -> str:
        """One line, the default in parentheses."""
        default = self.unset
        if default is None:
            default = "" if self.default is None else self.type.write(self.default)
        return self.doc + f" ({default})" * bool(default) + f"; {self.note}" * bool(self.note)


def keys_of(made: type, *keys: Key) -> tuple[Key, ...]:
    """The keys from whose values a dataclass is made, each with the default of its field; ``KeyError`` if one has
    no field."""
    defaults = {field.name: field.default for field in fields(made)}
    return tuple(replace(key, default=defaults[key.name]) for key in keys)


def below(values: Values, name: str) -> Values:
    """The values of a section inside; none where it is not given."""
    inner = values.get(name)
    return inner if isinstance(inner, Mapping) else {}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return nearest(word, known) or f"known: {', '.join(known)}"


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint for a slip of the keyboard; "" when nothing is near."""
    if len(word) > 100:
        return ""
    close = difflib.get_close_matches(word, known, 1, 0.6) or difflib.get_close_matches(word.lower(), known, 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def expected(what: str, node: Node) -> Mismatch:
    word = node.spelled or (node.value if isinstance(node.value, str) else "")
    shown = f" {quoted(word)}" if word and not isinstance(node.value, bool) else ""
    return Mismatch(f"expected {what}, not {node.kind}{shown}")


def read_section(
    node: Node,
    check: Check,
    keys: Sequence[Key],
    later: Sequence[str] = (),
    elsewhere: Mapping[str, str] = MappingProxyType({}),
    hint: str = "",
) -> dict[str, object]:
    """The values of the keys that are there. ``later``: keys that belong to a later version; ``elsewhere``: those
    that have no place here, and why. ``hint``: what to do with what is no mapping."""
    if not isinstance(node.value, Entries):
        wrong = no_mapping(node, hint)
        check.wrong(node, str(wrong), wrong.hint)
        return {}
    table = {key.name: key for key in keys}
    out: dict[str, object] = {}
    for name, (at, value) in node.value.items():
        if name in later:
            check.wrong(at, f"the key '{name}' is not supported by this version")
        elif name not in table:
            hint = elsewhere.get(name) or _written_out(name, table, value) or synonyms.hint(name, table, later)
            check.wrong(at, f"unknown key {quoted(name)}", hint or did_you_mean(name, table))
        else:
            try:
                out[name] = table[name].type.read(value, check)
            except Mismatch as wrong:
                check.wrong(value, f"{name}: {wrong}", wrong.hint)
    return out


def no_mapping(node: Node, hint: str = "") -> Mismatch:
    """What is wrong with another value in the place of a mapping, and what to do."""
    if isinstance(node.value, str) and (joined := _JOINED.fullmatch(node.value)):
        hint = f"write {joined[1]}: {joined[2]}, with a blank"
    return Mismatch(f"expected a mapping of keys to values, not {node.kind}", hint)


def written_with(instead: str | Callable[[Node], str], node: Node) -> str:
    """``instead`` with what was written in the place of VALUE, a list where that is [VALUE]; "" where that
    would make no sense."""
    if not isinstance(instead, str):
        return instead(node)
    word = shown(node)
    if isinstance(node.value, list):
        return instead.replace("[VALUE]", word) if "[VALUE]" in instead else ""
    return instead.replace("VALUE", word) if isinstance(node.value, str | int | float) else ""


_JOINED = re.compile(r"([a-z_]{3,20}):([^\s/].{0,60})")


def _written_out(name: str, table: Mapping[str, Key], value: Node) -> str:
    """How ``section.key``, as tables of keys have it, is written; "" if it is none."""
    outer, dot, inner = name.partition(".")
    if not dot or outer not in table:
        return ""
    schema = table[outer].type.schema
    either = [one.get("properties", {}) for one in (schema, *schema.get("anyOf", ()))]
    known = sorted({key for properties in either for key in properties})
    if inner not in known and "propertyNames" not in schema:
        return f"known in {outer}: {', '.join(known)}" if known else ""
    return f"write {outer}: {{{inner}: {'...' if isinstance(value.value, list) else shown(value)}}}"


def shown(node: Node) -> str:
    """A value in a hint."""
    if isinstance(node.value, list):
        items = [shown(item) for item in node.value[:5]]
        return "[...]" if "..." in items or len(node.value) > len(items) else f"[{', '.join(items)}]"
    word = node.spelled or (str(node.value) if isinstance(node.value, str | int | float) else "")
    return word if re.fullmatch(r"[\w./:+%-][\w ./:+%-]{0,59}", word) else "..."


def section(
    keys: Sequence[Key],
    required: str = "",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
    instead: str | Callable[[Node], str] = "",
) -> Type[Values]:
    """A mapping with these keys, of which one must be there. ``elsewhere``: as of ``read_section``; ``instead``: what
    to do with another value, VALUE, or with a list where [VALUE] is in it."""
    schema = schema_of(keys)
    if required:
        schema["required"] = [required]

    def read(node: Node, check: Check) -> Values:
        if not isinstance(node.value, Entries):
            raise no_mapping(node, written_with(instead, node))
        out = read_section(node, check, keys, (), elsewhere)
        if required and required not in node.value:
            check.wrong(node, f"'{required}' is missing")
        return out

    return Type(read, schema)


def schema_of(keys: Sequence[Key]) -> Schema:
    properties: Schema = {}
    for key in keys:
        whose = {} if key.of is None else {"x-scope": str(key.of)}
        properties[key.name] = {"description": key.description, **whose, **key.type.schema}
    return {"type": "object", "additionalProperties": False, "properties": properties}
