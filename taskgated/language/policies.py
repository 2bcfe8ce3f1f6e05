"""Policies of a queue that are set as a whole: of several files the last one that has such a key says all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from taskgated.core import plain
from taskgated.core.breaker import Breaker
from taskgated.core.rate import Rate
from taskgated.language.declare import Check, Key, Type, keys_of, section
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.types import duration, integer, or_word, positive

T = TypeVar("T")

Wrong = tuple[str, str, str]
"""What contradicts the rest: a key, what is wrong with it, and what to do."""


def _policy(
    cls: type[T],
    *keys: Key,
    required: Sequence[str] = (),
    against: Callable[[T], Wrong | None] = lambda made: None,
) -> Type[T | None]:
    """A mapping with these keys, of which some must be there, as an object of that class; or the word none.
    ``against``: what of it contradicts the rest, if anything does."""
    inner = section(keys_of(cls, *keys))

    def read(node: Node, check: Check) -> T | None:
        before = len(check.problems)
        values = inner.read(node, check)
        for key in required:
            if isinstance(node.value, Entries) and key not in node.value:
                check.wrong(node, f"'{key}' is missing")
        if len(check.problems) > before:
            return None
        made = plain.make(cls, values)
        if (wrong := against(made)) is not None:
            key, message, hint = wrong
            check.wrong(node_at(node, key), f"{key}: {message}", hint)
        return made

    schema = {**inner.schema, "required": [*required]} if required else inner.schema
    return or_word("none", Type(read, schema), None)


def _against_rate(rate: Rate) -> Wrong | None:
    if rate.at_once > rate.starts:
        return "burst", f"{rate.at_once} can never start back to back, as starts is {rate.starts}", "leave it out"
    return None


RATE = _policy(
    Rate,
    Key("starts", integer(1, 1_000_000), "how many of its jobs may start within any time of that length", ""),
    Key("per", positive(duration), "the length of that time", ""),
    Key("burst", integer(1, 1_000_000), "how many of them may start back to back; the others evenly", "starts"),
    required=("starts", "per"),
    against=_against_rate,
)

BREAKER = _policy(
    Breaker,
    Key("failures", integer(1, 1000), "how many attempts in a row have to fail", ""),
    Key("within", positive(duration), "how long ago the first of them at most"),
    Key("pause", positive(duration), "how long nothing starts then, before one job is tried"),
    required=("failures",),
)
