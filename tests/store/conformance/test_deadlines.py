"""What waits when its deadline has passed is cancelled, whether it has run before or not."""

from __future__ import annotations

import pytest

from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.host.clock import MICROSECONDS
from taskgated.store import contract
from taskgated.store.contract import Store
from taskgated.store.placement import here
from tests.store.jobs import add, fetch, passes, run, spec

LATE = "deadline: it was not done in time"


def test_a_job_has_its_deadline_from_its_submission(store: Store) -> None:
    (job,) = add(store, spec(deadline=60.0))
    found = store.show(job).job
    assert found.deadline is not None and found.expires == found.deadline
    assert 59 * MICROSECONDS < found.deadline - store.clock.now() <= 60 * MICROSECONDS
    store.start(job, 1, here("{}"))
    assert store.show(job).job.deadline == found.deadline, "it does not begin anew"
    assert [before.job.deadline for before in store.before()] == [found.deadline]


def test_what_has_not_started_by_then_never_does(store: Store) -> None:
    (job,) = add(store, spec(deadline=0.000001))
    assert fetch(store, {"default": 9}) == []
    with pytest.raises(IllegalTransition):
        store.start(job, 1, here("{}"))
    woken = store.wake()
    assert [id_ for id_, _, _ in woken.expired] == [job] == list(woken.late)
    record = store.show(job).record
    assert (record.state, record.reason) == (State.CANCELLED, LATE)


@pytest.mark.parametrize("verdict", [Verdict(Verb.REQUEUE), Verdict(Verb.RETRY, 1.0)])
def test_nor_what_comes_back(store: Store, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = add(store, spec(deadline=60.0, expires=30.0))
    run(store, job, 1, verdict, result=Result.FAILED)
    passes(59, monkeypatch)
    assert store.wake().expired == [], "it had started in time"
    assert [found.id for found in fetch(store, {"default": 9})] == [job]
    passes(2, monkeypatch)
    assert fetch(store, {"default": 9}) == []
    woken = store.wake()
    assert [id_ for id_, _, _ in woken.expired] == [job] == list(woken.late)
    assert (store.show(job).record.state, store.show(job).record.reason) == (State.CANCELLED, LATE)


def test_when_to_look_again(store: Store) -> None:
    first, second = add(store, spec(deadline=60.0), spec(deadline=90.0))
    deadline = store.show(first).job.deadline
    assert store.wake().coming.steady == deadline
    store.start(first, 1, here("{}"))
    assert store.wake().coming.steady == store.show(second).job.deadline, "its worker ends what runs"
    store.finish(Outcome(first, 1, Result.KILLED), Verdict(Verb.REQUEUE))
    assert store.wake().coming.steady == deadline


def test_a_held_one_is_cancelled_as_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = add(store, spec(deadline=60.0))
    store.hold(job)
    passes(61, monkeypatch)
    assert [id_ for id_, _, _ in store.wake().expired] == [job]


def test_the_earlier_of_both_decides_and_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expires, deadline = add(store, spec(expires=10.0, deadline=20.0), spec(expires=20.0, deadline=10.0))
    passes(15, monkeypatch)
    woken = store.wake()
    assert sorted(id_ for id_, _, _ in woken.expired) == [expires, deadline] and list(woken.late) == [deadline]
    assert "did not start" in store.show(expires).record.reason
    assert store.show(deadline).record.reason == LATE


def test_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "WOKEN", 3)
    add(store, *[spec(deadline=0.000001)] * 4)
    first = store.wake()
    assert len(first.expired) == len(first.late) == 3
    assert first.coming.steady is not None and first.coming.steady <= store.clock.now()
    assert len(store.wake().late) == 1
