"""Queued jobs that take more tokens than there are in all."""

from __future__ import annotations

import pytest

from taskgated.core.job import Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.store import waiting
from taskgated.store.contract import Store
from taskgated.store.placement import here
from taskgated.store.waiting import Beyond
from tests.store.jobs import add, run, spec


def test_each_that_takes_more_than_there_are_is_told_of(store: Store) -> None:
    few, many, both = add(
        store, spec(tokens={"yarn": 2}), spec(tokens={"yarn": 5}), spec(tokens={"db": 1, "yarn": 9}, delay=60.0)
    )
    add(store, spec(), claim="d")
    assert store.beyond({"yarn": 9, "db": 1}) == []
    assert store.beyond({"yarn": 4}) == [
        Beyond("db", 0, 1, {both: 1}),
        Beyond("yarn", 4, 2, {many: 5, both: 9}),
    ], "db is not there at all"
    store.cancel(both)
    assert store.beyond({"yarn": 1}) == [Beyond("yarn", 1, 2, {few: 2, many: 5})]


def test_those_that_run_are_held_or_are_over_are_not(store: Store) -> None:
    runs, held, failed = add(store, *[spec(tokens={"yarn": 2}), spec(tokens={"yarn": 3}), spec(tokens={"yarn": 4})])
    store.start(runs, 1, here("{}"))
    store.hold(held)
    run(store, failed, verdict=Verdict(Verb.FAIL, None, 1, 0), result=Result.FAILED, exit_code=1)
    assert store.beyond({}) == []
    store.release(held)
    store.retry(failed)
    assert [one.some for one in store.beyond({})] == [{held: 3, failed: 4}], "they are queued again"
    run(store, held, 1, Verdict(Verb.RETRY, 60.0, 1, 0), result=Result.FAILED, exit_code=1)
    assert [one.jobs for one in store.beyond({})] == [2], "so is one that is tried again"


def test_there_is_a_bound_on_what_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEYOND_COUNTED", 7)
    ids = add(store, *[spec(tokens={"yarn": 2})] * 9)
    assert store.beyond({}) == [Beyond("yarn", 0, 7, dict.fromkeys(ids[: waiting.BEYOND_SHOWN], 2))]
