"""Where a job stands among those of its queue."""

from __future__ import annotations

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Element, Locks
from taskgated.errors import NoSuchJob, NotFirst
from taskgated.store import byhand
from taskgated.store.contract import Store
from taskgated.store.placement import here
from taskgated.store.waiting import Parking, Room, Totals
from tests.store.jobs import add, spec


def test_the_better_ones_of_its_queue_come_before_it(store: Store) -> None:
    low, first, other, second, high = add(
        store, spec(priority=10), spec(), spec(queue="q", priority=90), spec(), spec(priority=90)
    )
    assert [store.before_it(job) for job in (high, first, second, low, other)] == [0, 1, 2, 3, 0]


@pytest.mark.usefixtures("as_could_run")
def test_what_something_else_keeps_does_not_count(store: Store) -> None:
    held, _, running, _, _, last = add(
        store,
        spec(),
        spec(delay=60.0),
        spec(),
        spec(array=Element(0, 0, 2, 1)),
        spec(array=Element(1, 1, 2, 1)),
        spec(),
    )
    store.hold(held)
    store.start(running, 1, here("{}"))
    assert store.before_it(last) == 1, "that of the array which has its place"


def test_no_more_are_counted_than_is_worth_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byhand, "COUNTED", 3)
    jobs = add(store, *[spec()] * 4, spec(priority=90), spec(priority=90))
    assert [store.before_it(job) for job in jobs] == [2, 3, 3, 3, 0, 1]


def test_there_is_no_such_job(store: Store) -> None:
    with pytest.raises(NoSuchJob):
        store.before_it(7)


def test_the_first_of_its_queue_is_known_whatever_keeps_it(store: Store) -> None:
    held, late, after, short, behind, last, other = add(
        store,
        spec(),
        spec(delay=60.0),
        spec(after=(Condition("x"),)),
        spec(locks=Locks(("a",))),
        spec(locks=Locks(("a",))),
        spec(),
        spec(queue="q"),
    )
    store.hold(held)
    assert [store.first_before(job) for job in (late, after, short, behind, last, other)] == [
        None, None, None, short, short, None
    ]  # fmt: skip
    store.park([Parking(short, "lock:a", 1_000_000)])
    assert store.first_before(last) == short
    store.start(last, 1, here("{}"))
    with pytest.raises(NoSuchJob):
        store.first_before(99)


def test_those_of_its_line_come_before_it_as_long_as_they_wait(store: Store) -> None:
    store.refit(Totals(4, {"yarn": 10}), -(2**63))
    first, second, third, other = add(store, *[spec(tokens={"yarn": 6})] * 3, spec(tokens={"yarn": 5}))
    assert [store.line_before(job) for job in (first, second, third, other)] == [False, True, True, False]
    store.park([Parking(first, "token:yarn", 6)])
    assert store.line_before(second)
    store.recall({"token:yarn": Room(10, 10, (), 1)})
    store.start(first, 1, here("{}"))
    assert [store.line_before(job) for job in (second, third)] == [False, True]


@pytest.mark.usefixtures("as_could_run")
@pytest.mark.parametrize("parked", [False, True])
def test_where_it_is_strict_none_starts_before_one_that_is_parked(store: Store, *, parked: bool) -> None:
    runs, short, last, other = add(
        store, spec(locks=Locks(("a",))), spec(locks=Locks(("a",))), spec(), spec(queue="q")
    )
    store.start(runs, 1, here("{}"), strict=True)
    if parked:
        store.park([Parking(short, "lock:a", 1_000_000)])
    else:
        (better,) = add(store, spec(locks=Locks(("a",)), priority=99), claim="d")
        short = better
    store.start(other, 1, here("{}"), "q", strict=True)
    with pytest.raises(NotFirst) as error:
        store.start(last, 1, here("{}"), "default", strict=True)
    assert error.value.first == store.show(short).job.rank
    store.hold(short)
    if not parked:
        store.hold(2)
    store.start(last, 1, here("{}"), "default", strict=True)
