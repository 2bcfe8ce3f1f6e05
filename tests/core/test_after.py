"""What the end of a job makes of those that wait for it, and which jobs of a file wait in a circle."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.after import Fate, When, circle, fate, in_order, together
from taskgated.core.state import State

Graph = list[list[int]]
OPEN = (State.QUEUED, State.HELD, State.RUNNING)
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@pytest.mark.parametrize(("when", "state"), list(itertools.product(When, OPEN)))
def test_what_is_not_over_is_waited_for(when: When, state: State) -> None:
    assert fate(when, state) is Fate.OPEN


@pytest.mark.parametrize(
    ("when", "met"),
    [(When.SUCCEEDED, {State.SUCCEEDED}), (When.FAILED, {State.FAILED}), (When.OVER, set(FINAL))],
)
def test_each_end_says_whether_it_is_the_one(when: When, met: set[State]) -> None:
    assert {state: fate(when, state) for state in FINAL} == {
        state: Fate.MET if state in met else Fate.NEVER for state in FINAL
    }


@given(st.lists(st.sampled_from(FINAL)))
def test_an_array_ended_as_the_worst_of_it(ends: list[State]) -> None:
    end = together(ends)
    assert (end is State.SUCCEEDED) == (set(ends) <= {State.SUCCEEDED})
    assert (end is State.FAILED) == (State.FAILED in ends)


@given(st.lists(st.sampled_from(FINAL)), st.lists(st.sampled_from(FINAL)))
def test_how_an_array_ended_can_be_found_piece_by_piece(some: list[State], others: list[State]) -> None:
    assert together([together(some), *others]) is together([*some, *others])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(0, 12))
    return [draw(st.lists(st.integers(0, count - 1), max_size=4)) for _ in range(count)]


def drains(graph: Graph) -> bool:
    """Whether all jobs get their turn, each after those that it waits for."""
    over: set[int] = set()
    while ready := [job for job, others in enumerate(graph) if job not in over and over.issuperset(others)]:
        over.update(ready)
    return len(over) == len(graph)


@given(graphs())
def test_there_is_a_circle_when_some_would_wait_for_ever(graph: Graph) -> None:
    found = circle(graph)
    assert drains(graph) == (not found)
    assert len(set(found)) == len(found)
    assert all(other in graph[job] for job, other in itertools.pairwise([*found, *found[:1]]))


@given(graphs())
def test_in_order_each_comes_behind_those_that_it_waits_for(graph: Graph) -> None:
    order = in_order(graph)
    assert all(order.index(other) < place for place, job in enumerate(order) for other in graph[job])
    assert (sorted(order) == list(range(len(graph)))) == (not circle(graph))


def test_what_is_in_order_stays_as_it_is() -> None:
    assert in_order([[], [0], [], [1, 2, 1]]) == [0, 1, 2, 3]
    assert in_order([[3], [], [1], []]) == [1, 2, 3, 0]


@given(st.permutations(range(9)), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_whatever_the_order_in_a_file_what_has_an_order_has_no_circle(
    order: list[int], pairs: list[tuple[int, int]]
) -> None:
    graph: Graph = [[] for _ in order]
    for one, other in pairs:
        if order[other] < order[one]:
            graph[one].append(other)
    assert circle(graph) == []


def test_a_long_chain_is_followed_to_its_end() -> None:
    chain = [[job + 1] for job in range(100_000)]
    assert circle([*chain, []]) == []
    assert len(circle([*chain, [50_000]])) == 50_001


def test_of_many_that_wait_for_one_it_is_looked_at_once() -> None:
    layers, width = 60, 60
    graph = [list(range((job // width + 1) * width, (job // width + 2) * width)) for job in range(layers * width)]
    assert circle([*graph, *([] for _ in range(width))]) == []
    assert len(circle([*graph, *([0] for _ in range(width))])) == layers + 1
