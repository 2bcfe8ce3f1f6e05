"""Jobs that run after others: each starts when all that it waits for has ended as it should, and is cancelled when
that cannot come any more, whichever verb brought the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.core.after import Condition, Fate, Waited, When, fate
from taskgated.core.array import Array
from taskgated.core.job import OnConflict, Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.host.clock import MICROSECONDS
from taskgated.store import after, contract
from taskgated.store.after import Resolved
from taskgated.store.contract import Addition, Store
from taskgated.store.placement import claimed, here
from tests.store.conformance.stores import STORES
from tests.store.jobs import SUCCEED, add, fetch, passes, run, spec, together, undone
from tests.store.jobs import first as earliest

FAIL = Verdict(Verb.FAIL)
OVER, FAILED = When.OVER, When.FAILED


def waiting(*conditions: Condition | str | int, **values: Any) -> Spec:
    """A job that runs after those; a bare name or id must have succeeded."""
    made = tuple(one if isinstance(one, Condition) else Condition(one) for one in conditions)
    return spec(after=made, **values)


def in_file(*specs: Spec, claim: str = "c", first: int = 0, awaited: Sequence[int] = ()) -> Addition:
    return Addition(claimed(claim), first, specs, "x.yaml", "alice", 1000, awaited=awaited)


def part(number: int, when: When = When.SUCCEEDED) -> Condition:
    return Condition("of this file", when, number)


def resolve(store: Store) -> list[Resolved]:
    """All that there is to resolve, piece by piece."""
    pieces = []
    while store.unresolved():
        pieces.append(store.resolve())
        assert pieces[-1].more == store.unresolved()
    return pieces


def ready(store: Store) -> list[int]:
    return [job.id for job in fetch(store, {"default": 10_000}, most=10_000)]


def states(store: Store, jobs: Sequence[int]) -> list[State]:
    return [store.show(job).record.state for job in jobs]


def reason(store: Store, job: int) -> str:
    record = store.show(job).record
    assert record.state is State.CANCELLED and record.finished is not None
    return record.reason


def elements(count: int, at_most: int | None = None, **values: object) -> list[Spec]:
    array = Array(range(1, count + 1), at_most)
    return [array.spec(spec(**values), place) for place in range(count)]


# -- one after the other ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["part", "name", "id"])
@pytest.mark.parametrize(("when", "fate_"), [(OVER, State.QUEUED), (When.SUCCEEDED, State.CANCELLED)])
@pytest.mark.parametrize("itself", [True, False])
def test_one_of_its_file_that_was_replaced_by_another_of_that_is_over(
    store: Store, how: str, when: When, fate_: State, itself: bool
) -> None:
    """``itself``: the one that waits for it takes its place."""
    (first,) = add(store, spec(name="first", key="k"), claim="b") if how != "part" else (1,)
    before = [spec(name="first", key="k")] if how == "part" else []
    condition = {"part": part(0, when), "name": Condition("first", when), "id": Condition(first, when)}[how]
    replaces: dict[str, Any] = {"key": "k", "on_conflict": OnConflict.REPLACE}
    behind = [waiting(condition, **replaces)] if itself else [spec(**replaces), waiting(condition)]
    if how == "name":  # it is known before
        behind.insert(0, waiting(condition))
    jobs = store.add([in_file(*before, *behind, claim="c")]).jobs
    resolve(store)
    assert states(store, [first, jobs[-1]]) == [State.CANCELLED, fate_]
    assert (jobs[-1] in ready(store)) is (fate_ is State.QUEUED)


def test_it_is_no_job_that_may_start_until_the_other_has_succeeded(store: Store) -> None:
    added = store.add([in_file(spec(name="extract"), waiting(part(0), name="load"))])
    first, second = added.jobs
    assert ([job.id for job in added.fresh], ready(store), resolve(store)) == ([first], [first], [])
    with pytest.raises(IllegalTransition):
        store.start(second, 1, here("{}"))
    assert store.waits_for(second) == store.show(second).after
    assert store.waits_for(second) == [Waited(first, "extract", When.SUCCEEDED, State.QUEUED)]
    run(store, first)
    assert store.unresolved()
    assert resolve(store) == [Resolved(earliest(store, second), [], [], False)]
    assert (ready(store), list(store.waits_for(second))) == ([second], [])
    run(store, second)
    assert resolve(store) == []


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_how_the_other_ended_decides(store: Store, when: When, end: State) -> None:
    first, second = store.add([in_file(spec(name="x"), waiting(part(0, when)))]).jobs
    store.start(first, 1, here("{}"))
    if end is State.CANCELLED:
        store.cancel(first)
    verdict = {State.SUCCEEDED: SUCCEED, State.FAILED: FAIL, State.CANCELLED: Verdict(Verb.CANCEL)}[end]
    store.finish(Outcome(first, 1, Result.FAILED), verdict)
    (resolved,) = resolve(store)
    if fate(when, end) is Fate.MET:
        assert (ready(store), resolved.over) == ([second], [])
    else:
        assert [(over.job, over.queue) for over in resolved.over] == [(second, "default")]
        assert ready(store) == []
        word = "was cancelled" if end is State.CANCELLED else end
        assert reason(store, second).startswith(f"job {first} (x) {word}, and it was to run after that has ")
        assert resolved.over[0].why == reason(store, second)


ENDS: dict[str, Callable[[Store, int], object]] = {
    "cancel": lambda store, job: store.cancel(job),
    "cancel held": lambda store, job: (store.hold(job), store.cancel(job)),
    "condemn": lambda store, job: store.condemn(job, "it cannot be read"),
    "expire": lambda store, job: store.wake(),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_the_other_is_noticed(store: Store, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = store.add(
        [in_file(spec(expires=5.0), waiting(part(0)), waiting(part(0, OVER), name="clean up"))]
    ).jobs
    passes(6.0, monkeypatch)
    ENDS[end](store, first)
    resolve(store)
    assert (states(store, [second]), ready(store)) == ([State.CANCELLED], [third])


def test_an_attempt_that_is_followed_by_another_is_no_end(store: Store) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0, OVER)))]).jobs
    run(store, first, verdict=Verdict(Verb.RETRY, delay=0.0, failures=1))
    assert not store.unresolved()
    store.wake()
    run(store, first, 2, verdict=Verdict(Verb.REQUEUE))
    assert not store.unresolved() and ready(store) == [first]
    run(store, first, 3, verdict=FAIL)
    resolve(store)
    assert ready(store) == [second]


def test_of_several_conditions_all_have_to_hold(store: Store) -> None:
    a, b, c, last = store.add(
        [in_file(spec(), spec(), spec(), waiting(part(0), part(1, FAILED), part(2, OVER)))]
    ).jobs
    run(store, a)
    run(store, b, verdict=FAIL)
    resolve(store)
    assert ready(store) == [c]
    assert [waited.job for waited in store.waits_for(last)] == [c]
    run(store, c, verdict=FAIL)
    resolve(store)
    assert ready(store) == [last]


def test_one_that_does_not_hold_is_enough(store: Store) -> None:
    a, b, last = store.add([in_file(spec(), spec(), waiting(part(0), part(1), part(0)))]).jobs
    run(store, b, verdict=FAIL)
    resolve(store)
    assert states(store, [last]) == [State.CANCELLED]
    run(store, a)
    assert resolve(store) == [], "nobody waits for it any more"


def test_what_cannot_run_cancels_what_waits_for_it_in_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after, "RESOLVED", 2)
    chain = store.add([in_file(spec(), *[waiting(part(n)) for n in range(9)], waiting(part(9, OVER)))]).jobs
    store.cancel(chain[0])
    pieces = resolve(store)
    assert all(len(piece.over) <= 2 for piece in pieces)
    assert [over.job for piece in pieces for over in piece.over] == list(chain[1:10])
    assert ready(store) == [chain[10]]


def test_many_after_one_are_let_go_piece_by_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after, "RESOLVED", 10)
    first, *others = store.add([in_file(spec(), *[waiting(part(0), priority=n) for n in range(35)])]).jobs
    run(store, first)
    assert [(piece.best, piece.more) for piece in resolve(store)] == [
        (earliest(store, others[best]), best < 34) for best in (9, 19, 29, 34)
    ]
    assert sorted(ready(store)) == others


# -- which job is meant ----------------------------------------------------------------------------


def test_a_name_means_the_newest_of_that_name_and_owner(store: Store) -> None:
    old, new, after_it = (
        add(store, spec(name="a"), claim="1")
        + add(store, spec(name="a"), claim="2")
        + add(store, waiting("a"), claim="3")
    )
    store.add([Addition(claimed("4"), 0, [spec(name="a")], "x", "bob", 1001)])
    assert [waited.job for waited in store.waits_for(after_it)] == [new]
    run(store, old, verdict=FAIL)
    run(store, new)
    resolve(store)
    assert after_it in ready(store)


def test_one_that_is_over_already_decides_at_once(store: Store) -> None:
    (done,) = add(store, spec(name="a"), claim="1")
    run(store, done)
    met, never, by_id = add(store, waiting("a"), waiting(Condition("a", FAILED)), waiting(done), claim="2")
    assert store.unresolved()
    resolve(store)
    assert (ready(store), states(store, [never])) == ([met, by_id], [State.CANCELLED])


def test_an_id_may_be_of_another_user(store: Store) -> None:
    (first,) = store.add([Addition(claimed("1"), 0, [spec(name="a")], "x", "bob", 1001)]).jobs
    second, third = add(store, waiting(first), waiting("a"))
    run(store, first)
    resolve(store)
    assert ready(store) == [second]
    assert [(waited.job, waited.name) for waited in store.waits_for(third)] == [(None, "a")]


def test_an_id_that_was_never_given_or_is_forgotten_is_no_job(store: Store) -> None:
    (old,) = add(store, spec(), claim="1")
    run(store, old)
    store.forget_claims([claimed("1")])
    store.prune([old])
    never, gone = add(store, waiting(99), waiting(old), claim="2")
    assert store.unresolved()
    resolve(store)
    assert reason(store, never) == "it was to run after job 99, and there is none"
    assert reason(store, gone) == f"it was to run after job {old}, of which nothing is known any more"


def test_a_name_that_comes_later_is_waited_for(store: Store) -> None:
    added = store.add([in_file(waiting("late", after_timeout=60.0), claim="1")])
    (first,) = added.jobs
    assert added.timed and not added.fresh and not store.unresolved()
    (waited,) = store.waits_for(first)
    assert waited.left is not None and 50 * MICROSECONDS < waited.left <= 60 * MICROSECONDS
    (late,) = add(store, spec(name="late"), claim="2")
    assert [(waited.job, waited.left) for waited in store.waits_for(first)] == [(late, None)]
    add(store, spec(name="late"), claim="3")
    run(store, late)
    resolve(store)
    assert first in ready(store)


def test_a_name_that_does_not_come_in_time_is_waited_for_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = add(store, waiting("nobody", after_timeout=60.0), waiting("nobody", after_timeout=90.0))
    woken = store.wake()
    assert woken.coming.steady is not None and woken.coming.steady < store.clock.now() + 61 * MICROSECONDS
    passes(61.0, monkeypatch)
    assert store.unresolved()
    resolve(store)
    assert reason(store, short) == "no job nobody came within 60 s, and it was to run after one"
    assert states(store, [long]) == [State.QUEUED]


def test_known_jobs_are_waited_for_for_any_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second = store.add([in_file(spec(), waiting(part(0), after_timeout=1.0))]).jobs
    passes(1e6, monkeypatch)
    assert not store.unresolved() and states(store, [second]) == [State.QUEUED]


def test_one_that_waits_for_it_is_not_the_one_that_it_waits_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both would wait for ever. It goes on waiting for another of that name."""
    (first,) = add(store, waiting("b", name="a", after_timeout=60.0), claim="1")
    (between,) = add(store, waiting("a", name="between"), claim="2")
    (around,) = add(store, waiting("between", name="b"), claim="3")
    assert [waited.job for job in (first, between, around) for waited in store.waits_for(job)] == [
        None, first, between,
    ]  # fmt: skip
    passes(61.0, monkeypatch)
    resolve(store)
    assert states(store, [first, between, around]) == [State.CANCELLED] * 3


def test_who_cannot_be_given_the_newest_of_a_name_is_given_the_one_before(store: Store) -> None:
    (early,) = store.add([in_file(waiting("late"), claim="early")]).jobs
    first, newest = store.add([in_file(spec(name="late"), waiting(early, name="late"), claim="late")]).jobs
    assert ready(store) == [first]
    run(store, first)
    resolve(store)
    assert ready(store) == [early]
    run(store, early)
    resolve(store)
    assert ready(store) == [newest]


def test_the_name_of_its_own_is_not_meant(store: Store) -> None:
    (first,) = add(store, waiting("a", name="a"), claim="1")
    (second,) = add(store, waiting("a", name="a"), claim="2")
    assert [waited.job for job in (first, second) for waited in store.waits_for(job)] == [None, first]


# -- arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [SUCCEED, FAIL])
def test_an_array_is_waited_for_until_all_of_it_is_over(store: Store, end: Verdict) -> None:
    *array, succeeded, over, failed = store.add(
        [in_file(*elements(3), waiting(part(0)), waiting(part(0, OVER)), waiting(part(0, FAILED)))]
    ).jobs
    run(store, array[1])
    run(store, array[0], verdict=end)
    resolve(store)
    assert ready(store) == [array[2]]
    (waited,) = store.waits_for(over)
    assert (waited.job, waited.array, waited.state) == (array[0], True, State.QUEUED)
    run(store, array[2])
    resolve(store)
    assert ready(store) == ([succeeded, over] if end is SUCCEED else [over, failed])
    (never,) = {succeeded, over, failed} - set(ready(store))
    assert reason(store, never).startswith(f"array {array[0]} {'succeeded' if end is SUCCEED else 'failed'}, ")


def test_a_name_that_all_of_it_have_means_all_of_it_and_one_of_its_own_only_that_job(store: Store) -> None:
    alike = add(store, *elements(3, name="load"), claim="1")
    each = add(store, *elements(3, name="part-{index}"), claim="2")
    whole, single, by_id = add(store, waiting("load"), waiting("part-2"), waiting(each[2]), claim="3")
    run(store, alike[2])
    run(store, alike[0])
    run(store, each[1])
    run(store, each[2])
    resolve(store)
    assert ready(store)[-2:] == [single, by_id]
    run(store, alike[1])
    resolve(store)
    assert ready(store)[-3:] == [whole, single, by_id]


def test_what_is_still_to_come_of_an_array_belongs_to_it(store: Store) -> None:
    array = elements(4)
    first = list(store.add([in_file(*array[:2], claim="1")]).jobs)
    (last,) = add(store, waiting(first[0]), claim="2")
    for job in first:
        run(store, job)
    resolve(store)
    assert ready(store) == [] and not store.unresolved()
    assert [(waited.job, waited.state) for waited in store.waits_for(last)] == [(first[0], None)]
    rest = list(store.add([in_file(*array[2:], claim="1", first=2)]).jobs)
    resolve(store)
    assert ready(store) == rest
    for job in rest:
        run(store, job)
    resolve(store)
    assert ready(store) == [last]


def test_an_array_of_which_nothing_more_comes_is_over(store: Store) -> None:
    first = list(store.add([in_file(*elements(4)[:2], claim="1")]).jobs)
    (last,) = add(store, waiting(first[0]), claim="2")
    for job in first:
        run(store, job)
    resolve(store)
    store.forget_claims([claimed("1")])
    resolve(store)
    assert ready(store) == [last]


def test_an_array_that_is_cancelled_is_over(store: Store) -> None:
    array = add(store, *elements(5), claim="1")
    when_over, when_done = add(store, waiting(Condition(array[0], OVER)), waiting(array[0]), claim="2")
    store.cancel_array(array[0], 0)
    resolve(store)
    assert (ready(store), states(store, [when_done])) == ([when_over], [State.CANCELLED])


def test_a_long_array_is_looked_through_piece_by_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "SCANNED", 3)
    array = add(store, *elements(10), claim="1")
    for job in array:
        run(store, job)
    (last,) = add(store, waiting(array[0]), claim="2")
    assert len(resolve(store)) == 4
    assert ready(store) == [last]


@pytest.mark.usefixtures("as_could_run")
def test_jobs_of_an_array_each_wait_and_take_its_places_then(store: Store) -> None:
    first, *array = store.add(
        [in_file(spec(), *(Array(range(3), 1).spec(waiting(part(0)), n) for n in range(3)))]
    ).jobs
    assert ready(store) == [first]
    run(store, first)
    resolve(store)
    assert ready(store) == array[:1], "at most one of them at once"
    run(store, array[0])
    assert ready(store) == array[1:2]


def test_an_array_may_wait_for_one_that_comes_in_several_pieces(store: Store) -> None:
    """What the parts behind wait for is known however late they come, also after a crash in between."""
    awaited = {0, 1}
    specs = [spec(), *elements(4), *(Array(range(3)).spec(waiting(part(0), part(1)), n) for n in range(3))]
    ids = list(store.add([in_file(*specs[:2], awaited=awaited)]).jobs)
    ids += store.add([in_file(*specs[:4], awaited=awaited)]).jobs
    ids += store.add([in_file(*specs[4:6], first=4, awaited=awaited)]).jobs
    ids += store.add([in_file(*specs[6:], first=6, awaited=awaited)]).jobs
    assert len(ids) == len(specs)
    for job in ids[:5]:
        resolve(store)
        assert ids[5] not in ready(store)
        run(store, job)
    resolve(store)
    assert ready(store) == ids[5:]
    store.forget_claims([claimed("c")])


def later(store: Store, specs: Sequence[Spec], first: int, claim: str = "c") -> list[int]:
    """The next piece of a file."""
    return list(store.add([in_file(*specs, claim=claim, first=first)]).jobs)


def others(store: Store, jobs: Sequence[int]) -> list[int | None]:
    return [waited.job for job in jobs for waited in store.waits_for(job)]


def test_one_that_waits_for_a_whole_array_is_not_the_one_that_jobs_of_it_wait_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = add(store, *elements(3, name="load", after=(Condition("x"),), after_timeout=60.0))
    (x,) = add(store, waiting(array[0], name="x"), claim="d")
    assert others(store, array) == [None] * 3 and others(store, [x]) == array[:1]
    passes(61.0, monkeypatch)
    resolve(store)
    assert states(store, [*array, x]) == [State.CANCELLED] * 4


def test_a_later_piece_of_an_array_waits_for_what_the_first_does(store: Store) -> None:
    """Whatever has come since by that name, or was the next when there was none."""
    (old,) = add(store, spec(name="x"), claim="x")
    specs = elements(6, after=(Condition("x"), Condition("y"), Condition(old)))
    ids = later(store, specs[:2], 0)
    add(store, spec(name="x"), claim="new")
    ids += later(store, specs[2:3], 2)
    (y,) = add(store, spec(name="y"), claim="y")
    add(store, spec(name="y"), claim="y2")
    ids += later(store, specs[3:5], 3)
    assert others(store, ids) == [old, y, old] * 5
    run(store, old)
    run(store, y)
    resolve(store)
    run(store, ids[0])
    ids += later(store, specs[5:], 5)
    resolve(store)
    assert not others(store, ids) and set(ids[1:]) <= set(ready(store))


@pytest.mark.parametrize("around", [False, True])
def test_a_later_piece_of_an_array_closes_no_circle(store: Store, around: bool) -> None:
    """The one that it would wait for came in between, and waits for all of the array."""
    specs = elements(4, name="load-{index}", after=(Condition("x"),))
    (first, second) = later(store, specs[:2], 0)
    for job in (first, second):
        store.cancel(job)
    (x,) = add(store, waiting("between" if around else first, name="x"), claim="d")
    if around:
        (between,) = add(store, waiting(first, name="between"), claim="e")
        assert others(store, [x, between]) == [between, first]
    rest = later(store, specs[2:], 2)
    resolve(store)
    why = f"it was to run after job {x} (x), which waits for the array of this one itself"
    assert [reason(store, job) for job in rest] == [why] * 2
    assert states(store, [x]) == [State.CANCELLED], "the array was cancelled"


def test_an_id_that_was_none_when_an_array_came_is_none_for_the_rest_of_it(store: Store) -> None:
    specs = elements(4, after=(Condition(3),))
    ids = later(store, specs[:2], 0)
    (three,) = add(store, waiting(ids[0]), claim="d")
    ids += later(store, specs[2:], 2)
    resolve(store)
    assert three == 3 and {reason(store, job) for job in ids} == {"it was to run after job 3, and there is none"}


# -- beside all else -------------------------------------------------------------------------------


def test_time_and_holding_go_on_beside_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, held, delayed, expiring = store.add(
        [in_file(spec(), waiting(part(0)), waiting(part(0), delay=60.0), waiting(part(0), expires=30.0))]
    ).jobs
    store.hold(held)
    run(store, first)
    resolve(store)
    assert ready(store) == [expiring], "each of the others waits for something else"
    store.release(held)
    assert ready(store) == [held, expiring]
    passes(61.0, monkeypatch)
    store.wake()
    assert ready(store) == [held, delayed]
    assert states(store, [expiring]) == [State.CANCELLED]


@pytest.mark.usefixtures("as_could_run")
def test_while_it_waits_it_keeps_nothing_from_those_that_need_the_same(store: Store) -> None:
    """Neither the key, nor a place of its line; when it waits no more it is one of them."""
    first, late, other, third = store.add(
        [in_file(spec(), waiting(part(0), key="k"), spec(key="k"), waiting(part(0), key="k"))]
    ).jobs
    assert ready(store) == [first, other]
    run(store, first)
    resolve(store)
    assert ready(store) == [late, other], "one of them at a time, but it has its turn first"
    run(store, late)
    assert ready(store) == [other]
    run(store, other)
    assert ready(store) == [third]


def test_another_queue_or_priority_changes_nothing_about_what_it_waits_for(store: Store) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0)))]).jobs
    store.prioritize(second, 99)
    store.move(second, "etl")
    store.hold(second)
    store.release(second)
    assert ready(store) == [first]
    assert [job.id for job in fetch(store, {"etl": 9})] == []
    run(store, first)
    resolve(store)
    assert [job.id for job in fetch(store, {"etl": 9})] == [second]


def test_a_held_one_waits_on_when_it_is_released(store: Store) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0)))]).jobs
    store.hold(second)
    store.release(second)
    assert ready(store) == [first] and len(store.waits_for(second)) == 1


def test_another_try_by_hand_is_of_that_job_alone(store: Store) -> None:
    """What was cancelled for its failure stays so; and one that was, tried by hand, asks for nobody any more."""
    first, second, third = store.add([in_file(spec(), waiting(part(0)), waiting(part(0)))]).jobs
    run(store, first, verdict=FAIL)
    resolve(store)
    store.retry(first)
    resolve(store)
    assert (ready(store), states(store, [second, third])) == ([first], [State.CANCELLED] * 2)
    store.retry(third)
    run(store, third)
    assert states(store, [second, third]) == [State.CANCELLED, State.SUCCEEDED]


def test_another_try_before_others_were_told_of_its_failure_is_waited_for(store: Store) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0)))]).jobs
    run(store, first, verdict=FAIL)
    store.retry(first)
    resolve(store)
    assert states(store, [second]) == [State.QUEUED]
    run(store, first, 2)
    resolve(store)
    assert ready(store) == [second]


def test_an_array_of_which_one_is_tried_again_by_hand_is_not_over(store: Store) -> None:
    *array, last = store.add([in_file(*elements(3), waiting(part(0)))]).jobs
    run(store, array[0], verdict=FAIL)
    run(store, array[1])
    resolve(store)
    store.retry(array[0])
    run(store, array[2])
    resolve(store)
    assert ready(store) == [array[0]]
    run(store, array[0], 2)
    resolve(store)
    assert ready(store) == [last]


@pytest.mark.parametrize("end", ENDS)
def test_one_that_ends_while_it_waits_waits_for_nothing_any_more(
    store: Store, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0), expires=5.0))]).jobs
    passes(6.0, monkeypatch)
    ENDS[end](store, second)
    before = store.show(second).record
    assert list(store.waits_for(second)) == []
    run(store, first)
    assert resolve(store) == [] and store.show(second).record == before


def test_what_others_wait_for_is_not_forgotten_before_they_know(store: Store) -> None:
    first, second = store.add([in_file(spec(), waiting(part(0)), claim="1")]).jobs
    array = add(store, *elements(3), claim="2")
    (third,) = add(store, waiting(array[0]), claim="3")
    store.forget_claims([claimed("1"), claimed("2"), claimed("3")])
    run(store, first)
    run(store, array[2], verdict=FAIL)
    assert store.prunable(0.0, 0, 99) == []
    store.prune([first, array[2]])
    resolve(store)
    assert ready(store) == [second, *array[:2]]
    assert store.prunable(0.0, 0, 99) == [first]
    store.prune([first])
    for job in array[:2]:
        run(store, job)
    resolve(store)
    assert reason(store, third).startswith(f"array {array[0]} failed, ")
    assert set(store.prunable(0.0, 0, 99)) == {*array, third}


@pytest.mark.parametrize("again", [False, True])
def test_a_crash_before_what_follows_leaves_it_to_be_done(store: Store, again: bool) -> None:
    """As when the group is undone, or done a second time."""
    first, second = store.add([in_file(spec(), waiting(part(0)))]).jobs
    together(store, lambda store: run(store, first))
    (together if again else undone)(store, lambda store: store.resolve())
    resolve(store)
    store.resolve()
    assert ready(store) == [second]


# -- any graph -------------------------------------------------------------------------------------

Node = tuple[list[tuple[int, When]], State]
"""What a job waits for, and how it ends if it runs."""


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 12))):
        others = st.tuples(st.integers(0, number - 1), st.sampled_from(When))
        waits = draw(st.lists(others, max_size=3)) if number else []
        nodes.append((waits, draw(st.sampled_from([State.SUCCEEDED, State.FAILED]))))
    return nodes


def expected(nodes: list[Node]) -> list[State]:
    ends: list[State] = []
    for waits, end in nodes:
        met = all(fate(when, ends[other]) is Fate.MET for other, when in waits)
        ends.append(end if met else State.CANCELLED)
    return ends


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("by_name", [False, True])
@given(nodes=graphs(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_graph_ends_as_it_must(kind: str, by_name: bool, nodes: list[Node], data: st.DataObject) -> None:
    """Whatever the order of the ends and the size of the pieces; by name also, where each may come at any time."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(after, "RESOLVED", data.draw(st.integers(1, 4)))
        store = STORES[kind](Path(directory))
        try:
            _drain(store, by_name, nodes, data)
        finally:
            store.close()


def _drain(store: Store, by_name: bool, nodes: list[Node], data: st.DataObject) -> None:
    names = [f"n{number}" for number in range(len(nodes))]
    ids: dict[int, int] = {}
    if by_name:
        conditions = [[Condition(names[other], when) for other, when in waits] for waits, _ in nodes]
        for number in data.draw(st.permutations(range(len(nodes)))):
            made = waiting(*conditions[number], name=names[number])
            (ids[number],) = store.add([in_file(made, claim=names[number])]).jobs
    else:
        conditions = [[part(other, when) for other, when in waits] for waits, _ in nodes]
        specs = [waiting(*some, name=name) for some, name in zip(conditions, names, strict=True)]
        ids = dict(enumerate(store.add([in_file(*specs)]).jobs))
    numbers = {job: number for number, job in ids.items()}
    while store.unresolved() or ready(store):
        startable = sorted(numbers[job] for job in ready(store))
        if store.unresolved() and (not startable or data.draw(st.booleans())):
            store.resolve()
            continue
        number = data.draw(st.sampled_from(startable))
        run(store, ids[number], verdict=SUCCEED if nodes[number][1] is State.SUCCEEDED else FAIL)
    assert states(store, [ids[number] for number in range(len(nodes))]) == expected(nodes)
