"""A limit that adjusts itself grows with good ends and halves on overload, and nothing else moves it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.adaptive import Adaptive, Height, Overload, Says, revived, says
from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict

GOOD, TOO_MANY, NOTHING = Says.GOOD, Says.TOO_MANY, Says.NOTHING


def test_it_grows_by_one_after_as_many_good_ends_as_it_is_high() -> None:
    height, seen = Height(), []
    for job in range(1 + 2 + 3 + 4):
        height = height.ended(Adaptive(), 16, job, GOOD, [])
        seen.append(height.limit)
    assert seen == [2, 2, 3, 3, 3, 4, 4, 4, 4, 5]


def test_it_halves_once_for_all_that_started_before() -> None:
    running = [1, 2, 3, 4, 5, 6, 7, 8]
    height = Height(limit=8, good=5)
    for job in (1, 2, 3):
        running.remove(job)
        height = height.ended(Adaptive(), 16, job, TOO_MANY, running)
    assert (height.limit, height.good) == (4, 0)
    running.remove(4)
    assert height.ended(Adaptive(), 16, 4, GOOD, running).good == 0, "nor does a good end of before count"
    height = height.ended(Adaptive(), 16, 99, TOO_MANY, running)
    assert height.limit == 2, "one that started since halves it again"
    assert set(height.older) == set(running)


def test_one_that_was_put_back_and_starts_again_is_new() -> None:
    height = Height(8).ended(Adaptive(), 16, 1, TOO_MANY, [2])
    height = height.ended(Adaptive(), 16, 2, NOTHING, [])
    assert height.ended(Adaptive(), 16, 2, TOO_MANY, []).limit == 2


@given(
    st.integers(1, 5),
    st.none() | st.integers(5, 12),
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(Says)), max_size=80),
)
def test_it_stays_within_its_bounds_and_nothing_else_moves_it(
    least: int, most: int | None, workers: int, steps: list[tuple[int, Says]]
) -> None:
    adaptive = Adaptive(least, most)
    height, running, new = Height(), list[int](), 0
    started: dict[int, int] = {}  # in which round
    round_, row = 0, 0
    for number, what in steps:
        limit = adaptive.within(height.limit, workers)
        while len(running) < limit:
            new += 1
            running.append(new)
            started[new] = round_
        job = running.pop(number % len(running))
        after = height.ended(adaptive, workers, job, what, running)
        counts = started[job] == round_
        if not counts or what is NOTHING:
            assert after.limit == limit
        elif what is TOO_MANY:
            assert after.limit == adaptive.within(limit // 2, workers)
            round_, row = round_ + 1, 0
        else:
            row += 1
            assert after.limit == (adaptive.within(limit + 1, workers) if row >= limit else limit)
            row = 0 if row >= limit else row
        assert least <= after.limit <= max(least, most or workers)
        assert set(after.older) <= set(running)
        height = revived(json.loads(json.dumps(asdict(after))))
        assert height == after


@pytest.mark.parametrize(
    ("result", "exit_code", "overloaded", "verb", "what"),
    [
        (Result.SUCCEEDED, 0, False, Verb.SUCCEED, GOOD),
        (Result.SUCCEEDED, 0, True, Verb.SUCCEED, TOO_MANY),
        (Result.FAILED, 75, False, Verb.RETRY, TOO_MANY),
        (Result.FAILED, 75, False, Verb.CANCEL, NOTHING),
        (Result.FAILED, 1, False, Verb.FAIL, NOTHING),
        (Result.FAILED, 1, True, Verb.FAIL, TOO_MANY),
        (Result.TIMED_OUT, None, True, Verb.FAIL, TOO_MANY),
        (Result.KILLED, None, True, Verb.REQUEUE, NOTHING),
        (Result.LOST, None, False, Verb.REQUEUE, NOTHING),
    ],
)
def test_what_an_end_says(result: Result, exit_code: int | None, overloaded: bool, verb: Verb, what: Says) -> None:
    outcome = Outcome(1, 1, result, exit_code=exit_code, overloaded=overloaded)
    assert says(Overload(), outcome, Verdict(verb)) is what


@pytest.mark.parametrize("known", [None, [], {"limit": "x"}, {"limit": -1}, {"older": [-1]}, {"other": 1}])
def test_what_is_no_memory_is_refused(known: object) -> None:
    with pytest.raises(ValueError):
        revived(known)
