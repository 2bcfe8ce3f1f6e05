"""Jobs that wait until what they require is there: when it is time to look, and what follows."""

from __future__ import annotations

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Clock, Outcome, Requires, Result, Retry
from taskgated.core.lifecycle import Verb, Verdict, judge
from taskgated.core.state import State
from taskgated.host.clock import MICROSECONDS, wall
from taskgated.store import contract
from taskgated.store.contract import Addition, Store
from taskgated.store.placement import claimed, here
from tests.store.jobs import add, fetch, run, spec

REQUIRES = Requires(("test", "-e", "/x"))


def due(store: Store, *known: int, limit: int = 9) -> list[int]:
    return [job.id for job in store.looks(known, limit, limit).jobs]


def ready(store: Store) -> list[int]:
    return [job.id for job in fetch(store, {"default": 99})]


def test_it_waits_for_a_look_from_the_start_and_runs_when_that_says_so(store: Store) -> None:
    with_it, without = add(store, spec(requires=REQUIRES), spec())
    assert (due(store), ready(store)) == ([with_it], [without])
    assert store.show(with_it).job.due_clock is Clock.LOOK
    assert store.looks([], 9, 9).jobs[0].spec.requires == REQUIRES
    assert store.wake().coming.look is not None
    assert ready(store) == [without]
    store.looked(with_it, None)
    assert (due(store), ready(store)) == ([], [without])
    woken = store.wake()
    assert woken.coming.look is None and [rank[1] for rank in woken.best.values()] == [with_it]
    assert ready(store) == [with_it, without]
    store.start(with_it, 1, here("w"))


def test_a_look_that_says_no_is_made_again_later(store: Store) -> None:
    (job,) = add(store, spec(requires=REQUIRES))
    store.looked(job, 1000)
    assert due(store) == []
    after = store.looks([], 9, 9).next
    assert after is not None and abs(after - store.clock.now() - 1000 * MICROSECONDS) < 10 * MICROSECONDS
    assert store.wake().coming.look == after
    store.looked(job, 0)
    assert due(store) == [job]


def test_those_first_that_have_waited_the_longest_and_none_that_is_known(store: Store) -> None:
    jobs = add(store, *[spec(requires=REQUIRES)] * 4)
    store.looked(jobs[0], 0)
    assert due(store, limit=2) == [jobs[1], jobs[2]]
    assert due(store, jobs[1], jobs[3]) == [jobs[2], jobs[0]]


def test_each_user_has_a_turn_however_many_jobs_another_has(store: Store) -> None:
    def came(owner: str, number: int) -> list[int]:
        jobs = Addition(claimed(f"of {owner}"), 0, [spec(requires=REQUIRES)] * number, "x.yaml", owner, 1000)
        return list(store.add([jobs]).jobs)

    first, second, third = came("alice", 9), came("bob", 2), came("carol", 3)

    def looks(*known: int) -> list[int]:
        return [job.id for job in store.looks(known, 6 - len(known), 3).jobs]

    assert looks() == [*first[:3], *second, third[0]]
    assert looks(*first[:3]) == [*second, third[0]]
    assert looks(*first[:3], *second) == [third[0]]
    assert looks(*second) == [*first[:3], third[0]]
    assert looks(first[0], third[0]) == [*second, *first[1:3]]
    store.looked(second[0], 1000)
    assert looks(*first[:3]) == [second[1], *third[:2]]


def test_its_delay_comes_first(store: Store) -> None:
    soon, late, date = add(
        store,
        spec(requires=REQUIRES, delay=0.000001),
        spec(requires=REQUIRES, delay=1000),
        spec(requires=REQUIRES, not_before=wall() - 1),
    )
    assert due(store) == []
    store.wake()
    assert due(store) == [soon, date]
    assert ready(store) == []
    assert store.show(late).job.due_clock is Clock.STEADY


def test_of_many_whose_time_has_come_none_runs_unseen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "WOKEN", 3)
    jobs = add(store, *[spec(requires=REQUIRES, delay=0.000001)] * 7, spec(delay=0.000001))
    while (woken := store.wake()).coming.steady is not None:
        assert woken.coming.steady <= store.clock.now()
    assert due(store) == jobs[:7]
    assert ready(store) == [jobs[7]]


def test_a_further_attempt_is_looked_for_again(store: Store) -> None:
    (job,) = add(store, spec(requires=REQUIRES, retry=Retry(attempts=2, delay=0.0, jitter=0.0)))
    store.looked(job, None)
    store.wake()
    store.start(job, 1, here("w"))
    outcome = Outcome(job, 1, Result.FAILED, exit_code=1, started=1, finished=2)
    running = store.show(job).job
    store.finish(outcome, judge(running, outcome, cancelled=False, crashed=False, chance=0.5))
    store.wake()
    assert (due(store), ready(store)) == ([job], [])


@pytest.mark.parametrize("key", ["", "k"])
def test_so_it_is_when_it_is_put_back_or_runs_again_by_hand(store: Store, key: str) -> None:
    (job,) = add(store, spec(requires=REQUIRES, key=key))
    for attempt, again in enumerate(("put back", "by hand"), 1):
        assert (due(store), ready(store)) == ([job], []), again
        store.looked(job, None)
        store.wake()
        store.start(job, attempt, here("w"))
        verdict = Verdict(Verb.REQUEUE if again == "put back" else Verb.FAIL)
        store.finish(Outcome(job, attempt, Result.KILLED), verdict)
    store.retry(job)
    assert (due(store), ready(store)) == ([job], [])
    store.looked(job, None)
    store.wake()
    assert (due(store), ready(store)) == ([], [job])


@pytest.mark.parametrize("key", ["", "k"])
@pytest.mark.parametrize("delay", [0.0, 0.000001])
def test_while_it_waits_for_another_job_it_is_not_looked_for(store: Store, delay: float, key: str) -> None:
    other, job = add(store, spec(name="x"), spec(after=(Condition("x"),), requires=REQUIRES, delay=delay, key=key))
    woken = store.wake()
    assert (due(store), woken.coming.look) == ([], None)
    run(store, other)
    resolved = store.resolve()
    assert resolved.timed and not resolved.best
    store.wake()
    assert (due(store), ready(store)) == ([job], [])
    assert not store.show(job).job.parked, "it is behind no line until it is due"
    store.looked(job, None)
    store.wake()
    assert ready(store) == [job]


def test_one_that_does_not_wait_for_a_look_is_left_alone(store: Store) -> None:
    held, cancelled, without = add(store, spec(requires=REQUIRES), spec(requires=REQUIRES), spec(delay=1000))
    store.hold(held)
    store.cancel(cancelled)
    assert due(store) == []
    for job in (held, cancelled, without, 999):
        store.looked(job, None)
    store.wake()
    assert ready(store) == []
    assert store.show(cancelled).record.state is State.CANCELLED
    store.release(held)
    assert due(store) == [held]


def test_one_that_waits_expires(store: Store) -> None:
    (job,) = add(store, spec(requires=REQUIRES, expires=0.000001))
    assert [id_ for id_, _, _ in store.wake().expired] == [job]
    assert due(store) == []
