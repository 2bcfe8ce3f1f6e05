"""Specs as plain data: read is what this version can have written, and the types of the fields say what that is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from taskgated.core import plain
from taskgated.core.after import Condition, When
from taskgated.core.job import Interrupted, Output, Retry, Spec


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "it is no mapping"),
        ({"comand": "x", "until": 1, "name": 1}, "it has keys that this version does not know: comand, until"),
        ({"a\n": 1}, r"it has keys that this version does not know: a\n"),
        ({"retry": {"tries": 1}}, "it has keys that this version does not know: retry.tries"),
        ({"retry": {"attempts": 1.0}}, "retry.attempts has no value that it can have"),
        ({"output": {"journal": 1}}, "output.journal has no value that it can have"),
        *(({name: value}, f"{name} has no value that it can have") for name, value in (
            ("command", None), ("command", 1), ("command", ["x", 1]), ("script", None), ("name", 1), ("env", []),
            ("env", {"A": 1}), ("priority", True), ("priority", 1.0), ("priority", "1"), ("timeout", None),
            ("timeout", "1"), ("timeout", True), ("timeout", float("nan")), ("timeout", float("inf")),
            ("delay", 2**63), ("retry", []), ("retry", None), ("success_exit_codes", 1),
            ("success_exit_codes", [1.0]), ("success_exit_codes", [True]), ("not_before", 1.0),
            ("interrupted", "perhaps"), ("interrupted", None), ("interrupted", []), ("output", 1),
        )),
    ],
)  # fmt: skip
def test_what_no_spec_can_have(data: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Spec.from_json(data)
    assert str(caught.value) == said


def test_what_a_spec_can_have() -> None:
    full = Spec(
        command=("a", "b"), script="#!", file="f", name="n", queue="q", env={"A": "x"}, cwd="/tmp", priority=1,
        timeout=1.5, kill_after=2, retry=Retry(2, 3), success_exit_codes=(0, 1), not_before=7, delay=1, expires=2,
        interrupted=Interrupted.FAIL, output=Output(1, True), after=(Condition("a", When.OVER, 3), Condition(7)),
    )  # fmt: skip
    data = full.to_json()
    assert data["retry"] == {"attempts": 2, "delay": 3}
    assert data["after"] == [{"job": "a", "when": "over", "part": 3}, {"job": 7}]
    assert Spec.from_json(data) == Spec.from_json(json.loads(json.dumps(data))) == full
    assert type(Spec.from_json(json.loads(json.dumps(data))).interrupted) is Interrupted
    assert Spec.from_json({"command": "a b"}) == Spec(command="a b")
    assert Spec.from_json({}) == Spec()


def test_a_field_needs_no_more_than_its_type() -> None:
    @dataclass(frozen=True, slots=True)
    class New(Spec):
        comment: str = ""
        ports: tuple[int, ...] = ()

    new = New(comment="x", ports=(1, 2))
    assert plain.differing(new, New()) == {"comment": "x", "ports": (1, 2)}
    assert plain.read(New, {"comment": "x", "ports": [1, 2]}) == new
    assert plain.make(New, {"comment": "x", "ports": (1, 2), "interrupted": "fail"}) == New(
        comment="x", ports=(1, 2), interrupted=Interrupted.FAIL
    )
    with pytest.raises(ValueError, match=r"^comment has no value that it can have$"):
        plain.read(New, {"comment": 1})
