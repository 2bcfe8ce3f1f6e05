"""Whose turn it is, and what changes that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.order import Lane, Rank
from taskgated.store import turns
from taskgated.store.contract import Store
from taskgated.store.placement import here
from taskgated.store.turns import all_lanes
from taskgated.store.waiting import Parking
from tests.store.jobs import OWNER, add, addition, fetch, passes, spec


def order(store: Store) -> list[int]:
    return [job.id for job in fetch(store, {"default": 1000})]


def reorder(store: Store, ageing: float) -> int:
    """Returns in how many pieces."""
    pieces, after = 0, 0
    while (last := store.reorder(ageing, after)) is not None:
        pieces, after = pieces + 1, last
    return pieces


def test_a_minute_of_waiting_is_worth_a_point(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (old,) = add(store, spec(priority=50))
    passes(299, monkeypatch)
    before, level = add(store, spec(priority=55), spec(priority=54), claim="d")
    assert order(store) == [before, old, level]
    passes(10, monkeypatch)
    (behind,) = add(store, spec(priority=55), claim="e")
    assert order(store) == [before, old, behind, level]


def test_what_comes_back_keeps_its_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = add(store, spec(), spec())
    passes(60, monkeypatch)
    store.start(first, 1, here("{}"))
    store.finish(Outcome(first, 1, Result.LOST), Verdict(Verb.REQUEUE))
    assert order(store) == [first, second]
    store.hold(first)
    passes(60, monkeypatch)
    assert order(store) == [second]
    store.release(first)
    assert order(store) == [first, second]


@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_another_worth_of_waiting_reorders_what_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("taskgated.store.sqlite.store.REORDERED", piece)
    (old,) = add(store, spec(priority=10))
    passes(3600, monkeypatch)
    (better,) = add(store, spec(priority=60), claim="d")
    assert order(store) == [old, better]
    assert reorder(store, 0) == -(-2 // piece)
    assert order(store) == [better, old]
    (best,) = add(store, spec(priority=61), claim="e")
    assert order(store) == [best, better, old]
    assert reorder(store, 0) == 0, "that is so already"
    assert reorder(store, 60.0) == -(-3 // piece)
    assert order(store) == [old, best, better]


def test_nothing_is_left_out_that_comes_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskgated.store.sqlite.store.REORDERED", 1)
    a, b = add(store, spec(priority=10), spec(priority=20))
    last = store.reorder(0, 0)
    assert last is not None
    (c,) = add(store, spec(priority=90), claim="d")
    while last is not None:
        last = store.reorder(0, last)
    assert order(store) == [c, b, a]


def test_lanes_are_those_with_jobs_that_may_run(store: Store) -> None:
    mine, _ = add(store, spec(priority=3), spec(delay=1000.0))
    theirs = replace(addition("d", spec(queue="q"), spec()), owner="bob")
    other, third = store.add([theirs]).jobs
    heads = {Lane("default", OWNER): mine, Lane("q", "bob"): other, Lane("default", "bob"): third}
    assert all_lanes(store) == {lane: store.show(job).job.rank for lane, job in heads.items()}
    store.hold(mine)
    store.start(other, 1, here("{}"))
    assert list(all_lanes(store)) == [Lane("default", "bob")]


def test_where_jobs_stand_can_be_asked_while_they_are_queued(store: Store) -> None:
    plain, parked, delayed, *others = add(store, *[spec()] * 2, spec(delay=1000.0), *[spec()] * 3)
    held, started, moved = others
    store.park([Parking(parked, "token:x", 1)])
    store.hold(held)
    store.start(started, 1, here("{}"))
    store.move(moved, "q")
    store.prioritize(plain, 99)
    queued = {plain: "default", parked: "default", delayed: "default", moved: "q"}
    found = store.ranks([plain, parked, delayed, *others, 10**6])
    assert found == {job: (queue, store.show(job).job.rank) for job, queue in queued.items()}
    assert found[plain][1] < found[parked][1]


def test_lanes_come_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskgated.store.turns.LANES", 2)
    mine = [Lane(queue, owner) for queue in ("a", "q") for owner in ("alice", "bob", "carol")][:5]
    for number, lane in enumerate(mine):
        store.add([replace(addition(f"c{number}", *[spec(queue=lane.queue)] * 3), owner=lane.owner)])
    found, after, sizes = dict[Lane, Rank](), turns.START, list[int]()
    while True:
        page = store.lanes(after)
        assert not found.keys() & page.first.keys(), "none comes twice"
        found.update(page.first)
        sizes.append(len(page.first))
        if page.last is None:
            break
        after = page.last
    assert sizes == [2, 2, 1] and found.keys() == set(mine)
    assert found == {job.lane: job.rank for job in (store.show(id_).job for id_ in range(1, 15, 3))}
    assert set(store.lanes(Lane("a", "bill")).first) == {Lane("a", "bob"), Lane("a", "carol")}
    assert store.lanes(Lane("q", "bob")).last is store.lanes(Lane("z", "")).last is None


def test_an_answer_says_where_each_lane_goes_on(store: Store) -> None:
    ids = add(store, *[spec()] * 6)
    others = list(store.add([replace(addition("d", *[spec()] * 3), owner="bob")]).jobs)
    mine, theirs = Lane("default", OWNER), Lane("default", "bob")
    found = store.fetch({mine: 3, theirs: 9}, [ids[1]], 4)
    assert [job.id for job in found.jobs] == [ids[0], ids[2], ids[3], others[0]]
    assert found.rest == {mine: store.show(ids[4]).job.rank, theirs: store.show(others[1]).job.rank}
    assert store.fetch({theirs: 3}, others[:1]).rest == {}


def test_a_new_store_needs_no_new_order(store: Store) -> None:
    add(store, spec())
    assert reorder(store, turns.AGEING) == 0
