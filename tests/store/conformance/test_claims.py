"""What a store remembers of the files that intake has claimed, and for intake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Claim, Element, OnConflict, Outcome, Result
from taskgated.core.state import State
from taskgated.store.contract import Store
from taskgated.store.placement import claimed, here
from tests.store.jobs import SUCCEED, add, addition, passes, spec


def test_a_claim_that_is_gone_is_forgotten(store: Store) -> None:
    store.add([addition("c", spec())])
    store.forget_claims([claimed("c")])
    assert store.known(claimed("c")) is None


def test_what_is_added_now_is_of_no_earlier_version(store: Store) -> None:
    assert not store.known_to_earlier(claimed("c"))
    store.add([addition("c", spec())])
    assert not store.known_to_earlier(claimed("c"))


def test_the_plan_of_a_file_is_that_of_its_first_parts(store: Store) -> None:
    assert store.plan(claimed("c")) == ""
    store.add([addition("c", spec(), plan="2 jobs")])
    store.add([addition("c", spec(), first=1), addition("d", spec())])
    assert (store.plan(claimed("c")), store.known(claimed("c"))) == ("2 jobs", 2)
    assert store.plan(claimed("d")) == ""
    store.forget_claims([claimed("c")])
    assert store.plan(claimed("c")) == ""


def test_a_kept_file_has_a_keeper(store: Store) -> None:
    (job,) = store.add([addition("c", spec(), keep=True)]).jobs
    assert store.keeper(claimed("c")) is State.QUEUED
    store.start(job, 1, here("{}"))
    assert store.keeper(claimed("c")) is State.RUNNING
    ended = store.finish(Outcome(job, 1, Result.SUCCEEDED), SUCCEED)
    assert ended.let_go == claimed("c")
    assert store.keeper(claimed("c")) is State.SUCCEEDED
    assert store.keeper(claimed("d")) is None


def test_two_hosts_may_have_files_of_one_name(store: Store) -> None:
    ours, theirs = claimed("c"), Claim("b", "c")
    (first,) = store.add([addition("c", spec(), keep=True, plan="ours")]).jobs
    others = replace(addition("c", spec(), spec(), plan="theirs"), claim=theirs, keep=True)
    (second,) = store.add([replace(others, specs=others.specs[:1])]).jobs
    assert (store.known(ours), store.known(theirs)) == (1, 1)
    assert (store.plan(ours), store.plan(theirs)) == ("ours", "theirs")
    assert [store.show(job).job.claim for job in (first, second)] == [ours, theirs]
    assert store.cancel(second).let_go == theirs
    assert (store.keeper(ours), store.keeper(theirs)) == (State.QUEUED, State.CANCELLED)
    record = store.worked_on(theirs)
    assert record is not None and record.id == second
    store.forget_claims([ours])
    assert (store.known(ours), store.known(theirs)) == (None, 1)
    assert list(store.prunable(-1.0, 0, 10)) == [], "its file is not let go yet"
    store.forget_claims([theirs])
    assert list(store.prunable(-1.0, 0, 10)) == [second]


def test_jobs_wait_for_those_of_their_own_file(store: Store) -> None:
    """Where files of two hosts that have one name come piece by piece."""
    later = spec(after=(Condition("a", part=0),))
    jobs = {}
    for host in ("", "b"):
        file = replace(addition("c", spec(name="a")), claim=Claim(host, "c"), awaited=(0,))
        jobs[host] = store.add([file]).jobs[0]
    for host in ("", "b"):
        (waits,) = store.add([replace(addition("c", later, first=1), claim=Claim(host, "c"))]).jobs
        assert [one.job for one in store.waits_for(waits)] == [jobs[host]]


def test_whatever_ends_a_job_says_whose_file_may_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = [Claim("b", name) for name in ("cancelled", "expired", "replaced", "in an array", "for nothing")]
    (failing,) = add(store, spec(name="x"))
    specs = [
        spec(),
        spec(expires=1.0),
        spec(key="k", on_conflict=OnConflict.REPLACE),
        spec(array=Element(0, 0, 1)),
        spec(after=(Condition(failing),)),
    ]
    jobs = [
        store.add([replace(addition("c", one), claim=claim, keep=True)]).jobs[0]
        for one, claim in zip(specs, theirs, strict=True)
    ]
    assert store.cancel(jobs[0]).let_go == theirs[0]
    passes(2, monkeypatch)
    assert list(store.wake().let_go) == [theirs[1]]
    assert list(store.add([addition("d", specs[2])]).let_go) == [theirs[2]]
    assert list(store.cancel_array(jobs[3], 0).let_go) == [theirs[3]]
    store.cancel(failing)
    assert list(store.resolve().let_go) == [theirs[4]]


def test_a_job_is_not_forgotten_before_its_file_is(store: Store) -> None:
    (job,) = store.add([addition("c", spec(), keep=True)]).jobs
    store.cancel(job)
    record = store.worked_on(claimed("c"))
    assert record is not None and (record.id, record.state) == (job, State.CANCELLED)
    assert store.worked_on(claimed("d")) is None
    assert list(store.prunable(-1.0, 0, 10)) == []
    store.forget_claims([claimed("c")])
    assert list(store.prunable(-1.0, 0, 10)) == [job]


def test_queues_that_take_data_are_remembered(store: Store) -> None:
    assert list(store.data_queues()) == []
    store.keep_data_queues(["lines", "data"])
    store.keep_data_queues(["lines", "files"])
    assert list(store.data_queues()) == ["lines", "files"]
