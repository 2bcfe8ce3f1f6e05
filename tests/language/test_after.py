"""The key ``after``: which jobs are meant, in which order they come, and what is refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.after import Condition, When, circle
from taskgated.core.array import awaited, templates
from taskgated.core.job import Spec
from taskgated.language import after
from taskgated.language.config import from_values
from taskgated.language.jobfile import read_file
from taskgated.language.keys import DEFAULTS
from tests.env.jobfile import read, refused, round_trips

OVER, FAILED = When.OVER, When.FAILED


def conditions(text: str) -> tuple[Condition, ...]:
    (spec,) = read(f"name: own\ncommand: x\nafter: {text}\n")
    assert round_trips(spec)
    return spec.after


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("extract", (Condition("extract"),)),
        ("17", (Condition(17),)),
        ("'17'", (Condition("17"),)),
        ("{job: load, when: over}", (Condition("load", OVER),)),
        ("[extract, {job: 17, when: failed}]", (Condition("extract"), Condition(17, FAILED))),
        ("[a, a, {job: a, when: over}]", (Condition("a"), Condition("a", OVER))),
        ("nightly report", (Condition("nightly report"),)),
    ],
)
def test_names_and_ids_one_or_several(text: str, meant: tuple[Condition, ...]) -> None:
    assert conditions(text) == meant


def test_the_same_in_a_script_and_in_json() -> None:
    (script,) = read("#!/bin/sh\n#TASKGATE after: [extract, 17]\ntrue\n", "s")
    (spec,) = read(json.dumps({"command": "x", "after": ["extract", 17]}), "x.json")
    assert script.after == spec.after == (Condition("extract"), Condition(17))


def named(specs: list[Spec]) -> dict[str, list[str | int | None]]:
    """By name: the names of those in the file that a job waits for; None: it is not of this file."""
    return {spec.name: [None if one.part is None else specs[one.part].name for one in spec.after] for spec in specs}


def test_jobs_of_a_file_come_behind_those_that_they_wait_for_and_else_as_they_are() -> None:
    specs = read(
        "- {command: x, name: d, after: [b, c]}\n- {command: x, name: b, after: a}\n- {command: x, name: e}\n"
        "- {command: x, name: c, after: [a, elsewhere]}\n- {command: x, name: a}\n"
    )
    assert [spec.name for spec in specs] == ["e", "a", "b", "c", "d"]
    assert named(specs) == {"e": [], "a": [], "b": ["a"], "c": ["a", None], "d": ["b", "c"]}
    assert all(round_trips(spec) for spec in specs)


def test_of_several_jobs_of_a_name_the_last_is_meant() -> None:
    first, last, waits = read("- {command: '1', name: a}\n- {command: '2', name: a}\n- {command: x, after: a}\n")
    assert waits.after == (Condition("a", part=1),)
    assert (first.command, last.command) == ("1", "2")
    specs = read("- {command: '1', name: a, after: b}\n- {command: '2', name: b}\n- {command: '3', name: b}\n")
    assert [(spec.command, spec.after) for spec in specs] == [
        ("2", ()), ("3", ()), ("1", (Condition("b", part=1),)),
    ]  # fmt: skip


def test_a_name_that_is_not_said_is_that_of_the_program() -> None:
    _, waits = read("- command: /opt/extract -v\n- {command: x, after: extract}\n")
    assert waits.after == (Condition("extract", part=0),)


def test_an_array_is_meant_by_its_name_as_it_is_written() -> None:
    specs = read(
        "- {command: x, name: end, after: 'part {index}'}\n"
        "- {command: x, name: 'part {index}', array: {to: 3}, after: a}\n"
        "- {command: x, name: more, array: {to: 2}, after: [end, a]}\n- {command: x, name: a}\n"
    )
    assert [spec.name for spec in specs] == ["a", "part 1", "part 2", "part 3", "end", "more", "more"]
    assert [[one.part for one in spec.after] for spec in specs] == [[], [0], [0], [0], [1], [4, 0], [4, 0]]


def test_which_parts_others_wait_for_is_known_without_making_them() -> None:
    text = "- {command: x, name: a, array: {to: 1000000}}\n- {command: x, after: [a, z]}\n- {command: x, after: a}\n"
    specs = read_file("x.yaml", text.encode(), "default", from_values({}))
    assert awaited(templates(specs)) == {0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command: x\nafter:\n", "x.yaml:2:7: after: expected a job's name, its id, or a mapping such as "
         "{job: NAME, when: over}, not nothing"),
        ("command: x\nafter: []\n", "x.yaml:2:8: after: is empty"),
        ("command: x\nafter: [a, true]\n", "x.yaml:2:12: after: expected a job's name, its id, or a mapping such as "
         "{job: NAME, when: over}, not true or false"),
        ("command: x\nafter: 1.5\n", "x.yaml:2:8: after: expected a job's name, its id, or a mapping such as "
         "{job: NAME, when: over}, not a number '1.5'"),
        ("command: x\nafter: ' '\n", "x.yaml:2:8: after: a job's name is not empty"),
        ("command: x\nafter: [0]\n",
         "x.yaml:2:9: after: 0 is no id of a job: ids count from 1 (put it in quotes if it is a name)"),
        ("command: x\nafter: -7\n",
         "x.yaml:2:8: after: -7 is no id of a job: ids count from 1 (put it in quotes if it is a name)"),
        (f"command: x\nafter: {'n' * 201}\n", "x.yaml:2:8: after: longer than 200 characters"),
        ("command: x\nafter: {when: over}\n", "x.yaml:2:8: 'job' is missing"),
        ("command: x\nafter: {job: a, when: ok}\n",
         "x.yaml:2:23: when: expected one of succeeded, failed, over, not text 'ok'"),
        ("command: x\nafter: {job: a, wen: over}\n", "x.yaml:2:17: unknown key 'wen' (did you mean 'when'?)"),
        ("command: x\nafter: [a, {job: a, when: failed}]\n",
         "x.yaml:2:12: after: 'a' cannot have both succeeded and failed (when: over is either of them)"),
        ("command: x\nname: a\nafter: [b, a]\n",
         "x.yaml:3:12: after: 'a' would wait for itself (key: has jobs of one name run one at a time)"),
        ("- {command: x, name: a, after: c}\n- {command: x, name: b, after: [z, a]}\n"
         "- {command: x, name: c, after: b}\n",
         "x.yaml:1:32: after: these would wait for each other: 'a' after 'c' after 'b' after 'a'"),
        ("command: x\nname: 'p{index}'\narray: {to: 3}\nafter: p{index}\n",
         "x.yaml:4:8: after: 'p{index}' would wait for itself (key: has jobs of one name run one at a time)"),
        ("command: x\nafter: a\nafter_timeout: ever\n",
         "x.yaml:3:16: after_timeout: expected a duration such as 90s or 2h 30min, not 'ever'"),
        ("command: x\ndepends_on: a\n", "x.yaml:2:1: unknown key 'depends_on' (did you mean 'after'?)"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, said: str) -> None:
    assert refused(text) == [said]


def test_a_script_cannot_wait_for_itself() -> None:
    assert refused("#!/bin/sh\n#TASKGATE after: night\n", "night.sh") == [
        "night.sh:2:18: after: 'night' would wait for itself (key: has jobs of one name run one at a time)"
    ]


@pytest.mark.parametrize(
    ("more", "twice"),
    [("priority: 101", 0), ("nonsense: 1", 0), ("name: b", 1)],
)
def test_a_circle_is_told_beside_what_else_is_wrong(more: str, twice: int) -> None:
    said = refused(f"- {{name: a, after: b, command: x}}\n- {{name: b, after: a, command: x, {more}}}\n")
    assert len(said) == 2 and sum("given twice" in one for one in said) == twice
    assert sum("these would wait for each other: 'a' after 'b' after 'a'" in one for one in said) == 1


@pytest.mark.parametrize("broken", ["{name: [a], after: a, command: x}", "{command: x, after: [a, {}]}", "3"])
def test_a_job_whose_name_or_conditions_are_wrong_is_in_no_circle(broken: str) -> None:
    said = refused(f"- {{name: a, command: x}}\n- {broken}\n")
    assert said and not any("wait for" in one for one in said)


@pytest.mark.parametrize("after", ["'119'", "[a, '119']", "{job: '119', when: over}"])
def test_an_id_in_quotes_is_noted(after: str) -> None:
    (spec,) = read(f"command: x\nafter: {after}\n")
    assert spec.after[-1].job == "119"
    assert spec.notes == ("line 2: after: '119' in quotes is a name; the job with that id is 119 without them",)
    assert read("command: x\nafter: [119, 7a]\n")[0].notes == ()


def test_of_a_long_circle_some_are_named() -> None:
    jobs = [{"command": "x", "name": f"n{n}", "after": f"n{(n + 1) % 20}"} for n in range(20)]
    (said,) = refused(json.dumps(jobs, indent=1), "x.json")
    assert said.endswith(" 'n6' after 'n7' after 12 more after 'n0'")
    assert said.startswith("x.json:5:12: ")


def test_a_file_has_only_so_many_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after, "MOST", 10)
    text = "- {command: x, array: {to: 4}, after: [a, b]}\n- {command: x, after: [a, b, c]}\n"
    (said,) = refused(text)
    assert said.startswith(
        "x.yaml:2:24: after: the jobs until here have 11 conditions, and those of a file may have 10"
    )
    assert len(read(text.replace(", c]", "]"))) == 5


def test_the_timeout_is_the_jobs_or_its_queues_or_that_of_all() -> None:
    config = from_values({"after_timeout": 60.0, "queues": {"etl": {"defaults": {"after_timeout": 5.0}}, "q": {}}})

    def timeout(queue: str, more: str = "after: a") -> float:
        (spec,) = read_file("x.yaml", f"command: x\n{more}\n".encode(), queue, config)
        return spec.after_timeout

    assert [timeout(queue) for queue in ("etl", "q", "nobody")] == [5.0, 60.0, 60.0]
    assert timeout("etl", "after: a\nafter_timeout: 2min") == 120.0
    assert timeout("etl", "priority: 5") == Spec().after_timeout, "what it has no use for is not kept with it"
    (spec,) = read("command: x\nafter_timeout: 1h\n")
    assert spec.notes == ("line 2: after_timeout: there is no other job that it waits for (after)",)
    assert spec.after_timeout == Spec().after_timeout
    assert "after" not in {key.name for key in DEFAULTS}


def test_many_jobs_are_read_quickly() -> None:
    chain = [{"command": "x", "name": f"n{n}", "after": [f"n{n + 1}", "far"]} for n in range(8000)]
    started = time.monotonic()
    specs = read(json.dumps(chain), "x.json")
    assert time.monotonic() - started < 20.0
    assert [spec.name for spec in specs] == [f"n{n}" for n in reversed(range(8000))]


@given(st.lists(st.tuples(st.integers(1, 3), st.sets(st.integers(0, 7), max_size=3)), min_size=1, max_size=8))
def test_every_part_that_is_named_is_the_one_and_comes_before(jobs: list[tuple[int, set[int]]]) -> None:
    text = [
        {"command": "x", "name": f"n{n}", "array": {"to": count}, "after": [f"n{other}" for other in sorted(others)]}
        for n, (count, others) in enumerate(jobs)
    ]
    for job in text:
        if not job["after"]:
            del job["after"]
    inside = [[other for other in others if other < len(jobs)] for _, others in jobs]
    if circle(inside):
        assert "would wait for" in refused(json.dumps(text), "x.json")[0]
        return
    specs = read(json.dumps(text), "x.json")
    assert sum(count for count, _ in jobs) == len(specs)
    firsts = {spec.name: number for number, spec in reversed(list(enumerate(specs)))}
    assert all(specs[number].array.place == 0 for number in firsts.values())
    for number, spec in enumerate(specs):
        for one in spec.after:
            if one.job in firsts:
                assert one.part == firsts[str(one.job)] < number
            else:
                assert one.part is None
