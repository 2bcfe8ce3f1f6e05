"""Which jobs are next."""

from __future__ import annotations

from taskgated.store.contract import Store
from tests.store.jobs import add, fetch, spec


def test_priority_then_arrival_of_the_queues_asked_for(store: Store) -> None:
    a, b, c, _ = add(store, spec(), spec(priority=90), spec(), spec(queue="other"))
    assert [j.id for j in fetch(store, {"default": 9})] == [b, a, c]
    assert [j.id for j in fetch(store, {"default": 1})] == [b]


def test_the_best_of_many_queues(store: Store) -> None:
    ids = add(store, *(spec(queue=f"q{n % 20}", priority=n) for n in range(100)))
    found = fetch(store, {f"q{n}": 5 for n in range(20)}, ids[-2:], 10)
    assert [job.id for job in found] == ids[-3:-13:-1]
    assert len(fetch(store, {f"q{n}": 5 for n in range(20)})) == 100
    few = fetch(store, {f"q{n}": 5 for n in range(25)}, (), 3)
    assert [job.id for job in few] == ids[-1:-4:-1], "also where there are more queues than jobs wanted"
    rest = fetch(store, {f"q{n}": 5 for n in range(25)}, ids[-20:], 3)
    assert [job.id for job in rest] == ids[-21:-24:-1], "what the caller knows takes no place of others"
