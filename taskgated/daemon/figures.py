"""The figures of the machine that queues have bounds for, and what of them cannot be known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskgated.core.machine import EASE, Figure, Machine, Whose
from taskgated.host import pressure
from taskgated.host.pressure import Wanted
from taskgated.language.config import Config
from taskgated.language.units import format_size


def wanted(machine: Machine) -> Mapping[Figure, Wanted]:
    """What is to be read for the bounds of a queue."""
    stalls = (Figure.CPU_PRESSURE, Figure.MEMORY_PRESSURE, Figure.IO_PRESSURE)
    return {figure: (figure, machine.pressure.of if figure in stalls else Whose.HOST) for figure in machine.bounds}


def all_wanted(config: Config) -> list[Wanted]:
    """The same of all queues."""
    found = (wanted(queue.machine).values() for queue in config.queues.values() if queue.machine is not None)
    return list(dict.fromkeys(one for of_queue in found for one in of_queue))


def in_words(lacking: Mapping[Wanted, str]) -> Iterator[str]:
    """Why some figures cannot be known; one sentence for all that have the same reason."""
    for why in dict.fromkeys(lacking.values()):
        named = list(dict.fromkeys(str(figure) for (figure, _), reason in lacking.items() if reason == why))
        bounds = "a bound on it holds" if len(named) == 1 else "bounds on them hold"
        yield f"machine: {', '.join(named)} cannot be known, so {bounds} nothing back: {why}"


def notes(config: Config, group: str | None) -> Iterator[str]:
    """What of the bounds cannot mean here what it says. ``group``: the control group of the gate, or one like it."""
    yield from in_words(pressure.read(all_wanted(config), group).lacking)
    total = pressure.total_memory()
    for queue in config.queues.values():
        if queue.machine is None or queue.machine.memory is None or total is None:
            continue
        if queue.machine.memory * (1 + EASE) > total:
            bound, there = format_size(queue.machine.memory), format_size(total)
            text = f"queue {queue.name}: machine: so much memory ({bound} and a tenth) is never available here"
            yield f"{text}: the machine has {there}"
