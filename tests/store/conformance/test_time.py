"""What the passing of time does: jobs come due, or expire."""

from __future__ import annotations

import pytest

from taskgated.core.state import State
from taskgated.host.clock import wall
from taskgated.store import contract
from taskgated.store.contract import Store
from tests.store.jobs import add, fetch, first, spec, steps


def test_what_is_not_due_is_not_there(store: Store) -> None:
    add(store, spec(delay=1000), spec(not_before=wall() + 10**9))
    assert fetch(store, {"default": 9}) == []
    assert store.wake().best == {}


def test_due_jobs_appear_each_by_its_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    later, at = add(store, spec(delay=0.000001, priority=53), spec(not_before=wall() + 10**9))
    woken = store.wake()
    assert woken.best == first(store, later)
    assert [j.id for j in fetch(store, {"default": 9})] == [later]
    assert woken.coming.until_date is not None
    assert 900 < woken.coming.until_date <= 1000
    steps(2000, monkeypatch)
    assert store.wake().coming.until_date is None
    assert [j.id for j in fetch(store, {"default": 9})] == [later, at]


def test_expired_jobs_never_start(store: Store) -> None:
    (job,) = add(store, spec(expires=0.000001))
    assert fetch(store, {"default": 9}) == []
    woken = store.wake()
    assert [id_ for id_, _, _ in woken.expired] == [job]
    assert store.show(job).record.state is State.CANCELLED
    assert "expired" in store.show(job).record.reason


def test_of_many_whose_time_has_come_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "WOKEN", 3)
    add(store, *[spec(delay=0.000001)] * 4, *[spec(expires=0.000001)] * 4)
    first = store.wake()
    assert len(first.expired) == 3
    assert len(fetch(store, {"default": 9})) == 3
    assert first.coming.steady is not None
    assert first.coming.steady <= store.clock.now(), "so it is asked again at once"
    assert len(store.wake().expired) == 1
    assert len(fetch(store, {"default": 9})) == 4
    assert store.wake().coming.steady is None
