"""What comes free together, a place and what a job lacked by name, is for who comes first, whatever that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from taskgated.core.job import Locks, Result, Spec
from tests.env.simulation import Simulation

LOCK = {"locks": Locks(("a",))}
NEEDS = [LOCK, {"tokens": {"yarn": 3}}, {"tokens": {"yarn": 2}}, {"tokens": {"yarn": 2}, **LOCK}, {"key": "k"}]

Make = Callable[[str, int], Simulation]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Simulation] = []

    def simulation(config: str, workers: int) -> Simulation:
        made.append(sim := Simulation(f"{config}\nready_queue: 4\ntokens: {{yarn: 3}}\n"))
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
