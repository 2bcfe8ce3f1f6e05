"""What people do with single jobs: retry, move and prioritize. (Hold and release are in ``test_transitions``.)"""

from __future__ import annotations

import pytest

from taskgated.core.job import Element, Outcome, Result
from taskgated.core.lifecycle import Failure, Verb, Verdict
from taskgated.core.named import Retries
from taskgated.core.state import State
from taskgated.errors import IllegalTransition, NoSuchJob
from taskgated.store.contract import FIRST_OVER, Filter, Store
from taskgated.store.placement import claimed, here
from taskgated.store.waiting import Parking
from tests.store.jobs import OWNER, add, addition, fetch, first, passes, run, spec

FAIL = Verdict(Verb.FAIL, failures=2, crashes=1)


def failed(store: Store, **values: object) -> int:
    (job,) = add(store, spec(**values))
    run(store, job, verdict=FAIL, result=Result.FAILED, exit_code=3)
    return job


class TestRetry:
    def test_it_is_as_if_it_had_never_been_tried(self, store: Store) -> None:
        job = failed(store)
        store.note_output([job], removed=True)
        assert dict(store.retry(job)) == first(store, job)
        details = store.show(job)
        assert (details.job.failures, details.job.crashes, details.job.attempt) == (0, 0, 1)
        assert (details.job.due, details.job.expires, details.output_removed) == (None, None, None)
        record = details.record
        assert (record.state, record.reason, record.finished) == (State.QUEUED, "to run again, by hand", None)
        assert [attempt.result for attempt in details.attempts] == [Result.FAILED]
        assert [job.id for job in fetch(store, {"default": 9})] == [job]
        with pytest.raises(IllegalTransition):
            store.start(job, 1, here("{}"))
        run(store, job, 2)
        assert store.show(job).record.state is State.SUCCEEDED

    def test_of_one_that_waits_for_its_next_attempt_the_pause_is_over(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain, needy, late = add(store, spec(), spec(tokens={"yarn": 1}), spec(delay=3600.0))
        for job in (plain, needy):
            verdict = Verdict(Verb.RETRY, 3600.0, 1, 0, Failure(1, 3))
            run(store, job, verdict=verdict, result=Result.FAILED, exit_code=3)
            store.retry(job)
            assert store.show(job).record.reason == "its pause was ended by hand"
        passes(1, monkeypatch)
        store.wake()
        assert [job.id for job in fetch(store, {"default": 9})] == [plain, needy]
        assert store.show(plain).job.failures == 1, "what went wrong counts as before"
        for job in (plain, late):
            with pytest.raises(IllegalTransition, match="queued"):
                store.retry(job)

    def test_a_cancelled_one_as_well_whose_time_had_not_come(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later, expired, again = add(store, spec(delay=3600.0), spec(expires=1.0), spec(), claim="a")
        store.cancel(later)
        store.start(again, 1, here("{}"))
        store.cancel(again)
        store.finish(Outcome(again, 1, Result.KILLED), Verdict(Verb.RETRY, 60.0, 1, 0, Failure(1, 3)))
        passes(2, monkeypatch)
        store.wake()
        for job in (later, expired, again):
            assert store.show(job).record.state is State.CANCELLED
            store.retry(job)
        assert sorted(job.id for job in fetch(store, {"default": 9})) == [later, expired, again]
        passes(2, monkeypatch)
        assert [id_ for id_, _, _ in store.wake().expired] == [expired], "it has as long as before"
        assert not any(store.show(job).cancelled for job in (later, expired, again))
        run(store, again, 2, Verdict(Verb.REQUEUE))
        assert store.show(again).record.state is State.QUEUED, "it is not to be cancelled any more"

    def test_what_has_succeeded_or_is_not_over_stays_as_it_is(self, store: Store) -> None:
        good, queued, held, running = add(store, spec(), spec(), spec(), spec())
        run(store, good)
        store.hold(held)
        store.start(running, 1, here("{}"))
        for job, state in ((good, "succeeded"), (queued, "queued"), (held, "held"), (running, "running")):
            before = store.show(job)
            with pytest.raises(IllegalTransition, match=f"cannot retry by hand a job that is {state}"):
                store.retry(job)
            assert store.show(job) == before
        with pytest.raises(NoSuchJob):
            store.retry(99)

    def test_one_whose_file_was_let_go_is_refused(self, store: Store) -> None:
        (job,) = store.add([addition("c", spec(), keep=True)]).jobs
        assert store.cancel(job).let_go == claimed("c")
        with pytest.raises(IllegalTransition, match=rf"drop that again, from failed/{job}/"):
            store.retry(job)
        assert store.show(job).record.state is State.CANCELLED

    def test_it_is_not_forgotten_meanwhile_nor_its_output_looked_at(self, store: Store) -> None:
        job = failed(store)
        store.retry(job)
        store.prune([job])
        assert store.show(job).record.state is State.QUEUED
        assert store.over(FIRST_OVER, 9).jobs == []
        assert list(store.prunable(0, 0, 9)) == []

    @pytest.mark.usefixtures("as_could_run")
    def test_one_of_an_array_waits_for_a_place_in_it(self, store: Store) -> None:
        one, second, third = add(store, *[spec(array=Element(n, n, 3, 1)) for n in range(3)])
        run(store, one, verdict=FAIL, result=Result.FAILED)
        store.start(second, 1, here("{}"))
        assert not store.retry(one)
        assert fetch(store, {"default": 9}) == []
        assert dict([store.finish(Outcome(second, 1, Result.FAILED), FAIL).came]) == first(store, third)
        assert [job.id for job in fetch(store, {"default": 9})] == [third], "the other comes as if it were new"
        store.cancel(one)
        store.cancel(third)
        assert dict(store.retry(third)) == first(store, third)
        assert [job.id for job in fetch(store, {"default": 9})] == [third]

    def test_one_of_an_array_that_is_being_cancelled_is_refused(self, store: Store) -> None:
        jobs = store.add([addition("c", *[spec(array=Element(n, n, 3)) for n in range(2)])]).jobs
        store.cancel_array(jobs[0], 0)
        with pytest.raises(IllegalTransition, match=f"array {jobs[0]}, which is being cancelled"):
            store.retry(jobs[0])


class TestMove:
    def test_it_is_in_the_other_queue_with_all_that_counts(self, store: Store) -> None:
        job, other = add(store, spec(), spec())
        assert dict(store.move(job, "etl")) == first(store, job)
        assert [job.id for job in fetch(store, {"default": 9})] == [other]
        (moved,) = fetch(store, {"etl": 9})
        assert (moved.id, moved.queue, moved.spec.queue) == (job, "etl", "default")
        assert store.counts() == {"default": {State.QUEUED: 1}, "etl": {State.QUEUED: 1}}
        assert (store.queued(), store.queued_by(OWNER)) == (2, 2)
        assert [r.id for r in store.list(0, 9, Filter(queues=["etl"])).records] == [job]
        run(store, job)
        assert store.counts() == {"default": {State.QUEUED: 1}, "etl": {State.SUCCEEDED: 1}}
        store.prune([job])
        assert store.counts() == {"default": {State.QUEUED: 1}}

    def test_it_keeps_its_place_among_older_and_younger_ones(self, store: Store) -> None:
        one, moved, last = add(store, spec(queue="etl"), spec(), spec(queue="etl"))
        store.move(moved, "etl")
        assert [job.id for job in fetch(store, {"etl": 9})] == [one, moved, last]

    def test_a_start_that_was_decided_in_the_old_queue_is_refused(self, store: Store) -> None:
        (job,) = add(store, spec())
        store.move(job, "etl")
        with pytest.raises(IllegalTransition, match="moved"):
            store.start(job, 1, here("{}"), "default")
        assert store.show(job).record.state is State.QUEUED
        store.start(job, 1, here("{}"), "etl")

    def test_a_held_one_goes_over_and_stays_held(self, store: Store) -> None:
        (job,) = add(store, spec())
        store.hold(job)
        assert not store.move(job, "etl")
        assert fetch(store, {"etl": 9}) == []
        assert dict(store.release(job)) == first(store, job)

    def test_one_that_is_not_due_is_due_there(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        (job,) = add(store, spec(delay=5.0))
        store.move(job, "etl")
        passes(6, monkeypatch)
        assert store.wake().best == first(store, job)

    def test_one_that_waits_for_its_retry_may_start_there(self, store: Store) -> None:
        (job,) = add(store, spec())
        run(store, job, verdict=Verdict(Verb.RETRY, 0.0, 1, 0), result=Result.FAILED, exit_code=1)
        store.wake()
        store.park([Parking(job, Retries("default").name, 1)])
        assert fetch(store, {"default": 9}) == []
        assert dict(store.move(job, "etl")) == first(store, job)
        assert [job.id for job in fetch(store, {"etl": 9})] == [job]


class TestPrioritize:
    def test_the_order_is_another(self, store: Store) -> None:
        one, second, third = add(store, spec(), spec(), spec(priority=60))
        assert dict(store.prioritize(second, 90)) == first(store, second)
        assert dict(store.prioritize(third, 0)) == first(store, third)
        assert [job.id for job in fetch(store, {"default": 9})] == [second, one, third]
        assert [store.show(job).record.priority for job in (one, second, third)] == [50, 90, 0]
        assert [store.before_it(job) for job in (one, second, third)] == [1, 0, 2]

    def test_a_held_one_has_it_when_it_is_released(self, store: Store) -> None:
        one, second = add(store, spec(), spec())
        store.hold(second)
        assert not store.prioritize(second, 90)
        assert dict(store.release(second)) == first(store, second)
        assert [job.id for job in fetch(store, {"default": 9})] == [second, one]

    def test_one_that_is_parked_comes_out_to_be_looked_at(self, store: Store) -> None:
        one, second = add(store, *[spec(array=Element(n, n, 2, 1)) for n in range(2)])
        assert dict(store.prioritize(second, 90)) == first(store, second)
        assert [job.id for job in fetch(store, {"default": 9})] == [second, one], "the gate says which may start"


@pytest.mark.parametrize("verb", ["move", "prioritize"])
def test_what_does_not_wait_is_left_alone(store: Store, verb: str) -> None:
    running, over = add(store, spec(), spec())
    store.start(running, 1, here("{}"))
    run(store, over)

    def change(job: int) -> None:
        if verb == "move":
            store.move(job, "etl")
        else:
            store.prioritize(job, 1)

    for job, state in ((running, "running"), (over, "succeeded")):
        before = store.show(job)
        with pytest.raises(IllegalTransition, match=f"cannot {verb} a job that is {state}"):
            change(job)
        assert store.show(job) == before
    with pytest.raises(NoSuchJob):
        change(99)
