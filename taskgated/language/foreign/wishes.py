"""What the reading of one script collects: keys of the job, notes, variables, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from taskgated.core.array import literal
from taskgated.language.declare import Check
from taskgated.language.nodes import Entries, Node
from taskgated.text import quoted

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]
"""A value of a key, as it would stand in a spec."""


@dataclass(frozen=True, slots=True)
class Given:
    """An option as it stands in a script: its name, its value, and where (from 1)."""

    name: str
    value: str
    line: int
    column: int

    def at(self, name: str, value: str = "") -> Given:
        """The same place, under another name."""
        return Given(name, value, self.line, self.column)

    @property
    def shown(self) -> str:
        """As it is told to people."""
        if not self.value:
            return self.name
        between = "=" if self.name.startswith("--") or " " in self.name else " "
        return f"{self.name}{between}{self.value}"


@dataclass(slots=True)
class Wishes:
    """``keys``: the job's, as if a spec had said so. ``notes``: what was passed over, by the option.

    ``now``: the local time, naive. ``priority``: what a job of its queue has that says nothing;
    ``has_cwd``: whether its queue has a directory for jobs. ``seen``: what was
    given, by the name that ``remember`` was told, for what follows from several options together.
    """

    check: Check
    now: datetime
    priority: int
    has_cwd: bool = False
    keys: Entries = field(default_factory=Entries)
    notes: dict[str, str] = field(default_factory=dict)
    env: dict[str, tuple[str, Given]] = field(default_factory=dict)
    seen: dict[str, Given] = field(default_factory=dict)

    def say(self, key: str, given: Given, value: Value) -> None:
        """A key of the job; what is given later holds."""
        self.keys[key] = (Node(key, given.line, given.column), _node(value, given))

    def unsay(self, *keys: str) -> None:
        for key in keys:
            self.keys.pop(key, None)

    def variable(self, name: str, value: str | int, given: Given) -> None:
        """A variable of its environment."""
        self.env[name] = (str(value), given)

    def note(self, given: Given, text: str) -> None:
        """The option is passed over, and the record of the job says so."""
        self.notes[given.name] = f"line {given.line}: {quoted(given.shown)} {text}"

    def remember(self, name: str, given: Given) -> None:
        self.seen[name] = given

    def number(self, name: str, otherwise: int) -> int:
        """A number that was remembered."""
        return int(self.seen[name].value) if name in self.seen else otherwise

    def wrong(self, given: Given, message: str, hint: str = "") -> None:
        place = Node(None, given.line, given.column)
        between = " " if message.startswith(("is ", "has ", "needs ", "takes ", "asks ", "says ")) else ": "
        self.check.wrong(place, f"{given.name}{between}{message}", hint)

    def done(self) -> Node:
        """All keys, the variables among them, as a mapping. In an array no text of theirs is to be filled."""
        as_is: Callable[[str], str] = literal if "array" in self.keys else str
        if self.env:
            first = next(iter(self.env.values()))[1]
            entries = Entries(
                {
                    name: (Node(name, given.line, given.column), Node(as_is(value), given.line, given.column))
                    for name, (value, given) in self.env.items()
                }
            )
            at = Node(entries, first.line, first.column)
            self.keys["env"] = (Node("env", first.line, first.column), at)
        for key in self.keys.keys() & {"name", "cwd"}:
            at, node = self.keys[key]
            self.keys[key] = at, replace(node, value=as_is(str(node.value)))
        return Node(self.keys, 1, 1)


def _node(value: Value, given: Given) -> Node:
    make: Callable[[Value], Node] = lambda inner: _node(inner, given)  # noqa: E731
    at = given.line, given.column
    match value:
        case str() | int() | float() | bool():
            return Node(value, *at)
        case Mapping():
            return Node(Entries({name: (Node(name, *at), make(inner)) for name, inner in value.items()}), *at)
        case _:
            return Node([make(inner) for inner in value], *at)
