"""Whether the machine has room for more: ``machine: {load: 8, memory: 4G, pressure: {cpu: 60, io: 40}}``.

A queue with such bounds is looked at again and again while a job of it waits. Each look says how many may start until
the next one:

- None while a *figure* of the machine is beyond its bound; and, once it was, until it is better than that by a tenth
  (``EASE``), so that a figure which hovers around its bound does not open and shut the queue with each look.
- Else at most twice as many as have started since the look before, and one in any case. What a job takes shows only
  after a while, so a queue that was shut, or had nothing to start, begins with one job and has more with each look.
- As many as are missing from the bound of the load at most, of all queues together. The kernel's figure follows what
  runs only within a minute (it is a moving average over that, proc_loadavg(5)). So what runs already counts as one
  each, as far as the figure cannot have it yet (``unseen``).

What cannot be known is no reason to keep a queue shut: such a figure counts for nothing, and people are told.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

EASE = 0.1
"""The part of its bound by which a figure has to be better before what it has shut opens again."""
MINUTE = 60.0
"""Seconds in which the load average comes nearer to what runs by the factor e."""


class Figure(enum.StrEnum):
    """What is known of the machine, by the path of its key. ``MEMORY``: bytes that are available; the pressures: the
    part of the last ten seconds, in percent, in which some task waited for that (avg10 of some)."""

    LOAD = "load"
    MEMORY = "memory"
    CPU_PRESSURE = "pressure.cpu"
    MEMORY_PRESSURE = "pressure.memory"
    IO_PRESSURE = "pressure.io"

    @property
    def resource(self) -> str:
        """What it is about, in a word."""
        return {"pressure.cpu": "a CPU", "pressure.memory": "memory", "pressure.io": "a disk"}.get(self, str(self))

    @property
    def least(self) -> bool:
        """Whether its bound is what there has to be at least, and not what there may be."""
        return self is Figure.MEMORY


class Whose(enum.StrEnum):
    """The pressure on what."""

    HOST = "host"
    CGROUP = "cgroup"


@dataclass(frozen=True, slots=True)
class Pressure:
    """Percents. ``of``: the whole host, or the control group of the gate, with its jobs, alone."""

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None
    of: Whose = Whose.HOST


@dataclass(frozen=True, slots=True)
class Machine:
    """The bounds of a queue. ``memory``: bytes that have to be available; of all else at most so much."""

    load: float | None = None
    memory: int | None = None
    pressure: Pressure = Pressure()

    @property
    def bounds(self) -> Mapping[Figure, float]:
        """Of each figure that has one."""
        pressure = self.pressure
        all_ = {
            Figure.LOAD: self.load,
            Figure.MEMORY: self.memory,
            Figure.CPU_PRESSURE: pressure.cpu,
            Figure.MEMORY_PRESSURE: pressure.memory,
            Figure.IO_PRESSURE: pressure.io,
        }
        return {figure: bound for figure, bound in all_.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class Tight:
    """A figure that keeps a queue shut: its ``value``, its ``bound``, and what it has to be better than
    (``until``)."""

    figure: Figure
    value: float
    bound: float
    until: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look has brought. ``tight``: what keeps the queue shut; ``allowed``: how many may start until the next
    look. ``coming``: where that is none for the load that what has just started will bring: how much that is."""

    tight: tuple[Tight, ...] = ()
    allowed: int = 0
    coming: float = 0.0

    @property
    def shut_by(self) -> frozenset[Figure]:
        return frozenset(one.figure for one in self.tight)


@dataclass(frozen=True, slots=True)
class Seen:
    """The machine at one moment: its figures, those that cannot be known left out; ``unseen``: the load that it will
    have, and its figure does not have yet; ``among``: how many queues look at the same."""

    figures: Mapping[Figure, float] = field(default_factory=dict)
    unseen: float = 0.0
    among: int = 1


def judge(machine: Machine, seen: Seen, before: Verdict, started: int) -> Verdict:
    """``before``: the last verdict on that queue; ``started``: how many of its jobs have started since then."""
    tight = tuple(_tight(machine, seen, before))
    if tight:
        return Verdict(tight)
    allowed = max(1, 2 * started)
    load = seen.figures.get(Figure.LOAD)
    if machine.load is None or load is None:
        return Verdict(allowed=allowed)
    room = machine.load - load - seen.unseen
    allowed = min(allowed, math.ceil(max(0.0, room) / max(1, seen.among)))
    return Verdict(allowed=allowed, coming=0.0 if allowed else seen.unseen)


def _tight(machine: Machine, seen: Seen, before: Verdict) -> Iterator[Tight]:
    for figure, bound in machine.bounds.items():
        value = seen.figures.get(figure)
        if value is None:
            continue
        until = bound * (1 + EASE if figure.least else 1 - EASE)
        if _beyond(figure, value, bound) or (figure in before.shut_by and _beyond(figure, value, until)):
            yield Tight(figure, value, bound, until)


def _beyond(figure: Figure, value: float, bound: float) -> bool:
    return value < bound if figure.least else value >= bound


def unseen(ages: Iterable[float]) -> float:
    """The load that is to come of what runs, each for so many seconds, if each of it keeps one CPU busy."""
    return sum(math.exp(-max(0.0, age) / MINUTE) for age in ages)
