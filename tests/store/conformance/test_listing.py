"""What people are shown, a piece at a time where there is much."""

from __future__ import annotations

import pytest

from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.store import contract
from taskgated.store.contract import Filter, Store
from taskgated.store.placement import here
from tests.store.jobs import add, run, spec


def test_pages_oldest_first(store: Store) -> None:
    ids = add(store, *[spec() for _ in range(5)])
    first = store.list(0, 2, Filter()).records
    assert [r.id for r in first] == ids[:2]
    assert [r.id for r in store.list(first[-1].id, 9, Filter()).records] == ids[2:]


def test_filters(store: Store) -> None:
    a, b, _ = add(store, spec(), spec(queue="q"), spec())
    run(store, a)
    assert [r.id for r in store.list(0, 9, Filter(states=[State.SUCCEEDED])).records] == [a]
    assert [r.id for r in store.list(0, 9, Filter(queues=["q"])).records] == [b]


def test_a_listing_looks_at_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "SCANNED", 10)
    ids = add(store, *[spec()] * 35)
    store.cancel(ids[-1])
    only = Filter(states=[State.CANCELLED])
    pages = [store.list(0, 5, only)]
    while (after := pages[-1].next) is not None:
        pages.append(store.list(after, 5, only))
    assert [len(page.records) for page in pages] == [0, 0, 0, 1]
    page = store.list(0, 5, Filter())
    assert ([record.id for record in page.records], page.next) == (ids[:5], ids[4])
    assert store.list(ids[-1], 5, Filter()).next is None


def test_a_gap_in_the_ids_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "SCANNED", 10)
    ids = add(store, *[spec()] * 100)
    for job in ids[:90]:
        store.cancel(job)
    store.prune(ids[:90])
    assert [record.id for record in store.list(0, 50, Filter()).records] == ids[90:]


def test_attempts_from_the_last(store: Store) -> None:
    (job,) = add(store, spec())
    for attempt in range(1, 6):
        run(store, job, attempt, Verdict(Verb.REQUEUE))
    assert [a.number for a in store.show(job, limit=2).attempts] == [4, 5]
    assert [a.number for a in store.show(job, 4, 2).attempts] == [2, 3]
    assert [a.number for a in store.show(job).attempts] == [1, 2, 3, 4, 5]


def test_queues_with_most_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "QUEUES", 2)
    names = [f"q{n}" for n in range(9) for _ in range(n + 1)]
    ids = add(store, *(spec(queue=name) for name in names))
    store.start(ids[0], 1, here("{}"))
    backlog = store.backlog(["q4"])
    assert backlog.counts == {
        "q0": {State.RUNNING: 1}, "q4": {State.QUEUED: 5}, "q8": {State.QUEUED: 9},
    }  # fmt: skip
    assert (backlog.others, backlog.totals) == (6, {State.QUEUED: 44, State.RUNNING: 1})
