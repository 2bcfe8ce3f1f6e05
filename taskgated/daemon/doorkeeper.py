"""Looks at whatever may close a queue, and tells the gate what it has seen (``core/doors.py``).

A *part* knows one kind of door: which queues may have one, and how it stands now. All of them are looked at together,
soon after one of them, or anybody, has said that something may have changed (``soon``), and when the part itself has
said that it will. To look again is always right, and changes nothing where nothing has changed; so nobody has to know
what changed. A look is never part of another event: what an event decides is done first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.doors import Door, Key
from taskgated.core.gate import Gate
from taskgated.daemon.conductor import Conductor
from taskgated.host.clock import WALL_CHECK, wall
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop, Timer


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, in microseconds: by the ``uptime`` of the store, and by the ``wall`` clock (``host/clock.py``)."""

    uptime: int
    wall: int


@dataclass(frozen=True, slots=True)
class Look:
    """How a door stands; None: it is open. ``again``: seconds until that may be another; None: nobody knows, somebody
    will say so. ``then``: what follows from it, once the gate knows of it."""

    door: Door | None
    again: float | None = None
    then: Callable[[], None] | None = None


class Part(Protocol):
    """One kind of door."""

    @property
    def kind(self) -> str: ...

    def queues(self) -> Iterable[str | None]:
        """Which may have such a door now; ``core.doors.EVERY`` for one before all of them."""

    def look(self, queue: str | None, now: Moment) -> Look: ...


class Doorkeeper:
    """``uptime``: the clock of the store, in microseconds. It tells ``knocked`` to which queues jobs came that had a
    shut door, once what happened then is done."""

    def __init__(self, loop: Loop, gate: Gate, conductor: Conductor, uptime: Callable[[], int]) -> None:
        self._loop = loop
        self._gate = gate
        self._conductor = conductor
        self._uptime = uptime
        self._parts: list[Part] = []
        self.knocked = Listeners[AbstractSet[str]]()
        loop.at_end_of_turn(self._hear)
        self._there: set[Key] = set()  # that were not open at the last look
        self._soon: Timer | None = None
        self._later: Timer | None = None

    def add(self, part: Part) -> None:
        self._parts.append(part)

    def _hear(self) -> None:
        if knocked := self._gate.knocked:
            self._gate.knocked = set()
            self.knocked.tell(knocked)

    def soon(self, *_: object) -> None:
        """Look at all doors once what happens now is done."""
        if self._soon is None:
            self._soon = self._loop.after(0, self.look)

    def look(self) -> None:
        """Look at all doors now. Not to be called while actions of the gate are carried out."""
        now = Moment(self._uptime(), wall())
        doors: dict[Key, Door | None] = dict.fromkeys(self._there)
        again = float("inf")
        follows: list[Callable[[], None]] = []
        for part in self._parts:
            for queue in part.queues():
                look = part.look(queue, now)
                doors[queue, part.kind] = look.door
                if look.again is not None:
                    again = min(again, look.again)
                if look.then is not None:
                    follows.append(look.then)
        self._there = {key for key, door in doors.items() if door is not None}
        for timer in (self._soon, self._later):
            if timer is not None:
                timer.cancel()
        self._soon = self._later = None
        if again < float("inf"):  # the loop's timers stand still while the host is suspended
            self._later = self._loop.after(min(WALL_CHECK, max(0.0, again)), self.look)
        changed = {key: door for key, door in doors.items() if door != self._gate.doors.get(*key)}
        if changed or self._gate.doors.unsure:
            self._conductor.do(self._gate.looked(changed))
        for then in follows:
            then()
