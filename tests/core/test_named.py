"""Tokens, locks, keys and places of arrays: their names, what a job needs, and lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.capacity import Policy
from taskgated.core.job import Element, Job, Locks, Spec
from taskgated.core.named import (
    WHOLE,
    ArrayPlaces,
    Key,
    Lock,
    Named,
    Tokens,
    at_once,
    line_of,
    named,
    needs_of,
)
from taskgated.core.state import State

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Cs")), min_size=1, max_size=20)
owners = words.filter(lambda name: ":" not in name)  # as core/owner.py has it
capacities = st.one_of(
    st.builds(Tokens, words), st.builds(Lock, words), st.builds(Key, owners, words),
    st.builds(ArrayPlaces, st.integers(1, 2**62), st.integers(1, 10**6)),
)  # fmt: skip


def job(owner: str = "alice", array: int | None = None, **spec: object) -> Job:
    return Job(7, "q", 50, State.QUEUED, Spec(command="x", **spec), owner=owner, array=array)  # type: ignore[arg-type]


@given(capacities)
def test_a_name_stands_for_one_capacity(capacity: Named) -> None:
    assert named(capacity.name) == capacity


@pytest.mark.parametrize(
    "name", ["after", "requires", "", "token", "key", "key::y", "array:1", "array:x:2", "nothing:x"]
)
def test_other_words_are_no_names(name: str) -> None:
    assert named(name) in (None, Tokens(""))


def test_what_a_job_needs() -> None:
    assert needs_of(job()) == ()
    assert needs_of(job(tokens={"yarn": 0})) == ()
    everything = job(array=3, tokens={"yarn": 3}, locks=Locks(("a",), ("b",)), key="k")
    assert needs_of(everything) == (
        (Tokens("yarn"), 3), (Lock("a"), WHOLE), (Lock("b"), 1), (Key("alice", "k"), 1),
    )  # fmt: skip


def test_an_array_has_places_if_it_says_how_many() -> None:
    bounded = Job(7, "q", 50, State.QUEUED, Spec(command="x", array=Element(1, 0, 9, 2)), owner="alice", array=3)
    assert needs_of(bounded) == ((ArrayPlaces(3, 2), 1),)
    assert needs_of(job(array=3)) == ()


def test_a_line_is_of_those_that_are_alike_for_every_gate() -> None:
    needs = needs_of(job(tokens={"a": 1, "b": 2}))
    assert line_of("q", "1", needs) == line_of("q", "1", tuple(reversed(needs)))
    assert line_of("q", "1", ()) is None
    others = [
        line_of("r", "1", needs), line_of("q", "2", needs), line_of("q", "1", needs[:1]),
        line_of("q", "1", needs_of(job(tokens={"a": 2, "b": 2}))), line_of("q", "1", needs_of(job(key="a"))),
        line_of("q", "1", needs_of(job(locks=Locks(("a",))))),
        line_of("q", "1", needs_of(job(locks=Locks((), ("a",))))),
    ]  # fmt: skip
    assert len({line_of("q", "1", needs), *others}) == 8
    assert all(line is not None and 0 <= line < 2**63 for line in others)


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        ({"tokens": {"yarn": 3}}, 3), ({"tokens": {"yarn": 10}}, 1), ({"tokens": {"yarn": 11}}, 1),
        ({"tokens": {"nothing": 1}}, 1), ({"locks": Locks(("a",))}, 1), ({"locks": Locks((), ("a",))}, 16),
        ({"key": "k"}, 1), ({"tokens": {"yarn": 1}}, 10), ({"tokens": {"yarn": 1, "db": 1}}, 4),
    ],
)  # fmt: skip
def test_how_many_of_a_line_could_run_at_once(spec: dict[str, object], most: int) -> None:
    policy = Policy(16, 16, tokens={"yarn": 10, "db": 4})
    assert at_once(needs_of(job(**spec)), policy, limit=16) == most
