"""The key ``after``: the jobs after which one runs, by name or id. Those of the same file are found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from taskgated.core.after import Condition, When, circle, in_order, is_id
from taskgated.core.array import Array
from taskgated.core.job import Spec
from taskgated.language.declare import Check, Key, Mismatch, Type, expected, read_section, schema_of
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.source import Source
from taskgated.language.types import choice, text
from taskgated.text import quoted

MOST = 1_000_000
"""Conditions of all jobs of one file; in an array each job has its own."""
HIGHEST_ID = 2**63 - 1
SHOWN = 8
"""Jobs of a circle that are named."""

Made = tuple[Spec, Array | None]

_name = text(what="a job's name, or its id")


def _read_other(node: Node, check: Check) -> str | int:
    if type(node.value) is not int:
        if isinstance(name := _name.read(node, check), str) and not name.strip():
            raise Mismatch("a job's name is not empty")
        return name
    if not 1 <= node.value <= HIGHEST_ID:
        raise Mismatch(f"{node.value} is no id of a job: ids count from 1", "put it in quotes if it is a name")
    return node.value


_other: Type[str | int] = Type(
    _read_other, {"anyOf": [{**_name.schema, "pattern": "\\S"}, {"type": "integer", "minimum": 1}]}
)

KEYS = (
    Key("job", _other, "a job's name, or its id; a number in quotes is a name"),
    Key("when", choice(*When), "how that one must have ended; over: in any way", default=When.SUCCEEDED),
)
_schema = {**schema_of(KEYS), "required": ["job"]}


def _read_one(node: Node, check: Check) -> Condition:
    if not isinstance(node.value, Entries):
        if not isinstance(node.value, str | int) or isinstance(node.value, bool):
            raise expected("a job's name, its id, or a mapping such as {job: NAME, when: over}", node)
        return Condition(_read_other(node, check))
    before = len(check.problems)
    values = read_section(node, check, KEYS)
    if "job" not in node.value:
        check.wrong(node, "'job' is missing")
    if len(check.problems) > before:
        return Condition()
    job, when = values["job"], values.get("when", When.SUCCEEDED)
    assert isinstance(job, str | int) and isinstance(when, str)
    return Condition(job, When(when))


def _read(node: Node, check: Check) -> tuple[Condition, ...]:
    if not isinstance(node.value, list):
        return (_read_one(node, check),)
    if not node.value:
        raise Mismatch("is empty")
    found = []
    for one in node.value:
        try:
            found.append(_read_one(one, check))
        except Mismatch as wrong:
            check.wrong(one, f"after: {wrong}", wrong.hint)
    return tuple(found)


def _read_and_note(node: Node, check: Check) -> tuple[Condition, ...]:
    found = _read(node, check)
    if quoted_id := next((one.job for one in found if isinstance(one.job, str) and is_id(one.job)), ""):
        check.note(
            node, f"after: '{quoted_id}' in quotes is a name; the job with that id is {quoted_id} without them"
        )
    return found


_one = {"anyOf": [*_other.schema["anyOf"], _schema]}
after = Type(_read_and_note, {"anyOf": [*_one["anyOf"], {"type": "array", "items": _one, "minItems": 1}]})


def stand_in(node: Node) -> Made:
    """What is known of a job that something is wrong with: so much that what is wrong with the others is found. In a
    circle it would be told as the job that it is; who has no readable name is not meant by anybody."""
    silent = Check(Source.of("", ""))
    name, conditions = node_at(node, "name").value, node_at(node, "after")
    try:
        found = () if conditions is node else _read(conditions, silent)
    except Mismatch:
        found = ()
    named = name if isinstance(name, str) and isinstance(node.value, Entries) and "name" in node.value else ""
    return Spec(name=named, after=() if silent.problems else found), None


def linked(made: Sequence[Made], nodes: Sequence[Node], check: Check) -> Sequence[Made]:
    """The jobs of a file, each of which knows those of the same file that it waits for, and comes behind them.
    ``nodes``: those of the jobs.

    A name means the last job in the file that has it, as it is written there; an array as a whole.
    """
    if not any(spec.after for spec, _ in made):
        return made
    named = {spec.name: number for number, (spec, _) in enumerate(made)}
    places = [_nodes_of(node_at(node, "after")) for node in nodes]
    waits_for = [
        [named.get(condition.job) if isinstance(condition.job, str) else None for condition in spec.after]
        for spec, _ in made
    ]
    before = len(check.problems)
    for number, (spec, _) in enumerate(made):
        _check_sense(spec.after, places[number], check)
        for other, place in zip(waits_for[number], places[number], strict=False):
            if other == number:
                hint = "key: has jobs of one name run one at a time"
                check.wrong(place, f"after: {quoted(spec.name)} would wait for itself", hint)
    _check_number(made, places, check)
    if len(check.problems) > before:
        return made
    inside = [[other for other in others if other is not None] for others in waits_for]
    if found := circle(inside):
        _refuse_circle(found, made, places[found[0]][waits_for[found[0]].index(found[1 % len(found)])], check)
        return made
    order = in_order(inside)
    lengths = [_length(made[number][1]) for number in order]
    parts = dict(zip(order, accumulate(lengths, initial=0), strict=False))
    return [_with_parts(made[number], waits_for[number], parts) for number in order]


def _with_parts(made: Made, others: Sequence[int | None], parts: Mapping[int, int]) -> Made:
    spec, array = made
    conditions = (
        condition if other is None else replace(condition, part=parts[other])
        for condition, other in zip(spec.after, others, strict=True)
    )
    return replace(spec, after=tuple(dict.fromkeys(conditions))), array


def _length(array: Array | None) -> int:
    return 1 if array is None else len(array.indices)


def _nodes_of(node: Node) -> list[Node]:
    """Where each condition stands."""
    return node.value if isinstance(node.value, list) else [node]


def _check_sense(conditions: Sequence[Condition], places: Sequence[Node], check: Check) -> None:
    """No job both succeeds and fails."""
    seen: dict[str | int, When] = {}
    for condition, place in zip(conditions, places, strict=False):
        if condition.when is not When.OVER and seen.setdefault(condition.job, condition.when) is not condition.when:
            text_ = f"after: {quoted(str(condition.job))} cannot have both {seen[condition.job]} and {condition.when}"
            check.wrong(place, text_, "when: over is either of them")


def _check_number(made: Sequence[Made], places: Sequence[Sequence[Node]], check: Check) -> None:
    total = 0
    for number, (spec, array) in enumerate(made):
        total += len(spec.after) * _length(array)
        if total > MOST:
            what = f"the jobs until here have {total} conditions, and those of a file may have {MOST}"
            check.wrong(places[number][0], f"after: {what}", "let one job wait for many, and the others for that one")
            return


def _refuse_circle(found: Sequence[int], made: Sequence[Made], place: Node, check: Check) -> None:
    names = [quoted(made[number][0].name) for number in found]
    shown = names[:SHOWN] + [f"{len(names) - SHOWN} more"] * (len(names) > SHOWN)
    check.wrong(place, f"after: these would wait for each other: {' after '.join([*shown, names[0]])}")
