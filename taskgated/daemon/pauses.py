"""Queues that are paused by hand, one by one or all of them: nothing of them starts, and what runs is left alone.

That all are paused and that one is are two things: whoever paused one for a reason finds it so when all go on again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import ClassVar

from taskgated.core.doors import EVERY, Shut
from taskgated.core.kinds import Kind
from taskgated.core.owner import Owner
from taskgated.core.reasons import AllPaused, Paused
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.overrides import PAUSE, Override, Overrides
from taskgated.store.answer import Answer


class Pauses:
    """A part of the doorkeeper."""

    kind: ClassVar[Kind] = Kind.PAUSED

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides

    def queues(self) -> Iterable[str | None]:
        return [override.of for override in self._overrides.of(PAUSE)]

    def look(self, queue: str | None, now: Moment) -> Look:
        if self._overrides.get(PAUSE, queue) is None:
            return Look(None)
        return Look(Shut(AllPaused() if queue is EVERY else Paused(queue)))

    def pause(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> None:
        """None named: all. Those that are paused stay so, since when they were. ``done`` is called when it is so."""
        before = {queue: self._overrides.get(PAUSE, queue) for queue in _each(queues)}
        new = [Override.now(PAUSE, queue, by) for queue, known in before.items() if known is None or known.lost]
        self._overrides.set(new, [], f"paused by {by.words}: {_named(new)}", done)

    def resume(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> None:
        """None named: all are no longer paused as a whole."""
        gone = [override for queue in _each(queues) if (override := self._overrides.get(PAUSE, queue)) is not None]
        self._overrides.set([], gone, f"resumed by {by.words}: {_named(gone)}", done)

    def paused(self) -> Sequence[str | None]:
        """Which are; None among them: all."""
        return [override.of for override in self._overrides.of(PAUSE)]


def _each(queues: Sequence[str]) -> Iterable[str | None]:
    return dict.fromkeys(queues) if queues else [None]


def _named(overrides: Collection[Override]) -> str:
    return ", ".join("all queues" if one.of is None else f"queue {one.of}" for one in overrides)
