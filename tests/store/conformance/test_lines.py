"""Jobs that need something by name: how many are out, who waits for what, and who comes back."""

from __future__ import annotations

import random

import pytest

from taskgated.core.job import Element, Locks, OnConflict, Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.named import Lock, Tokens
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.store import waiting
from taskgated.store.contract import Store
from taskgated.store.placement import claimed, here
from taskgated.store.waiting import Parking, Room, Totals
from tests.store.jobs import SUCCEED, add, fetch, passes, run, spec
from tests.store.jobs import first as first_came

YARN, LOCK = Tokens("yarn").name, Lock("a").name
ALONE = {"locks": Locks(("a",))}
RETRY = Verdict(Verb.RETRY, 60.0, 1, 0)


pytestmark = pytest.mark.usefixtures("as_could_run")


@pytest.fixture(autouse=True)
def totals(store: Store) -> None:
    assert store.refit(Totals(16, {"yarn": 4, "db": 1}), -(2**63)) is None


def ready(store: Store) -> list[int]:
    return [job.id for job in fetch(store, {"default": 1000})]


def test_of_a_line_as_many_are_out_as_could_run(store: Store) -> None:
    ids = add(store, *[spec(tokens={"yarn": 2})] * 5)
    assert ready(store) == ids[:2]
    run(store, ids[0])
    assert ready(store) == ids[1:3]
    with pytest.raises(IllegalTransition, match="parked"):
        store.start(ids[4], 1, here("{}"))


def test_the_next_of_a_line_are_out_before_one_is_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they wait for what they lack when it comes free, and are found to be before those that came later."""
    monkeypatch.undo()
    others = [add(store, spec(**ALONE), claim=str(n))[0] for n in range(4)]
    ids = add(store, *[spec(queue="q", **ALONE)] * 4)
    store.start(ids[0], 1, here("{}"))
    assert [job.id for job in fetch(store, {"q": 9})] == ids[1:2]
    assert ready(store) == others[:2]
    store.park([Parking(job, LOCK, 1_000_000) for job in (ids[1], *others[:2])])
    ended = store.finish(Outcome(ids[0], 1, Result.SUCCEEDED), SUCCEED)
    assert dict([ended.came]) == first_came(store, ids[2])
    assert [job.id for job in store.recall({LOCK: Room(1_000_000, 1_000_000)}).jobs] == [others[0]]


def test_lines_are_not_in_each_others_way(store: Store) -> None:
    ones, twos = add(store, *[spec(tokens={"yarn": 4})] * 3), add(store, *[spec(tokens={"yarn": 2})] * 3, claim="d")
    alone, free = add(store, *[spec(**ALONE)] * 2, claim="e"), add(store, spec(), claim="f")
    assert ready(store) == [ones[0], *twos[:2], alone[0], *free]


def test_a_better_one_comes_out_at_once(store: Store) -> None:
    first, _ = add(store, *[spec(**ALONE)] * 2)
    (better,) = add(store, spec(priority=99, **ALONE), claim="d")
    assert ready(store) == [better, first]


def test_one_that_comes_behind_another_that_has_replaced_all_of_its_line_is_out(store: Store) -> None:
    replaced = spec(key="k", locks=Locks(("a",)))
    one, two, three, four = add(store, replaced, replaced, spec(key="k", on_conflict=OnConflict.REPLACE), replaced)
    assert store.show(one).record.state is store.show(two).record.state is State.CANCELLED
    assert ready(store) == [three, four]


def test_the_first_of_an_array_is_in_no_line_but_that(store: Store) -> None:
    others = add(store, *[spec(tokens={"yarn": 4})] * 2)
    (alone,) = add(store, spec(array=Element(0, 0, 1, 2), tokens={"yarn": 4}), claim="d")
    assert ready(store) == [others[0], alone]


def test_when_an_array_is_cancelled_the_next_of_its_line_comes(store: Store) -> None:
    ids = add(store, *[spec(array=Element(n, n, 2), tokens={"yarn": 4}) for n in range(2)])
    (behind,) = add(store, spec(tokens={"yarn": 4}), claim="d")
    assert ready(store) == ids[:1]
    swept = store.cancel_array(ids[0], 0)
    assert (list(swept.over), swept.next, swept.best) == (ids, None, first_came(store, behind))
    assert ready(store) == [behind]


@pytest.mark.parametrize("how", ["back off", "release", "move"])
@pytest.mark.parametrize("short", [False, True])
def test_who_comes_again_goes_before_those_that_came_later(
    store: Store, how: str, monkeypatch: pytest.MonkeyPatch, *, short: bool
) -> None:
    first, second, third = add(store, *[spec(**ALONE)] * 3)
    match how:
        case "back off":
            run(store, first, verdict=RETRY, result=Result.FAILED, exit_code=1)
        case "release":
            store.hold(first)
        case "move":
            store.move(first, "etl")
    assert ready(store) == [second]
    if short:
        store.park([Parking(second, LOCK, 1_000_000)])
    match how:
        case "back off":
            passes(70, monkeypatch)
            store.wake()
        case "release":
            store.release(first)
        case "move":
            store.move(first, "default")
    assert ready(store) == ([first] if short else [first, second])
    assert store.show(third).job.parked


def test_who_is_put_back_or_goes_down_is_behind_those_of_its_line_that_come_first(store: Store) -> None:
    one, two, three = add(store, *[spec(**ALONE)] * 3)
    store.hold(one)
    store.start(two, 1, here("{}"))
    store.release(one)
    assert ready(store) == []
    ended = store.finish(Outcome(two, 1, Result.KILLED), Verdict(Verb.REQUEUE))
    assert ended.came is not None
    assert dict([ended.came]) == first_came(store, one)
    assert ready(store) == [one]
    assert dict(store.prioritize(one, 10)) == first_came(store, two)
    assert ready(store) == [two]
    assert dict(store.prioritize(three, 90)) == first_came(store, three)
    assert ready(store) == [three, two], "it has its turn before the one that is out"


@pytest.mark.parametrize("how", ["cancel", "hold", "back off", "expire"])
def test_whatever_becomes_of_who_is_out_the_next_comes(
    store: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(store, spec(expires=30.0, **ALONE), spec(**ALONE))
    match how:
        case "cancel":
            store.cancel(first)
        case "hold":
            store.hold(first)
        case "back off":
            run(store, first, verdict=RETRY, result=Result.FAILED, exit_code=1)
        case "expire":
            passes(60, monkeypatch)
            store.wake()
    assert ready(store) == [second]


def test_one_that_waits_for_its_time_is_not_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    late, first, second = add(store, spec(delay=30.0, **ALONE), spec(**ALONE), spec(**ALONE))
    assert ready(store) == [first]
    passes(60, monkeypatch)
    store.wake()
    assert ready(store) in ([first], [late, first])
    run(store, first)
    assert set(ready(store)) <= {late, second} and ready(store)


def test_many_that_are_due_at_once_do_not_all_come_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add(store, *[spec(delay=30.0, tokens={"yarn": 2})] * 50)
    passes(60, monkeypatch)
    store.wake()
    assert ready(store) == ids[:2]


def test_who_is_short_waits_and_comes_back_when_there_is_room(store: Store) -> None:
    small, big, other = (add(store, spec(tokens={"yarn": n}), claim=str(n))[0] for n in (1, 3, 2))
    store.park([Parking(job, YARN, needs) for job, needs in ((small, 1), (big, 3), (other, 2))])
    assert ready(store) == [] and list(store.waiting()) == [YARN]
    assert not store.recall({YARN: Room(0, 4)}).jobs
    found = store.recall({YARN: Room(2, 4)})
    assert [job.id for job in found.jobs] == [small] and found.jobs[0].waited and not found.jobs[0].parked
    (first,) = found.first
    assert (first.job, first.needs, first.back) == (big, 3, 1), "who comes next is not passed by"
    assert ready(store) == [small]
    found = store.recall({YARN: Room(4, 4)})
    assert ([job.id for job in found.jobs], found.first[0].job) == ([big], other)
    found = store.recall({YARN: Room(9, 9)})
    assert ([job.id for job in found.jobs], found.first[0].job) == ([other], None)
    assert store.waiting() == {}


def test_who_needs_more_than_there_is_is_in_nobodys_way(store: Store) -> None:
    never, small = (add(store, spec(tokens={"yarn": n}), claim=str(n))[0] for n in (9, 1))
    store.park([Parking(never, YARN, 9), Parking(small, YARN, 1)])
    assert [job.id for job in store.recall({YARN: Room(4, 4)}).jobs] == [small]
    assert list(store.waiting()) == [YARN]
    assert [job.id for job in store.recall({YARN: Room(9, 9)}).jobs] == [never]


def test_who_is_dismissed_waits_no_more(store: Store) -> None:
    first, second = add(store, spec(tokens={"yarn": 3}), spec(tokens={"yarn": 1}))
    store.park([Parking(first, YARN, 3), Parking(second, YARN, 1)])
    found = store.recall({YARN: Room(1, 4, [first])})
    assert [job.id for job in found.jobs] == [second]
    assert ready(store) == [first, second]


def test_so_many_come_back_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RECALLED", 3)
    shared = [add(store, spec(locks=Locks((), ("a",)), env={"N": str(n)}), claim=str(n))[0] for n in range(8)]
    store.park([Parking(job, LOCK, 1) for job in shared])
    found = store.recall({LOCK: Room(10**6, 10**6)})
    assert ([job.id for job in found.jobs], found.first[0].job) == (shared[:3], shared[3])
    found = store.recall({LOCK: Room(10**6, 10**6, most=2)})
    assert ([job.id for job in found.jobs], found.first[0].job) == (shared[3:5], shared[5])
    found = store.recall({LOCK: Room(10**6, 10**6, most=0)})
    assert ([job.id for job in found.jobs], found.first[0].job) == ([], shared[5])


def test_only_who_is_queued_and_out_can_be_sent_to_wait(store: Store) -> None:
    running, over, held, behind = add(store, *[spec(tokens={"yarn": 2})] * 4)
    run(store, over)
    store.start(running, 1, here("{}"))
    store.hold(held)
    store.park([Parking(job, YARN, 2) for job in (running, over, held, behind)])
    store.finish(Outcome(running, 1, Result.SUCCEEDED, exit_code=0), SUCCEED)
    store.release(held)
    assert set(ready(store)) == {held}
    assert list(store.waiting()) == [YARN], "the last came out when others were over or held"


def test_who_is_released_or_comes_again_is_out(store: Store) -> None:
    first, second = add(store, spec(tokens={"yarn": 2}), spec(tokens={"db": 1}))
    store.park([Parking(first, YARN, 2)])
    store.hold(first)
    assert store.waiting() == {}
    store.release(first)
    assert ready(store) == [first, second]


def test_there_is_more_or_less_of_something(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "REFITTED", 1)
    ids = add(store, *[spec(tokens={"yarn": 2})] * 6, *[spec(tokens={"db": 1})] * 3)
    assert ready(store) == [*ids[:2], ids[6]]

    def refit(**tokens: int) -> None:
        after: int | None = -(2**63)
        while after is not None:
            after = store.refit(Totals(16, tokens), after)

    refit(yarn=8, db=2)
    assert ready(store) == [*ids[:4], *ids[6:8]]
    refit(yarn=2, db=1)
    assert set(ready(store)) == {*ids[:4], *ids[6:8]}, "who is out stays out"
    run(store, ids[0])
    assert set(ready(store)) == {*ids[1:4], *ids[6:8]}, "and no other comes before there is a place"


def test_names_come_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRSTS", 2)
    names = [Lock(word).name for word in "abcde"]
    for name in names:
        (job,) = add(store, spec(), claim=name)
        store.park([Parking(job, name, 1)])
    (better,) = add(store, spec(priority=90), claim="better")
    store.park([Parking(better, names[0], 2**40)])
    pages = [store.waiting()]
    while pages[-1]:
        pages.append(store.waiting(list(pages[-1])[-1]))
    assert [list(page) for page in pages] == [names[:2], names[2:4], names[4:], []]
    assert pages[0][names[0]] == better, "the best of those that wait, whatever it needs"


# -- keys ----------------------------------------------------------------------------------------


def keyed(store: Store, how: OnConflict, claim: str, **more: object) -> tuple[int, State, list[int]]:
    """Its id, its state, and those that it took the place of."""
    from tests.store.jobs import addition

    added = store.add([addition(claim, spec(key="k", on_conflict=how, **more))])
    (job,) = added.jobs
    return job, store.show(job).record.state, list(added.replaced)


def test_what_becomes_of_a_new_one_with_the_key_of_others(store: Store) -> None:
    first, state, _ = keyed(store, OnConflict.SKIP, "a")
    assert state is State.QUEUED
    skipped, state, _ = keyed(store, OnConflict.SKIP, "b")
    assert state is State.CANCELLED and str(first) in store.show(skipped).record.reason
    store.start(first, 1, here("{}"))
    assert keyed(store, OnConflict.SKIP, "c")[1] is State.CANCELLED
    second, state, _ = keyed(store, OnConflict.ONCE_MORE, "d")
    assert state is State.QUEUED
    assert keyed(store, OnConflict.ONCE_MORE, "e")[1] is State.CANCELLED
    third, state, gone = keyed(store, OnConflict.REPLACE, "f")
    assert (state, gone) == (State.QUEUED, [second])
    assert str(third) in store.show(second).record.reason
    assert store.show(first).record.state is State.RUNNING, "what runs is left alone"


def test_a_key_is_of_one_user(store: Store) -> None:
    from dataclasses import replace

    from tests.store.jobs import addition

    keyed(store, OnConflict.QUEUE, "a")
    other = replace(addition("b", spec(key="k", on_conflict=OnConflict.SKIP)), owner="bob")
    (job,) = store.add([other]).jobs
    assert store.show(job).record.state is State.QUEUED


def test_jobs_of_one_array_are_no_rivals_of_each_other(store: Store) -> None:
    from taskgated.core.array import Array
    from tests.store.jobs import addition

    def array(claim: str) -> list[State]:
        template = spec(key="k", on_conflict=OnConflict.SKIP)
        jobs = [Array((1, 2, 3)).spec(template, place) for place in range(3)]
        return [store.show(job).record.state for job in store.add([addition(claim, *jobs)]).jobs]

    assert array("a") == [State.QUEUED] * 3
    assert array("b") == [State.CANCELLED] * 3


def test_who_is_held_is_nobodys_rival(store: Store) -> None:
    first, *_ = keyed(store, OnConflict.QUEUE, "a")
    store.hold(first)
    assert keyed(store, OnConflict.SKIP, "b")[1] is State.QUEUED


def test_the_file_of_one_that_is_not_taken_is_let_go(store: Store) -> None:
    from tests.store.jobs import addition

    keyed(store, OnConflict.QUEUE, "a")
    added = store.add([addition("b", spec(key="k", on_conflict=OnConflict.SKIP, file="/x"), keep=True)])
    assert list(added.let_go) == [claimed("b")]


@pytest.mark.parametrize("times", [1, 2])
def test_at_random_no_line_has_too_many_out_and_none_stands_still(
    store: Store, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(waiting, "TIMES", times)
    random.seed(7)
    kinds = [{"tokens": {"yarn": 2}}, {"tokens": {"yarn": 1, "db": 1}}, ALONE, {"key": "k"}, {}]
    most = [2, 1, 1, 1, 10**6]
    of: dict[int, int] = {}
    open_: set[int] = set()
    for step in range(300):
        if random.random() < 0.6:
            kind = random.randrange(len(kinds))
            (job,) = add(store, spec(**kinds[kind]), claim=str(step))
            of[job] = kind
            open_.add(job)
        elif open_:
            job = random.choice(sorted(open_))
            store.cancel(job)
            open_.discard(job)
        out = ready(store)
        assert set(out) <= open_
        for kind, number in enumerate(most):
            waiting_ = [job for job in open_ if of[job] == kind]
            assert len([job for job in out if of[job] == kind]) == min(times * number, len(waiting_))
