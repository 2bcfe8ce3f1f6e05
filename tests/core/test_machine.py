"""How many jobs may start by what the machine says: none beyond a bound, few at first, no more than it can take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.machine import EASE, MINUTE, Figure, Machine, Pressure, Seen, Tight, Verdict, judge, unseen

GIGA = 2**30
ALL = Machine(load=8.0, memory=4 * GIGA, pressure=Pressure(cpu=60.0, memory=10.0, io=40.0))
EASY: Mapping[Figure, float] = {
    Figure.LOAD: 0.5,
    Figure.MEMORY: 64 * GIGA,
    Figure.CPU_PRESSURE: 1.0,
    Figure.MEMORY_PRESSURE: 0.0,
    Figure.IO_PRESSURE: 2.0,
}
BOUNDS = ALL.bounds


def seen(unseen: float = 0.0, among: int = 1, **figures: float) -> Seen:
    return Seen({**EASY, **{Figure[name.upper()]: value for name, value in figures.items()}}, unseen, among)


def test_each_bound_is_of_a_figure() -> None:
    assert {
        Figure.LOAD: 8.0,
        Figure.MEMORY: 4 * GIGA,
        Figure.CPU_PRESSURE: 60.0,
        Figure.MEMORY_PRESSURE: 10.0,
        Figure.IO_PRESSURE: 40.0,
    } == BOUNDS
    assert Machine().bounds == {}


@pytest.mark.parametrize("figure", Figure)
def test_each_shuts_at_its_bound_and_opens_a_tenth_from_it(figure: Figure) -> None:
    bound = BOUNDS[figure]
    better = -1 if figure.least else 1  # what a smaller figure is
    at = bound - 1 if figure.least else bound
    between, well = bound * (1 - better * EASE / 2), bound * (1 - better * EASE * 1.5)
    open_ = judge(ALL, Seen({**EASY, figure: between}), Verdict(), 0)
    assert open_.allowed == 1, "what has not reached it shuts nothing"
    shut = judge(ALL, Seen({**EASY, figure: at}), open_, 0)
    assert shut == Verdict((Tight(figure, at, bound, bound * (1 - better * EASE)),))
    assert judge(ALL, Seen({**EASY, figure: between}), shut, 0).shut_by == {figure}, "nor is it eased so soon"
    assert judge(ALL, Seen({**EASY, figure: well}), shut, 0) == Verdict(allowed=1)


def test_all_that_keep_it_shut_are_told() -> None:
    verdict = judge(ALL, seen(load=9.0, memory=GIGA, io_pressure=99.0), Verdict(), 5)
    assert [(one.figure, one.value) for one in verdict.tight] == [
        (Figure.LOAD, 9.0),
        (Figure.MEMORY, GIGA),
        (Figure.IO_PRESSURE, 99.0),
    ]
    assert verdict.allowed == 0


def test_what_cannot_be_known_shuts_nothing() -> None:
    assert judge(ALL, Seen({}), Verdict(), 0).allowed == 1
    shut = judge(ALL, seen(load=9.0), Verdict(), 0)
    rest = {figure: value for figure, value in EASY.items() if figure is not Figure.LOAD}
    assert judge(ALL, Seen(rest, unseen=100.0), shut, 0).allowed == 1, "also if it was shut for that"
    assert judge(ALL, Seen({**rest, Figure.IO_PRESSURE: 50.0}), shut, 0).shut_by == {Figure.IO_PRESSURE}


def test_they_come_slowly_and_ever_faster() -> None:
    """As far as there are any to start; and slowly again after it was shut, or when there were none for a while."""
    machine = Machine(pressure=Pressure(cpu=60.0))
    verdict, allowed = Verdict(), []
    for _ in range(5):
        verdict = judge(machine, seen(), verdict, verdict.allowed)
        allowed.append(verdict.allowed)
    assert allowed == [1, 2, 4, 8, 16]
    assert judge(machine, seen(), verdict, 3).allowed == 6
    assert judge(machine, seen(), verdict, 0).allowed == 1
    shut = judge(machine, seen(cpu_pressure=70.0), verdict, 16)
    assert judge(machine, seen(), shut, 0).allowed == 1


def test_what_the_load_does_not_show_yet_counts() -> None:
    machine = Machine(load=8.0)
    assert judge(machine, seen(load=2.0), Verdict(), 100).allowed == 6
    assert judge(machine, seen(load=2.5, unseen=2.0), Verdict(), 100).allowed == 4, "below it, the next may go"
    assert judge(machine, seen(load=7.9), Verdict(), 100).allowed == 1
    assert judge(machine, seen(load=2.0, among=2), Verdict(), 100).allowed == 3
    full = judge(machine, seen(load=2.0, unseen=6.0), Verdict(), 100)
    assert full == Verdict(allowed=0, coming=6.0)
    assert judge(machine, seen(load=2.0, unseen=5.0), full, 0).allowed == 1, "that is no bound with a margin"
    assert judge(Machine(memory=GIGA), seen(load=99.0, unseen=99.0), Verdict(), 4).allowed == 8


def test_what_runs_for_long_is_in_the_figure() -> None:
    assert unseen([]) == 0
    assert unseen([0.0, 0.0]) == 2
    assert unseen([MINUTE]) == pytest.approx(1 / math.e)
    assert unseen([10 * MINUTE] * 100) < 0.01
    assert unseen([-5.0]) == 1, "a clock that was read twice"


values = st.sampled_from([0.0, 0.5, 0.85, 0.95, 0.999, 1.0, 1.05, 1.15, 2.0]) | st.floats(0, 3)
looks = st.fixed_dictionaries({}, optional=dict.fromkeys(Figure, values))  # as parts of the bounds
machines = st.builds(
    lambda given: replace(
        ALL,
        load=ALL.load if "load" in given else None,
        memory=ALL.memory if "memory" in given else None,
        pressure=ALL.pressure if "pressure" in given else Pressure(),
    ),
    st.sets(st.sampled_from(["load", "memory", "pressure"])),
)


@given(machines, st.lists(st.tuples(looks, st.floats(0, 20), st.integers(1, 4), st.floats(0, 1)), max_size=30))
def test_whatever_it_looks_like(machine: Machine, story: list[tuple[dict[Figure, float], float, int, float]]) -> None:
    before, started = Verdict(), 0
    for parts, coming, among, share in story:
        figures = {figure: part * BOUNDS[figure] for figure, part in parts.items()}
        verdict = judge(machine, Seen(figures, coming, among), before, started)
        beyond = {
            figure
            for figure, part in parts.items()
            if figure in machine.bounds and (part < 1 if figure.least else part >= 1)
        }
        near = {figure for figure, part in parts.items() if (part < 1 + EASE if figure.least else part >= 1 - EASE)}
        assert beyond <= verdict.shut_by <= beyond | (before.shut_by & near)
        assert verdict.shut_by >= before.shut_by & near, "nothing opens that is not eased"
        if verdict.tight:
            assert verdict.allowed == 0
        else:
            assert verdict.allowed <= max(1, 2 * started), "no more than twice as many as before"
            if machine.load is None or Figure.LOAD not in figures:
                assert verdict.allowed == max(1, 2 * started), "and no fewer, where the load does not say so"
            else:
                assert (verdict.allowed - 1) * among < machine.load - figures[
                    Figure.LOAD
                ] - coming or not verdict.allowed
        before, started = verdict, int(share * verdict.allowed)


@pytest.mark.parametrize("bound", [1.0, 4.0, 8.0, 64.0])
@pytest.mark.parametrize("queues", [1, 3])
def test_the_load_of_many_jobs_does_not_run_over(bound: float, queues: int) -> None:
    """Each keeps a CPU busy and runs for ever; the figure is made as the kernel makes it, every five seconds."""
    machine, load, began, verdicts = Machine(load=bound), 0.0, list[int](), [Verdict()] * queues
    began_by = [0] * queues
    for now in range(0, 3600, 5):
        load = load * math.exp(-5 / MINUTE) + len(began) * (1 - math.exp(-5 / MINUTE))
        coming = unseen(now - at for at in began)
        for queue in range(queues):
            figures = {Figure.LOAD: load}
            verdicts[queue] = judge(machine, Seen(figures, coming, queues), verdicts[queue], began_by[queue])
            began_by[queue] = verdicts[queue].allowed
        began += [now] * sum(began_by)
        assert len(began) < bound + 1 + queues
    assert len(began) >= bound, "and it is used"
