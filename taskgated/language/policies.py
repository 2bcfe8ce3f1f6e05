"""Policies of a queue that are set as a whole: of several files the last one that has such a key says all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from taskgated.core import plain
from taskgated.core.adaptive import Adaptive, Overload
from taskgated.core.breaker import Breaker
from taskgated.core.machine import Machine, Pressure, Whose
from taskgated.core.patterns import BadPattern, Pattern
from taskgated.core.rate import Rate
from taskgated.language import units
from taskgated.language.declare import Check, Key, Mismatch, Type, below, expected, keys_of, section
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.types import choice, duration, integer, list_of, number, or_word, positive, size, text

T = TypeVar("T")

Wrong = tuple[str, str, str]
"""What contradicts the rest: a key ("": all of it), what is wrong with it, and what to do."""


def _policy(
    cls: type[T],
    *keys: Key,
    required: Sequence[str] = (),
    instead: str | Callable[[Node], str] = "",
    against: Callable[[T], Wrong | None] = lambda made: None,
) -> Type[T | None]:
    """A mapping with these keys, of which some must be there, as an object of that class; or the word none.
    ``against``: what of it contradicts the rest, if anything does. ``instead``: as of ``section``."""
    inner = section(keys_of(cls, *keys), instead=instead)

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
            if not key:
                raise Mismatch(message, hint)
            check.wrong(node_at(node, key), f"{key}: {message}", hint)
        return made

    schema = {**inner.schema, "required": [*required]} if required else inner.schema
    return or_word("none", Type(read, schema), None)


def _against_rate(rate: Rate) -> Wrong | None:
    if rate.at_once > rate.starts:
        return "burst", f"{rate.at_once} can never start back to back, as starts is {rate.starts}", "leave it out"
    return None


_EACH = re.compile(r"([0-9]{1,7}) ?(?:/|per|an?|each|every) ?([0-9]*) ?([a-z]+)", re.IGNORECASE)
_ONES = {"sec": "s", "second": "s", "m": "min", "minute": "min", "hour": "h", "day": "d"}


def _rate_alone(node: Node) -> str:
    """How 10/min is written here, and other values that are no mapping."""
    starts, number, unit = "10", "1", "min"
    if isinstance(node.value, str) and (each := _EACH.fullmatch(node.value)):
        word = each[3].lower().removesuffix("s") or "s"
        starts, number, unit = each[1], each[2] or "1", _ONES.get(word, word)
    elif type(node.value) is int:
        starts = str(node.value)
    try:
        units.duration(f"{number}{unit}")
    except ValueError:
        number, unit = "1", "min"
    return f"write {{starts: {starts}, per: {number}{unit}}}"


RATE = _policy(
    Rate,
    Key("starts", integer(1, 1_000_000), "how many of its jobs may start within any time of that length", ""),
    Key("per", positive(duration), "the length of that time", ""),
    Key("burst", integer(1, 1_000_000), "how many of them may start back to back; the others evenly", "starts"),
    required=("starts", "per"),
    instead=_rate_alone,
    against=_against_rate,
)

BREAKER = _policy(
    Breaker,
    Key("failures", integer(1, 1000), "how many attempts in a row have to fail", ""),
    Key("within", positive(duration), "how long ago the first of them at most"),
    Key("pause", positive(duration), "how long nothing starts then, before one job is tried"),
    required=("failures",),
    instead="write {failures: VALUE}",
)

_any_text = text(what="a pattern", longest=1000)


def _pattern(node: Node, check: Check) -> str:
    value = _any_text.read(node, check)
    try:
        Pattern(value)
    except BadPattern as error:
        raise Mismatch(str(error)) from None
    return value


_OVERLOAD = section(
    keys_of(
        Overload,
        Key("exit_codes", list_of(integer(1, 255), "a list of exit codes", least=0), "with which a job says so"),
        Key(
            "output",
            Type(_pattern, _any_text.schema),
            "a pattern in a line of the end of its output that says so",
            "",
        ),
    ),
    instead="write {exit_codes: [VALUE]}",
)
_ADAPTIVE = section(
    keys_of(
        Adaptive,
        Key("min", integer(1, 100_000), "how low it goes"),
        Key("max", integer(1, 100_000), "how high it goes", "as many as there are workers"),
        Key("overload", _OVERLOAD, "how a job says that there are too many of them"),
    ),
    instead="write {max: VALUE}",
)
_AUTO = section((Key("auto", _ADAPTIVE, "a limit that adjusts itself, between bounds"),), "auto")
_HIGH = integer(1, 100_000)


def _limit(node: Node, check: Check) -> int | Adaptive | None:
    if node.value == "auto":
        return Adaptive()
    if node.value == "none":
        return None
    if not isinstance(node.value, Entries):
        if isinstance(node.value, str):
            raise expected("a whole number, auto, or none", node)
        return _HIGH.read(node, check)
    before = len(check.problems)
    values = below(_AUTO.read(node, check), "auto")
    if len(check.problems) > before:
        return None
    auto = plain.make(Adaptive, values)
    if auto.max is not None and auto.min > auto.max:
        check.wrong(node_at(node, "auto", "max"), f"max: it is lower than min, {auto.min}")
    if not auto.overload.exit_codes and auto.overload.output is None:
        check.wrong(
            node_at(node, "auto", "overload"), "overload: no job can ever say so", "give exit_codes, or output"
        )
    return auto


LIMIT: Type[int | Adaptive | None] = Type(
    _limit, {"anyOf": [_HIGH.schema, {"enum": ["auto", "none"]}, _AUTO.schema]}, str
)


def _against_machine(machine: Machine) -> Wrong | None:
    if not machine.bounds:
        return "", "it bounds nothing", "say load, memory, or pressure with cpu, memory or io"
    return None


_percent = positive(number(0, 100))
MACHINE = _policy(
    Machine,
    Key("load", positive(number(0, 100_000)), "none starts while the load average (of 1 min) is so much or more", ""),
    Key("memory", positive(size), "none starts while less memory is available", ""),
    Key("pressure", section(keys_of(
        Pressure,
        Key("cpu", _percent, "none starts while some task waited for a CPU so much of 10 s, in percent, or more", ""),
        Key("memory", _percent, "the same of memory", ""),
        Key("io", _percent, "the same of disks", ""),
        Key("of", choice(*Whose), "of the whole host, or of the control group of the gate with its jobs"),
    ), instead="write {cpu: VALUE}"), "by what tasks waited for (pressure stall information)"),
    instead="write {load: VALUE}",
    against=_against_machine,
)  # fmt: skip
