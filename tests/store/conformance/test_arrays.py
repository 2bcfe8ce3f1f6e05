"""Arrays: they are known by their first job, and no more of one are out at once than may be."""

from __future__ import annotations

import random

import pytest

from taskgated.core.array import Array
from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition, NoSuchArray, TaskgateError
from taskgated.store import arrays, contract, waiting
from taskgated.store.arrays import Group, Swept
from taskgated.store.contract import Filter, Page, Store
from taskgated.store.placement import claimed, here
from tests.store.jobs import OWNER, SUCCEED, add, addition, fetch, first, passes, run, spec

OPEN = (State.QUEUED, State.HELD, State.RUNNING)


pytestmark = pytest.mark.usefixtures("as_could_run")


def elements(count: int, at_most: int | None = None, **values: object) -> list[Spec]:
    array = Array(range(1, count + 1), at_most)
    return [array.spec(spec(**values), place) for place in range(count)]


def ready(store: Store, queue: str = "default") -> list[int]:
    return [job.id for job in fetch(store, {queue: 1000})]


def test_its_jobs_are_known_by_the_id_of_the_first(store: Store) -> None:
    (before,) = add(store, spec(), claim="a")
    first = elements(5)
    ids = list(store.add([addition("b", *first[:2])]).jobs)
    (between,) = add(store, spec(), claim="c")
    ids += store.add([addition("b", *first[2:], *elements(2), first=2)]).jobs
    assert [store.show(job).record.array for job in ids] == [ids[0]] * 5 + [ids[5]] * 2
    assert [store.show(job).job.array for job in (before, between)] == [None, None]
    assert [record.id for record in store.list(0, 10, Filter(array=ids[0])).records] == ids[:5]


def test_a_piece_that_comes_again_after_a_crash_adds_what_is_new_alone(store: Store) -> None:
    all_of_it = elements(5, 2)
    first = list(store.add([addition("b", *all_of_it[:3])]).jobs)
    again = list(store.add([addition("b", *all_of_it)]).jobs)
    assert len(again) == 2
    assert [store.show(job).job.spec.array.index for job in first + again] == [1, 2, 3, 4, 5]
    assert {store.show(job).record.array for job in first + again} == {first[0]}
    assert ready(store) == first[:2]


def test_a_listing_of_it_goes_page_by_page(store: Store) -> None:
    add(store, spec(), claim="a")
    ids = add(store, *elements(5), claim="b")
    add(store, spec(), claim="c")
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = store.list(after, 2, Filter(array=ids[0]))
        found += [record.id for record in page.records]
        after = page.next
    assert found == ids
    run(store, ids[1])
    assert [r.id for r in store.list(0, 9, Filter([State.SUCCEEDED], array=ids[0])).records] == [ids[1]]
    assert not store.list(0, 9, Filter(array=ids[1])).records


def test_a_listing_of_it_looks_at_so_many_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "SCANNED", 3)
    ids = add(store, *elements(4), claim="b")
    add(store, *[spec()] * 9, claim="c")  # which lie in between
    ids += store.add([addition("b", *elements(8)[4:], first=4)]).jobs
    run(store, ids[-1])
    only = Filter([State.SUCCEEDED], array=ids[0])
    page, found, pages = store.list(0, 9, only), list[int](), 1
    while page.next is not None:
        found += [record.id for record in page.records]
        page, pages = store.list(page.next, 9, only), pages + 1
    assert found + [record.id for record in page.records] == [ids[-1]]
    assert pages == 3, "three, three, and two jobs of it"


def test_it_is_known_how_many_are_still_to_come(store: Store) -> None:
    (alone,) = add(store, spec(), claim="a")
    all_of_it = [*elements(5), spec(), *elements(3)]
    first, _ = store.add([addition("b", *all_of_it[:2])]).jobs
    assert store.array(first) == Group(first, OWNER, 3)
    store.add([addition("b", *all_of_it[:4])])
    assert store.array(first).coming == 1
    ids = list(store.add([addition("b", *all_of_it[4:7], first=4)]).jobs)
    assert (store.array(first).coming, store.array(ids[-1]).coming) == (0, 2)
    store.forget_claims([claimed("b")])  # its file was lost, or put aside
    assert store.array(ids[-1]).coming == 0
    for none, of in ((first + 1, first), (alone, None), (ids[1], None), (10**6, None)):
        with pytest.raises(NoSuchArray) as raised:
            store.array(none)
        assert (raised.value.array, raised.value.of) == (none, of)


def test_a_file_without_jobs_is_known(store: Store) -> None:
    assert store.add([addition("b")]).jobs == []
    assert store.known(claimed("b")) == 0


def test_of_what_is_over_and_forgotten_it_is_known_that_more_is_to_come(store: Store) -> None:
    first, second = add(store, *elements(5)[:2])
    for job in (first, second):
        run(store, job)
    store.prune([first, second])
    assert store.array(first) == Group(first, None, 3)
    store.forget_claims([claimed("c")])
    with pytest.raises(NoSuchArray):
        store.array(first)


def test_one_is_found_by_its_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    indices = Array([9, 0, 4, 2])
    ids = add(store, *(indices.spec(spec(), place) for place in range(4)))
    other = add(store, *elements(4), claim="d")
    for place, index in enumerate(indices.indices):
        assert [one.id for one in store.list(0, 9, Filter(array=ids[0], index=index)).records] == [ids[place]]
    assert [one.id for one in store.list(0, 9, Filter(array=other[0], index=4)).records] == [other[3]]
    assert store.list(0, 9, Filter(array=ids[0], index=5)) == Page([], None)
    monkeypatch.setattr(contract, "SCANNED", 2)
    page = store.list(0, 9, Filter(array=ids[0], index=2))
    assert (page.records, page.next) == ([], ids[1]), "so many are looked at, and no more"


def test_no_more_are_ready_than_may_run(store: Store) -> None:
    added = store.add([addition("b", *elements(5, 2)), addition("c", spec())])
    *ids, other = added.jobs
    assert [job.id for job in added.fresh] == [*ids[:2], other]
    assert ready(store) == [*ids[:2], other], "a full array keeps nothing else waiting"
    assert store.show(ids[2]).job.parked and not store.show(ids[1]).job.parked
    with pytest.raises(IllegalTransition, match="is queued after attempt 0, and is parked: it cannot"):
        store.start(ids[2], 1, here("{}"))
    store.start(ids[0], 1, here("{}"))
    ended = store.finish(Outcome(ids[0], 1, Result.SUCCEEDED), SUCCEED)
    assert dict([ended.came]) == first(store, ids[2])
    assert ready(store) == [ids[1], ids[2], other]


def test_one_that_is_tried_again_keeps_its_place(store: Store) -> None:
    ids = add(store, *elements(3, 1))
    store.start(ids[0], 1, here("{}"))
    assert dict([store.finish(Outcome(ids[0], 1, Result.FAILED), Verdict(Verb.REQUEUE)).came]) == first(store, ids[0])
    assert ready(store) == [ids[0]]
    assert dict([store.cancel(ids[0]).came]) == first(store, ids[1])
    assert ready(store) == [ids[1]]


def test_one_that_is_held_leaves_its_place_to_others(store: Store) -> None:
    ids = add(store, *elements(3, 1))
    assert dict(store.hold(ids[0])) == first(store, ids[1])
    assert ready(store) == [ids[1]]
    assert not store.hold(ids[2]), "it had none"
    assert dict(store.release(ids[0])) == first(store, ids[0])
    assert ready(store) == [ids[0], ids[1]], "it has its turn before the one that came out for it"
    run(store, ids[0])
    assert ready(store) == [ids[1]]
    store.hold(ids[1])
    assert ready(store) == []
    assert dict(store.release(ids[2])) == first(store, ids[2])
    assert ready(store) == [ids[2]]


def test_one_that_never_starts_leaves_its_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add(store, *elements(2, 1, expires=5.0), *elements(2, 1), *elements(2, 1, queue="q"))
    assert store.cancel(ids[3]).came is None, "it had no place"
    store.condemn(ids[4], "broken")
    assert ready(store, "q") == [ids[5]]
    passes(6, monkeypatch)
    assert len(store.wake().expired) == 2
    assert ready(store) == [ids[2]]


def test_what_comes_when_the_first_are_over_is_not_parked_for_ever(store: Store) -> None:
    all_of_it = elements(4, 2)
    for job in add(store, *all_of_it[:2], claim="b"):
        run(store, job)
    rest = list(store.add([addition("b", *all_of_it[2:], first=2)]).jobs)
    assert ready(store) == rest


def test_one_that_was_held_while_it_was_parked_finds_its_place(store: Store) -> None:
    ids = add(store, *elements(2, 1))
    store.hold(ids[1])
    run(store, ids[0])
    assert ready(store) == []
    store.release(ids[1])
    assert ready(store) == [ids[1]]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_in_any_history_as_many_are_out_as_may_be(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int, times: int
) -> None:
    """Never more, but for such as come again before those that are out; and never fewer while some wait."""
    chance = random.Random(seed)
    monkeypatch.setattr(waiting, "TIMES", times)
    at_most, count = chance.randint(1, 4), 25
    all_of_it = elements(count, at_most)
    ids: list[int] = []
    attempts: dict[int, int] = {}
    again: set[int] = set()
    for _ in range(200):
        if len(ids) < count and chance.random() < 0.1:
            piece = all_of_it[len(ids) : len(ids) + chance.randint(1, 9)]
            ids += store.add([addition("b", *piece, first=len(ids))]).jobs
        job = chance.choice(ids or [0])
        try:
            match chance.randrange(9):
                case 0 | 1:
                    job = chance.choice(ready(store) or [0])
                    store.start(job, attempts.get(job, 0) + 1, here("{}"))
                    attempts[job] = attempts.get(job, 0) + 1
                case 2 | 3:
                    verdict = Verdict(chance.choice([Verb.SUCCEED, Verb.FAIL, Verb.REQUEUE]))
                    store.finish(Outcome(job, attempts.get(job, 0), Result.FAILED), verdict)
                case 4 if chance.random() < 0.2:
                    store.cancel(job)
                case 5:
                    store.hold(job)
                case 6:
                    store.release(job)
                case 7:
                    store.retry(job)
                case 8:
                    store.move(job, chance.choice(["default", "q"]))
            again.add(job)
        except TaskgateError:
            pass
        found = [store.show(id_).job for id_ in ids]
        for queue in ("default", "q"):  # over both together the gate has the bound kept
            mine = [one for one in found if one.queue == queue and one.state in (State.QUEUED, State.RUNNING)]
            out, behind = ([one for one in mine if one.parked is parked] for parked in (False, True))
            assert len([one for one in out if one.id not in again]) <= times * at_most
            assert len(out) >= times * at_most or not behind, (out, behind)
            last = max((one.rank for one in out if one.state is State.QUEUED), default=None)
            assert last is None or all(one.rank > last for one in behind), "none is out before its turn"


def cancel_all(store: Store, array: int) -> list[Swept]:
    pieces, after = [], 0
    while True:
        pieces.append(piece := store.cancel_array(array, after))
        if piece.next is None:
            return pieces
        after = piece.next


def test_it_is_cancelled_piece_by_piece_and_none_of_it_starts_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CANCELLED", 3)
    (before,) = add(store, spec(), claim="a")
    ids = add(store, *elements(8, 4), claim="b")
    (behind,) = add(store, spec(), claim="c")
    run(store, ids[0])
    store.start(ids[1], 1, here("{}"))
    store.hold(ids[2])
    first = store.cancel_array(ids[0], 0)
    assert (first.over, first.ending, first.next) == (ids[2:5], [ids[1]], ids[4])
    assert store.cancelling() == [ids[0]]
    assert ready(store) == [before, behind], "others go on"
    assert [job.id for job in fetch(store, dict.fromkeys(("default", *map(str, range(2000))), 9))] == [before, behind]
    for late in ids[5:]:
        with pytest.raises(IllegalTransition):
            store.start(late, 1, here("{}"))
    assert first.next is not None
    second = store.cancel_array(ids[0], first.next)
    assert second.over == ids[5:]
    while second.next is not None:
        second = store.cancel_array(ids[0], second.next)
    assert store.cancelling() == []
    assert store.finish(Outcome(ids[1], 1, Result.FAILED), Verdict(Verb.REQUEUE)).state is State.CANCELLED
    states = [record.state for record in store.list(0, 99, Filter(array=ids[0])).records]
    assert states == [State.SUCCEEDED, *[State.CANCELLED] * 7]
    assert store.show(ids[7]).record.reason == "cancelled before it started"
    assert store.queued() == 2
    assert [piece.over for piece in cancel_all(store, ids[0])][:1] == [[]], "and once more"
    assert store.cancelling() == []


def test_what_is_still_to_come_of_it_comes_cancelled(store: Store) -> None:
    all_of_it = [*elements(6, 2), *elements(2)]
    ids = list(store.add([addition("b", *all_of_it[:3])]).jobs)
    cancel_all(store, ids[0])
    assert store.cancelling() == [], "there is nothing left to do for now"
    some = store.add([addition("b", *all_of_it[:5])])
    rest = store.add([addition("b", *all_of_it[5:], first=5)])
    ids += [*some.jobs, *rest.jobs]
    assert (list(some.cancelled), list(rest.cancelled)) == (ids[3:5], ids[5:6])
    assert [job.id for job in rest.fresh] == ids[6:] == ready(store), "the next array of the file is another"
    late = store.show(ids[4]).record
    assert (late.state, late.reason) == (State.CANCELLED, "cancelled with its array, before it was taken in")
    assert late.finished is not None
    assert (store.queued(), store.prunable(0.0, 0, 99)) == (2, ids[:6])


def test_what_comes_while_it_is_being_cancelled_is_cancelled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CANCELLED", 2)
    all_of_it = elements(7)
    ids = list(store.add([addition("b", *all_of_it[:5])]).jobs)
    first = store.cancel_array(ids[0], 0)
    ids += store.add([addition("b", *all_of_it[5:], first=5)]).jobs
    assert store.cancelling() == ids[:1], "those in between are still queued"
    while first.next is not None:
        first = store.cancel_array(ids[0], first.next)
    assert {store.show(job).record.state for job in ids} == {State.CANCELLED}
    assert store.cancelling() == [] and store.queued() == 0


def test_a_cancelled_array_whose_file_is_gone_is_not_remembered(store: Store) -> None:
    ids = list(store.add([addition("b", *elements(5)[:2])]).jobs)
    cancel_all(store, ids[0])
    store.forget_claims([claimed("b")])
    assert store.array(ids[0]).coming == 0
    assert store.cancelling() == []
