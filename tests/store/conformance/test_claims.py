"""What a store remembers of the files that intake has claimed, and for intake."""

from __future__ import annotations

from taskgated.core.job import Outcome, Result
from taskgated.core.state import State
from taskgated.store.contract import Store
from taskgated.store.placement import here
from tests.store.jobs import SUCCEED, addition, spec


def test_a_claim_that_is_gone_is_forgotten(store: Store) -> None:
    store.add([addition("c", spec())])
    store.forget_claims(["c"])
    assert store.known("c") is None


def test_what_is_added_now_is_of_no_earlier_version(store: Store) -> None:
    assert not store.known_to_earlier("c")
    store.add([addition("c", spec())])
    assert not store.known_to_earlier("c")


def test_the_plan_of_a_file_is_that_of_its_first_parts(store: Store) -> None:
    assert store.plan("c") == ""
    store.add([addition("c", spec(), plan="2 jobs")])
    store.add([addition("c", spec(), first=1), addition("d", spec())])
    assert (store.plan("c"), store.known("c")) == ("2 jobs", 2)
    assert store.plan("d") == ""
    store.forget_claims(["c"])
    assert store.plan("c") == ""


def test_a_kept_file_has_a_keeper(store: Store) -> None:
    (job,) = store.add([addition("c", spec(), keep=True)]).jobs
    assert store.keeper("c") is State.QUEUED
    store.start(job, 1, here("{}"))
    assert store.keeper("c") is State.RUNNING
    ended = store.finish(Outcome(job, 1, Result.SUCCEEDED), SUCCEED)
    assert ended.let_go == "c"
    assert store.keeper("c") is State.SUCCEEDED
    assert store.keeper("d") is None


def test_a_job_is_not_forgotten_before_its_file_is(store: Store) -> None:
    (job,) = store.add([addition("c", spec(), keep=True)]).jobs
    store.cancel(job)
    record = store.worked_on("c")
    assert record is not None and (record.id, record.state) == (job, State.CANCELLED)
    assert store.worked_on("d") is None
    assert list(store.prunable(-1.0, 0, 10)) == []
    store.forget_claims(["c"])
    assert list(store.prunable(-1.0, 0, 10)) == [job]


def test_queues_that_take_data_are_remembered(store: Store) -> None:
    assert list(store.data_queues()) == []
    store.keep_data_queues(["lines", "data"])
    store.keep_data_queues(["lines", "files"])
    assert list(store.data_queues()) == ["lines", "files"]
