"""A queue whose jobs fail in a row is closed, and one job says when it is open again."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.breaker import SECOND, Breaker, Circuit, good, revived, unknown
from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict

THREE = Breaker(3, within=60, pause=300)


def after(*ends: tuple[float, bool | None], breaker: Breaker = THREE) -> Circuit:
    circuit = Circuit()
    for number, (at, how) in enumerate(ends, 1):
        circuit = circuit.ended(breaker, number, how, int(at * SECOND))
    return circuit


def test_so_many_in_a_row_close_it_for_the_pause() -> None:
    assert after((1, False), (2, False)).until is None
    closed = after((1, False), (2, False), (3, False))
    assert closed.until == 303 * SECOND
    assert (closed.left(10 * SECOND), closed.left(303 * SECOND)) == (293 * SECOND, 0)


@pytest.mark.parametrize("how", [True, None])
def test_a_success_ends_a_row_and_what_says_nothing_does_not(how: bool | None) -> None:
    circuit = after((1, False), (2, False), (3, how), (4, False))
    assert (circuit.until is None) is (how is True)


def test_failures_far_apart_do_not_close_it() -> None:
    assert after((0, False), (30, False), (61, False)).until is None
    assert after((0, False), (30, False), (61, False), (62, False)).until is not None
    assert after((0, False), (30, False), (60, False)).until is not None


class TestCanary:
    closed = after((1, False), (2, False), (3, False))

    def tried(self, how: bool | None, job: int = 9) -> Circuit:
        return self.closed.starting(9, alive=False).ended(THREE, job, how, 400 * SECOND)

    def test_its_end_decides(self) -> None:
        assert self.tried(True) == Circuit()
        assert self.tried(False).until == 700 * SECOND
        undecided = self.tried(None)
        assert (undecided.until, undecided.canary) == (self.closed.until, None)

    @pytest.mark.parametrize("how", [True, False, None])
    def test_no_other_end_does(self, how: bool | None) -> None:
        assert self.tried(how, job=2) == self.closed.starting(9, alive=False)
        assert self.closed.ended(THREE, 2, how, 100 * SECOND) == self.closed

    def test_there_is_one_and_another_when_it_is_gone(self) -> None:
        canary = self.closed.starting(9, alive=False)
        assert canary.starting(10, alive=True).canary == 9
        assert canary.starting(10, alive=False).canary == 10
        assert canary.refused(9).canary is None
        assert canary.refused(8).canary == 9

    def test_there_is_none_in_an_open_queue(self) -> None:
        assert Circuit().starting(9, alive=False) == Circuit()


@pytest.mark.parametrize(
    ("result", "verb", "says"),
    [
        (Result.SUCCEEDED, Verb.SUCCEED, True),
        (Result.FAILED, Verb.FAIL, False),
        (Result.FAILED, Verb.RETRY, False),
        (Result.TIMED_OUT, Verb.RETRY, False),
        (Result.FAILED, Verb.CANCEL, None),
        (Result.KILLED, Verb.REQUEUE, None),
        (Result.LOST, Verb.FAIL, None),
        (Result.LOST, Verb.REQUEUE, None),
    ],
)
def test_what_is_cancelled_put_back_or_lost_is_no_failure(result: Result, verb: Verb, says: bool | None) -> None:
    assert good(Outcome(1, 1, result), Verdict(verb)) is says


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(0, 40), st.booleans()), max_size=60),
)
def test_it_is_closed_exactly_when_that_many_in_a_row_have_failed(
    failures: int, ends: list[tuple[bool | None, int, bool]]
) -> None:
    """Whatever happens, and over restarts; what is remembered is bounded."""
    breaker = Breaker(failures, within=60, pause=100)
    circuit, now, row = Circuit(), 0, list[int]()
    for job, (how, wait, restart) in enumerate(ends):
        now += wait * SECOND
        if circuit.until is not None:
            assert circuit.until <= now + 100 * SECOND, "no pause is longer than it may be"
            now = max(now, circuit.until)
            circuit = circuit.starting(job, alive=False)
            assert circuit.canary == job
        closed = circuit.until is not None
        circuit = circuit.ended(breaker, job, how, now)
        if closed:
            row = []
            expected = how is not True
        else:
            row = [] if how else row if how is None else [*row, now]
            expected = len(row) >= failures and now - row[-failures] <= 60 * SECOND
        assert (circuit.until is not None) is expected
        assert len(circuit.failed) <= failures
        if restart:
            written = {key: value for key, value in asdict(circuit).items() if value is not None}
            assert revived(json.loads(json.dumps(written)), breaker, now) == circuit


def test_what_is_lost_is_a_canary_first() -> None:
    assert unknown(7).left(7) == 0
    assert unknown(7).starting(3, alive=False).canary == 3


def test_a_clock_that_went_back_makes_no_pause_longer() -> None:
    assert revived({"until": 10_000 * SECOND}, THREE, 0).left(0) == 300 * SECOND


@pytest.mark.parametrize("known", [None, [], {"failed": [2, 1]}, {"until": "x"}, {"canary": 1.5}, {"other": 1}])
def test_what_is_no_memory_is_refused(known: object) -> None:
    with pytest.raises(ValueError):
        revived(known, THREE, 0)
