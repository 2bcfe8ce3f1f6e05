"""The key ``array``: which jobs one file makes, and how many of them may run at once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from taskgated.core.array import MOST, Array, placeholders, texts
from taskgated.core.job import Spec
from taskgated.language.declare import Check, Key, Mismatch, Type, expected, read_section, schema_of
from taskgated.language.nodes import Entries, Node
from taskgated.language.types import LONGEST_PATH, MAX_ARGUMENT, integer, list_of, long_text
from taskgated.text import printable

MOST_BYTES = 1024**3
"""What the jobs of all arrays of one file may take in the database."""
HIGHEST = 10**9

_numbers = list_of(integer(0, HIGHEST), "a list of numbers")
_text = long_text("text, a line for each job, or a list of texts")


def _read_one(node: Node, check: Check) -> str:
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.spelled
    if not isinstance(node.value, str):
        raise expected("a text", node)
    if "\n" in node.value or not node.value.strip():
        raise Mismatch("a line is blank" if not node.value.strip() else "a line has a line break inside")
    return node.value


_texts = list_of(Type(_read_one, {"type": ["string", "number"], "pattern": "\\S"}), "a list of texts")
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})(?::([0-9]{1,9}))?(?:%([0-9]{1,9}))?")


def _read_indices(node: Node, check: Check) -> tuple[int, ...]:
    if isinstance(node.value, list) and any(isinstance(one.value, str) for one in node.value):
        words = ", ".join(str(one.spelled or one.value) for one in node.value[:4] if not isinstance(one.value, list))
        more = ", ..." * (len(node.value) > 4)
        raise Mismatch("an index is a whole number", f"for texts write {{lines: [{printable(words[:60])}{more}]}}")
    return _numbers.read(node, check)


_indices = Type(_read_indices, _numbers.schema)


def _read_lines(node: Node, check: Check) -> tuple[str, ...]:
    if isinstance(node.value, list):
        return _fitting(_texts.read(node, check))
    given = _text.read(node, check)
    if "\n" not in given.strip() and given.startswith(("/", "./", "../")):
        hint = "give the lines themselves, below 'lines: |'; a file is not read, as the gate may see what you may not"
        raise Mismatch("the name of a file stands where lines are expected", hint)
    return _fitting(tuple(line.rstrip("\r") for line in given.split("\n") if line.strip()))


def _fitting(lines: tuple[str, ...]) -> tuple[str, ...]:
    _check_number(len(lines))
    for number, line in enumerate(lines, 1):
        if len(line.encode("utf-8", "surrogateescape")) > MAX_ARGUMENT:
            raise Mismatch(f"line {number} of it is longer than {MAX_ARGUMENT} bytes")
    return lines


_lines = Type(_read_lines, {"anyOf": [_text.schema, _texts.schema]})

KEYS = (
    Key("from", integer(0, HIGHEST), "the first index", "1"),
    Key("to", integer(0, HIGHEST), "the last index", ""),
    Key("step", integer(1, HIGHEST), "from one index to the next", "1"),
    Key("values", _indices, "the indices, one by one, instead of from, to and step", ""),
    Key("lines", _lines, "a job for each line that is not blank, instead of these", ""),
    Key("at_most", integer(1, 10_000), "how many of these jobs run at once", "no limit"),
)


def _read(node: Node, check: Check) -> Array:
    if isinstance(node.value, list):
        return Array(_distinct(_indices.read(node, check)))
    if not isinstance(node.value, Entries):
        wrong = expected("a mapping such as {from: 1, to: 100}, or a list of numbers", node)
        raise Mismatch(str(wrong), _how(node.value))
    before = len(check.problems)
    values = read_section(node, check, KEYS)
    if len(check.problems) > before:
        return Array((0,))
    at_most = values.get("at_most")
    assert at_most is None or isinstance(at_most, int)
    given = [name for name in ("to", "values", "lines") if name in values]
    if len(given) != 1 or (given != ["to"] and not values.keys().isdisjoint({"from", "step"})):
        raise Mismatch("it needs 'to' (with 'from' and 'step'), or 'values', or 'lines', and just one of them")
    if isinstance(lines := values.get("lines"), tuple):
        return Array(range(1, len(lines) + 1), at_most, lines)
    if isinstance(listed := values.get("values"), tuple):
        return Array(_distinct(listed), at_most)
    first, last, step = (values.get(name, 1) for name in ("from", "to", "step"))
    assert isinstance(first, int) and isinstance(last, int) and isinstance(step, int)
    if last < first:
        raise Mismatch(f"from {first} to {last} there is nothing")
    indices = range(first, last + 1, step)
    _check_number(len(indices))
    return Array(indices, at_most)


def _how(value: object) -> str:
    """How an array is written that was said in the manner of others; "" if that cannot be told."""
    if type(value) is int and value > 0:
        return f"write {{to: {value}}} for so many jobs, [{value}] for that index alone"
    if not isinstance(value, str):
        return ""
    if match := _RANGE.fullmatch(value.strip()):
        step, most = match[3] and f", step: {match[3]}", match[4] and f", at_most: {match[4]}"
        return f"write {{from: {match[1]}, to: {match[2]}{step or ''}{most or ''}}}"
    return f"write [{value}]" if re.fullmatch(r"[0-9]+(, ?[0-9]+)*", value[:200]) else ""


def _distinct(indices: Sequence[int]) -> Sequence[int]:
    _check_number(len(indices))
    seen: set[int] = set()
    for index in indices:
        if index in seen:
            raise Mismatch(f"the index {index} is given twice")
        seen.add(index)
    return indices


def _check_number(jobs: int) -> None:
    if jobs > MOST:
        raise Mismatch(f"these are {jobs} jobs, an array has at most {MOST}", "make several arrays of it")


_schema = {**schema_of(KEYS)}
array = Type(_read, {"anyOf": [_schema, _indices.schema]})


def check_text(spec: Spec, made: Array) -> str:
    """What is wrong with the placeholders in a job of that array; "" if nothing is."""
    longest = max((len(line.encode("utf-8", "surrogateescape")) for line in made.lines), default=0)
    # A file has thousands of arrays, of a million jobs each: a range is not gone through.
    highest = made.indices[-1] if isinstance(made.indices, range) else max(made.indices)
    grows = {"line": longest - len("{line}"), "index": len(str(highest)) - len("{index}")}
    shells = [spec.command, *([spec.requires.command] if spec.requires is not None else [])]
    if made.lines and any(isinstance(text, str) and "line" in placeholders(text) for text in shells):
        return 'in a text for the shell write "$TASKGATE_ARRAY_LINE" for {line}: the line is not quoted there'
    for what, text in texts(spec):
        found = placeholders(text)
        if not made.lines and "line" in found:
            return "{line} stands for nothing: its array has no lines; write {{line}} for just that"
        most = LONGEST_PATH if what == "cwd" else MAX_ARGUMENT
        if found and len(text.encode("utf-8", "surrogateescape")) + sum(grows[name] for name in found) > most:
            return f"{what} becomes longer than {most} bytes with what its placeholders stand for"
    return ""
