"""What comes free together, a place and what a job lacked by name, is for who comes first, whatever that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from unittest import mock

import pytest

from taskgated.core.job import Locks, Result, Spec
from taskgated.core.state import State
from taskgated.daemon.stocktaking import Stocktaking
from tests.env.simulation import Simulation

LOCK = {"locks": Locks(("a",))}
NEEDS = [LOCK, {"tokens": {"yarn": 3}}, {"tokens": {"yarn": 2}}, {"tokens": {"yarn": 2}, **LOCK}, {"key": "k"}]

Make = Callable[[str, int], Simulation]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Simulation] = []

    def simulation(config: str, workers: int) -> Simulation:
        tokens = "" if "tokens" in config else "tokens: {yarn: 3}\n"
        made.append(sim := Simulation(f"{config}\nready_queue: 4\n{tokens}"))
        for number in range(workers):
            sim.worker(f"w{number}")
        sim.settle()
        return sim

    yield simulation
    for sim in made:
        with closing(sim):
            pass


def of(sim: Simulation, owner: str, **values: object) -> list[int]:
    """Five jobs of one file."""
    before = {one.record.id for one in sim.jobs()}
    sim.add([Spec(command="true", name=owner, **values) for _ in range(5)], owner)  # type: ignore[arg-type]
    sim.settle()
    return sorted({one.record.id for one in sim.jobs()} - before)


def one_after_the_other(sim: Simulation) -> list[int]:
    started: list[int] = []
    while sim.busy:
        (worker,) = sim.busy
        has = sim.world.workers[worker].has
        assert has is not None
        started.append(has[0])
        sim.finish(worker, Result.SUCCEEDED)
        sim.settle()
    return started


@pytest.mark.parametrize("needs", NEEDS[:4])
def test_all_of_one_line_come_before_those_of_a_later_one(make: Make, needs: dict[str, object]) -> None:
    sim = make("workers: 3", 3)
    assert one_after_the_other(sim) == [] == [one.record.id for one in sim.jobs()]
    first, second = of(sim, "4000001", **needs), of(sim, "4000002", **needs)
    assert one_after_the_other(sim) == first + second


@pytest.mark.parametrize("bound", ["workers: 1", "workers: 3\nlimit: 1", "workers: 3\nqueues: {default: {limit: 1}}"])
@pytest.mark.parametrize("owner", ["4000001", "4000002"])
@pytest.mark.parametrize("needs", NEEDS)
def test_the_place_that_comes_free_with_it_is_for_the_same_one(
    make: Make, bound: str, owner: str, needs: dict[str, object]
) -> None:
    sim = make(bound, int(bound.split()[1]))
    first = of(sim, "4000001", priority=100, **needs)
    second = of(sim, owner, priority=0)
    assert one_after_the_other(sim) == first + second


def test_a_place_is_not_kept_free_for_one_whose_queue_is_shared_and_who_has_had_more(make: Make) -> None:
    sim = make("workers: 1\nqueues: {default: {share: fair}}", 1)
    first = of(sim, "4000001", priority=100, **LOCK)
    second = of(sim, "4000002", priority=0)
    started = one_after_the_other(sim)
    assert sorted(started) == first + second
    assert set(started[:4]) & set(first) and set(started[:4]) & set(second), "they take turns"


def test_nobody_passes_by_the_next_while_those_who_have_no_room_are_sent_away(make: Make) -> None:
    """They waited for a token when their user had room; the store is asked for one after the other who comes then."""
    sim = make("workers: 5\nuser_limit: 1\ntokens: {yarn: 3, db: 1}", 5)

    def add(owner: str, priority: int, **tokens: int) -> int:
        sim.add([Spec(command="true", name="x", priority=priority, tokens=tokens)], owner)
        sim.settle()
        return max(one.record.id for one in sim.jobs())

    add("4000009", 50, yarn=2, db=1)
    for priority in (90, 80):
        add("4000001", priority, db=1)
    add("4000001", 0)
    first = add("4000002", 50, db=1)
    second = add("4000003", 40, yarn=2, db=1)
    assert {one.waits for one in sim.waiting_jobs()} == {"token:db", "token:yarn"}, "each for what it lacked first"
    (holder,) = [name for name, worker in sim.world.workers.items() if worker.has == (1, 1)]
    sim.finish(holder, Result.SUCCEEDED)
    sim.settle()
    running = {worker.has[0] for worker in sim.world.workers.values() if worker.has}
    assert first in running and second not in running


def test_those_behind_the_first_of_a_strict_queue_go_on_when_its_time_is_over(make: Make) -> None:
    """At once, not when the store is looked at the next time."""
    sim = make("workers: 3\nqueues: {default: {strict: true}}", 3)
    with mock.patch.object(Stocktaking, "take", lambda self: None):
        sim.add([Spec(command="true", name="runs", queue="q", **LOCK)], "4000001")
        sim.settle()
        sim.add([Spec(command="true", name="first", priority=90, expires=30.0, **LOCK)], "4000001")
        sim.add([Spec(command="true", name="second")], "4000001")
        sim.settle()
        assert len(sim.busy) == 1
        sim.sleep(31)
        running = {one.record.name for one in sim.jobs() if one.record.state is State.RUNNING}
    assert running == {"runs", "second"}


def test_what_is_left_beside_a_promise_is_not_kept_for_one_who_has_no_room(make: Make) -> None:
    sim = make("workers: 5\nusers: {'4000001': {limit: 1}}\ntokens: {yarn: 3}", 5)

    def add(name: str, owner: str, priority: int, **needs: object) -> None:
        sim.add([Spec(command="true", name=name, priority=priority, **needs)], owner)  # type: ignore[arg-type]
        sim.settle()

    add("all of it", "4000009", 50, tokens={"yarn": 3})
    add("no room", "4000001", 60, tokens={"yarn": 2})
    add("lock", "4000001", 50, **LOCK)
    add("promised", "4000002", 90, tokens={"yarn": 2}, **LOCK)
    add("small", "4000003", 10, tokens={"yarn": 1})
    (holder,) = [name for name, worker in sim.world.workers.items() if worker.has == (1, 1)]
    with mock.patch.object(Stocktaking, "take", lambda self: None):
        sim.finish(holder, Result.SUCCEEDED)
        sim.settle()
    running = {one.record.name for one in sim.jobs() if one.record.state is State.RUNNING}
    assert running == {"lock", "small"}, "the second of what the first needs is there when the lock is free"
