"""The verbs of a job's life: each as the state machine allows it, or an error that changed nothing."""

from __future__ import annotations

import pytest

from taskgated.core.job import Clock, Outcome, Result
from taskgated.core.lifecycle import Failure, Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition, NoSuchJob
from taskgated.store.contract import Store
from taskgated.store.placement import Placement, claimed, here
from tests.store.jobs import SUCCEED, add, addition, fetch, first, run, spec


def test_numbers_grow_by_one(store: Store) -> None:
    (job,) = add(store, spec())
    with pytest.raises(IllegalTransition):
        store.start(job, 2, here("{}"))
    store.start(job, 1, here("{}"))
    with pytest.raises(IllegalTransition):
        store.start(job, 2, here("{}"))
    store.finish(Outcome(job, 1, Result.FAILED), Verdict(Verb.REQUEUE))
    with pytest.raises(IllegalTransition):
        store.start(job, 1, here("{}"))
    store.start(job, 2, here("{}"))


def test_a_late_report_changes_nothing(store: Store) -> None:
    (job,) = add(store, spec())
    run(store, job, 1, Verdict(Verb.REQUEUE), result=Result.LOST)
    store.start(job, 2, here("{}"))
    before = store.show(job)
    with pytest.raises(IllegalTransition, match="attempt 1"):
        store.finish(Outcome(job, 1, Result.SUCCEEDED), SUCCEED)
    assert store.show(job) == before


def test_an_attempt_ends_once(store: Store) -> None:
    (job,) = add(store, spec())
    run(store, job)
    with pytest.raises(IllegalTransition, match="succeeded"):
        store.finish(Outcome(job, 1, Result.FAILED), Verdict(Verb.FAIL))


def test_everything_of_an_outcome_is_kept(store: Store) -> None:
    (job,) = add(store, spec())
    store.start(job, 1, here("W"))
    store.finish(
        Outcome(job, 1, Result.FAILED, None, 9, 100, 200, 1.5, 0.5, 4096, 77, 7, "why"),
        Verdict(Verb.RETRY, 60.0, 1, 0, Failure(1, 2)),
    )
    details = store.show(job)
    (attempt,) = details.attempts
    assert (attempt.signal, attempt.started, attempt.finished) == (9, 100, 200)
    assert (attempt.user, attempt.system, attempt.max_rss) == (1.5, 0.5, 4096)
    assert (attempt.output, attempt.omitted, attempt.message, attempt.placement) == (77, 7, "why", here("W"))
    assert details.record.state is State.QUEUED
    assert details.record.finished is None
    assert details.job.failures == 1
    assert details.job.due is not None
    assert details.job.due_clock is Clock.STEADY


def test_before(store: Store) -> None:
    a, b = add(store, spec(), spec())
    store.start(a, 1, Placement("host b", "its third", "W"))
    store.cancel(a)
    (entry,) = store.before()
    assert (entry.job.id, entry.job.attempt, entry.cancelled) == (a, 1, True)
    assert entry.placement == Placement("host b", "its third", "W")
    (attempt,) = store.show(a).attempts
    assert attempt.placement == entry.placement
    assert b not in [e.job.id for e in store.before()]


def test_hold_and_release(store: Store) -> None:
    (job,) = add(store, spec(priority=3))
    store.hold(job)
    assert fetch(store, {"default": 1}) == []
    assert dict(store.release(job)) == first(store, job)
    assert fetch(store, {"default": 1})


def test_cancel(store: Store) -> None:
    queued, running, over = add(store, spec(), spec(), spec())
    run(store, over)
    store.start(running, 1, here("{}"))
    assert store.cancel(queued).state is State.CANCELLED
    assert store.cancel(running).state is State.RUNNING
    assert store.show(running).cancelled
    with pytest.raises(IllegalTransition):
        store.cancel(over)
    with pytest.raises(NoSuchJob):
        store.cancel(99)


def test_counts(store: Store) -> None:
    a, _, c = add(store, spec(), spec(), spec(queue="q"))
    run(store, a)
    store.start(c, 1, here("{}"))
    assert store.counts() == {"default": {State.QUEUED: 1, State.SUCCEEDED: 1}, "q": {State.RUNNING: 1}}


@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.REQUEUE])
def test_it_holds_whatever_was_decided_before_it_was_known(store: Store, verb: Verb) -> None:
    (job,) = store.add([addition("c", spec(), keep=True)]).jobs
    store.start(job, 1, here("{}"))
    assert store.cancel(job).state is State.RUNNING
    ended = store.finish(Outcome(job, 1, Result.FAILED, exit_code=1), Verdict(verb, 5.0, 1, 0, Failure(1, 3)))
    assert (ended.state, ended.let_go) == (State.CANCELLED, claimed("c"))
    record = store.show(job).record
    assert (record.state, record.reason) == (State.CANCELLED, "cancelled while it was running")
    assert record.finished is not None
    assert record.due is None
    assert store.wake().coming.steady is None
    assert fetch(store, {"default": 5}) == []


def test_who_had_succeeded_has_succeeded(store: Store) -> None:
    (job,) = add(store, spec())
    store.start(job, 1, here("{}"))
    store.cancel(job)
    assert store.finish(Outcome(job, 1, Result.SUCCEEDED, exit_code=0), SUCCEED).state is State.SUCCEEDED
