"""What a YAML or a JSON text is made of: values, each with its place, within the bounds that hold for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from taskgated.errors import Problem
from taskgated.language.source import Source
from taskgated.text import quoted

MAX_DEPTH = 32
MAX_NODES = 200_000

Scalar = str | int | float | bool | None

Wrong = Callable[[Iterable[Problem]], None]
"""What is told of what is wrong with a text that can be read all the same, so that the rest is looked at as well."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands (from 1). ``value`` is a scalar, a list of nodes, or ``Entries``.

    ``spelled``: how a value without quotes was written (1.10 is not 1.1 for everybody).
    """

    value: Scalar | list[Node] | Entries
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


class Entries(dict[str, tuple[Node, Node]]):
    """A mapping: key to (node of the key, node of the value), in the order of the file."""

    def add(self, source: Source, key: Node, value: Node, wrong: Wrong | None = None) -> None:
        """What is given twice is told to ``wrong``, and the first of it is kept; ``Refused`` without that."""
        name = key.spelled or str(key.value or "")
        if name not in self:
            self[name] = (key, value)
            return
        first = self[name][0].line
        refused = source.refuse(key.line, key.column, f"{quoted(name)} is given twice", f"first in line {first}")
        if wrong is None:
            raise refused
        wrong(refused.problems)


def node_at(node: Node, *path: str) -> Node:
    """The value at a path of keys, as far as there is one."""
    for name in path:
        pair = node.value.get(name) if isinstance(node.value, Entries) else None
        node = pair[1] if pair else node
    return node
