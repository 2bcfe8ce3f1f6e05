"""What is forgotten, and in which order."""

from __future__ import annotations

import pytest

from taskgated.errors import NoSuchJob
from taskgated.host.clock import wall
from taskgated.store.contract import FIRST_OVER, Filter, OverPage, Store
from tests.store.jobs import add, passes, run, spec


def test_by_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, waiting = add(store, spec(), spec(), spec())
    run(store, old)
    passes(500, monkeypatch)
    run(store, new, finished=0)
    assert list(store.prunable(500, 10, 10)) == [old]
    store.prune([old, waiting])
    assert [r.id for r in store.list(0, 9, Filter()).records] == [new, waiting]
    with pytest.raises(NoSuchJob):
        store.show(old)


def test_by_number_the_oldest_first_in_slices(store: Store) -> None:
    ids = add(store, *[spec() for _ in range(6)])
    for n, id_ in enumerate(ids):
        run(store, id_, finished=wall() - n)
    assert list(store.prunable(10**6, 2, 3)) == ids[:3]
    store.prune(ids[:3])
    assert list(store.prunable(10**6, 2, 3)) == ids[3:4]
    store.prune(ids[3:4])
    assert list(store.prunable(10**6, 2, 3)) == []


def test_those_that_were_over_first_come_first_until_their_output_is_noted_to_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last, waits, between = add(store, *[spec() for _ in range(4)])
    for id_ in (first, between, last):
        run(store, id_)
        passes(1, monkeypatch)
    page = store.over(FIRST_OVER, 2)
    assert list(page.jobs) == [first, between]
    assert page.next is not None
    page = store.over(page.next, 2)
    assert list(page.jobs) == [last]
    assert page.next is not None
    assert store.over(page.next, 2) == OverPage([], None)

    before = wall()
    store.note_output([first, waits, between], removed=True)
    page = store.over(FIRST_OVER, 2)
    assert list(page.jobs) == [], "both are passed over"
    assert list(page.noted) == [first, between]
    assert page.next is not None
    assert list(store.over(page.next, 2).jobs) == [last]
    assert before <= (store.show(first).output_removed or 0) <= wall()
    assert store.show(waits).output_removed is None, "it is not over"
    assert store.show(last).output_removed is None

    store.note_output([between], removed=False)
    assert list(store.over(FIRST_OVER, 9).jobs) == [between, last]
    assert store.show(between).output_removed is None
