"""No more starts of a queue are retries than its budget lets be, and none waits for ever."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.budget import SAVED, SECOND, TRICKLE, Savings, revived, unknown

UNDER_WAY = 3
"""So many starts are decided, and not told yet, at most."""
kinds = st.sampled_from(["fresh", "retry", "retry", "tell", "tell", "refuse", "restart"])
shares = st.sampled_from([0.0, 0.01, 0.2, 1 / 3, 0.5, 1.0])


def started(savings: Savings, share: float, now: int, *, retry: bool) -> Savings:
    return savings.decided(now, retry=retry).told(share)


def written(savings: Savings) -> object:
    return json.loads(json.dumps({key: value for key, value in asdict(savings).items() if value is not None}))


@given(
    shares,
    st.lists(st.tuples(kinds, st.integers(0, 40)), max_size=200),
)
def test_no_stretch_has_more_retries_than_it_may(share: float, steps: list[tuple[str, int]]) -> None:
    savings, now = Savings(), 1000 * SECOND
    starts: list[tuple[int, bool]] = []
    under_way: list[tuple[int, bool]] = []
    for what, wait in steps:
        now += wait * SECOND
        free, again = savings.free(now)
        assert again is None or again > now
        match what:
            case "fresh" | "retry" if len(under_way) < UNDER_WAY and (free or what == "fresh"):
                savings = savings.decided(now, retry=what == "retry")
                under_way.append((now, what == "retry"))
            case "tell" if under_way:
                savings = savings.told(share)
                starts.append(under_way.pop(0))
            case "refuse" if under_way:
                savings = savings.refused(share, retry=under_way.pop(0)[1])
            case "restart":
                savings = revived(written(savings), now)
    for first in range(len(starts)):
        retries = 0
        for number, (moment, retry) in enumerate(starts[first:], 1):
            retries += retry
            seconds = (moment - starts[first][0]) / SECOND
            assert retries <= share * (number + UNDER_WAY + SAVED) + seconds / TRICKLE + 2 + 1e-9


@given(shares, st.integers(0, 10))
def test_a_retry_starts_every_so_often_whatever_is_saved(share: float, before: int) -> None:
    savings, now = Savings(), SECOND
    for _ in range(before):
        savings = started(savings, share, now, retry=bool(savings.free(now)[0]))
    free, again = savings.free(now)
    if not free:
        assert again is not None and now < again <= now + TRICKLE * SECOND
        assert savings.free(again)[0] == 1


def test_a_share_of_the_starts_may_be_retries() -> None:
    savings = started(Savings(), 0.2, 0, retry=True)  # the trickle
    retries = 0
    for _ in range(1000):
        if savings.free(SECOND)[0]:
            savings = started(savings, 0.2, SECOND, retry=True)
            retries += 1
        savings = started(savings, 0.2, SECOND, retry=False)
    assert retries / (1000 + retries) == pytest.approx(0.2, abs=0.01)


def test_starts_that_do_not_come_about_give_no_retries() -> None:
    """They are many where jobs are cancelled as they start; what they gave may be spent before that is known."""
    share, savings, retries = 0.5, Savings(), 0
    for _ in range(1000):
        savings = savings.decided(0, retry=False).decided(0, retry=False)
        if savings.free(0)[0]:
            savings = started(savings, share, 0, retry=True)
            retries += 1
        savings = savings.refused(share, retry=False).refused(share, retry=False)
    assert retries <= share * (retries + SAVED) + 2


@pytest.mark.parametrize("starts", [0, 5, 1000])
def test_a_start_that_does_not_come_about_costs_nothing(starts: int) -> None:
    savings = Savings()
    for _ in range(starts):
        savings = started(savings, 0.2, 0, retry=False)
    before = savings.free(0)[0]
    for retry in (False, True) * 3:
        savings = savings.decided(0, retry=retry).refused(0.2, retry=retry)
    assert savings.free(0)[0] == before


def test_what_is_saved_is_bounded() -> None:
    savings = Savings()
    for _ in range(10 * SAVED):
        savings = started(savings, 0.2, 0, retry=False)
    assert savings.free(0)[0] == 0.2 * SAVED + 1


def test_what_is_lost_is_as_if_one_had_just_started() -> None:
    assert unknown(5).free(5) == (0, 5 + TRICKLE * SECOND)


def test_a_clock_that_went_back_makes_nobody_wait_longer() -> None:
    assert revived({"trickled": 10**15}, 5).free(5) == (0, 5 + TRICKLE * SECOND)


@pytest.mark.parametrize("known", [None, [], {"saved": -1}, {"saved": 10**12}, {"trickled": "x"}, {"other": 1}])
def test_what_is_no_memory_is_refused(known: object) -> None:
    with pytest.raises(ValueError):
        revived(known, 0)
