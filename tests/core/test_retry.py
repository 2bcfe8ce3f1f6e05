"""After which failures a job is tried again, and what its deadline leaves time for."""

from __future__ import annotations

import signal
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.job import Interrupted, Job, Outcome, Result, Retry, Spec
from taskgated.core.lifecycle import (
    Failure,
    LastFailure,
    NoTimeLeft,
    NotRetried,
    PastDeadline,
    Verb,
    Verdict,
    WasCancelled,
    WasInterrupted,
    judge,
)
from taskgated.core.retry import SIGNALS, TIMEOUT, backoff, ending, worth_another
from taskgated.core.state import State

TIMED_OUT = Outcome(1, 1, Result.TIMED_OUT, signal=15)
KILLED_BY = Outcome(1, 1, Result.FAILED, signal=9)
NEVER_RAN = Outcome(1, 1, Result.FAILED)


def exits(code: int) -> Outcome:
    return Outcome(1, 1, Result.FAILED, exit_code=code)


def verdict(outcome: Outcome, left: float = inf, *, cancelled: bool = False, **spec: object) -> Verdict:
    spec = {"retry": Retry(attempts=3, delay=10, jitter=0), **spec}
    job = Job(1, "default", 50, State.RUNNING, Spec(command="x", **spec), attempt=1)  # type: ignore[arg-type]
    return judge(job, outcome, cancelled=cancelled, crashed=False, chance=0.5, left=left)


@pytest.mark.parametrize(
    ("outcome", "how"),
    [
        (exits(75), 75),
        (KILLED_BY, "SIGKILL"),
        (Outcome(1, 1, Result.FAILED, signal=40), "signal 40"),
        (TIMED_OUT, TIMEOUT),
        (Outcome(1, 1, Result.TIMED_OUT, exit_code=0), TIMEOUT),
        (Outcome(1, 1, Result.TIMED_OUT), TIMEOUT),
        (NEVER_RAN, None),
    ],
)
def test_how_an_attempt_has_ended(outcome: Outcome, how: object) -> None:
    assert ending(outcome) == how


@pytest.mark.parametrize("outcome", [exits(2), KILLED_BY, TIMED_OUT, NEVER_RAN])
def test_where_nothing_is_said_any_failure_is_tried_again(outcome: Outcome) -> None:
    assert verdict(outcome).cause == Failure(1, 3)


CLASSES = st.lists(st.sampled_from([2, 75, 255, *SIGNALS, TIMEOUT]), max_size=5, unique=True).map(tuple)
ENDS = st.one_of(
    st.integers(0, 255).map(exits),
    st.sampled_from([*map(int, signal.Signals)]).map(lambda n: Outcome(1, 1, Result.FAILED, signal=n)),
    st.sampled_from([TIMED_OUT, NEVER_RAN, exits(75), exits(2)]),
)


@given(CLASSES, CLASSES, ENDS)
def test_only_what_is_named_and_never_what_is_excluded(
    on: tuple[int | str, ...], not_on: tuple[int | str, ...], outcome: Outcome
) -> None:
    retry = Retry(attempts=3, on=on, not_on=not_on)
    how = ending(outcome)
    again = verdict(outcome, retry=retry)
    assert worth_another(retry, outcome) == (again.verb is Verb.RETRY)
    if again.verb is Verb.RETRY:
        assert how not in not_on and (not on or how in on)
    else:
        assert again.cause == NotRetried(how) and (how in not_on or how not in on)
        assert again.failures == 1 and again.delay is None


def test_the_last_failure_is_told_as_that_whatever_it_was() -> None:
    last = verdict(exits(2), retry=Retry(attempts=1, not_on=(2,)))
    assert last.cause == LastFailure("")


def test_a_process_can_end_by_each_signal_that_may_be_named() -> None:
    for name in SIGNALS:
        assert signal.Signals[name].name == name
    assert {"SIGKILL", "SIGSEGV", "SIGTERM"} <= set(SIGNALS)
    assert not {"SIGCHLD", "SIGSTOP", "SIGCONT", "SIGRTMIN"} & set(SIGNALS)


# -- deadlines -----------------------------------------------------------------------------------


def test_an_attempt_that_its_deadline_ended_is_the_last() -> None:
    assert verdict(TIMED_OUT, left=0).cause == PastDeadline()
    assert verdict(TIMED_OUT, left=0).verb is Verb.FAIL
    assert verdict(TIMED_OUT, left=100).cause == Failure(1, 3), "its timeout ended it"


def test_no_attempt_is_promised_for_which_no_time_is_left() -> None:
    assert verdict(exits(1), left=10.1).cause == Failure(1, 3)
    assert verdict(exits(1), left=10).cause == NoTimeLeft(10)
    assert verdict(exits(1), left=-5).cause == NoTimeLeft(10)
    assert verdict(exits(1), left=10).verb is Verb.FAIL


@pytest.mark.parametrize("result", [Result.KILLED, Result.LOST])
def test_what_would_go_back_to_its_queue_does_not_when_its_deadline_has_passed(result: Result) -> None:
    assert verdict(Outcome(1, 1, result), left=1).verb is Verb.REQUEUE
    assert verdict(Outcome(1, 1, result), left=0) == Verdict(Verb.FAIL, cause=PastDeadline())


def test_what_may_not_run_twice_is_not_put_back_once_it_has_begun() -> None:
    """Whoever ended it: a stop of the gate, a window that closed, a worker that did not answer."""
    killed = Outcome(1, 1, Result.KILLED, started=1, finished=2)
    once = {"interrupted": Interrupted.FAIL, "retry": Retry(attempts=3)}
    assert verdict(killed, **once) == Verdict(Verb.FAIL, cause=WasInterrupted(Interrupted.FAIL))
    assert verdict(replace(killed, begun=False), **once).verb is Verb.REQUEUE
    assert verdict(killed, cancelled=True, **once).verb is Verb.CANCEL
    assert verdict(killed).verb is Verb.REQUEUE


@pytest.mark.parametrize(("started", "begun"), [(None, False), (5, True)])
def test_a_worker_says_of_what_it_ended_whether_that_had_begun(started: int | None, begun: bool) -> None:
    said = Outcome(1, 1, Result.KILLED, started=started, begun=begun)
    assert "begun" not in said.to_json(), "earlier versions do not know it"
    assert Outcome.from_json(said.to_json()) == said


def test_what_decides_before_the_deadline_does() -> None:
    assert verdict(Outcome(1, 1, Result.SUCCEEDED), left=-1).verb is Verb.SUCCEED
    assert verdict(TIMED_OUT, left=-1, cancelled=True).cause == WasCancelled()
    lost = verdict(Outcome(1, 1, Result.LOST), left=-1, interrupted=Interrupted.FAIL)
    assert lost.cause == WasInterrupted(Interrupted.FAIL)


@given(st.sampled_from(Result), st.floats(-100, 100), st.integers(1, 5), st.booleans())
def test_nothing_runs_again_after_its_deadline(result: Result, left: float, attempts: int, cancelled: bool) -> None:
    retry = Retry(attempts=attempts, delay=10, jitter=0)
    found = verdict(Outcome(1, 1, result), left=left, retry=retry, cancelled=cancelled)
    if found.verb in (Verb.RETRY, Verb.REQUEUE):
        assert left > (found.delay or 0)
    if found.verb is Verb.RETRY:
        assert found.delay == backoff(retry, 1, 0.5)
