"""What the daemon says of itself: a line for ``systemctl status``, and all that keeps it from working well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from taskgated.control.needs import Files
from taskgated.core.gate import Gate
from taskgated.core.owner import shown
from taskgated.core.state import State
from taskgated.daemon.in_force import InForce
from taskgated.daemon.life import Life, Phase
from taskgated.daemon.members import Members
from taskgated.daemon.news import News
from taskgated.daemon.starting import Start
from taskgated.host.loop import Loop, Timer
from taskgated.host.systemd import Systemd
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Backlog
from taskgated.store.reader import Reader

EVERY = 2.0
"""Seconds at least between two lines for the service manager."""

Problems = Callable[[], Iterable[str]]
"""What a part has to say of itself that people should see to, in words; nothing if all is well."""


class Status:
    """``hindrances``: of every part, in the order in which people read them. ``missing``: what a start waits for,
    without there being anything wrong. ``lessened``: what is not as it was meant, and keeps nothing from working."""

    def __init__(
        self,
        life: Life,
        start: Start,
        in_force: InForce,
        gate: Gate,
        store: StoreClient,
        news: News,
        members: Members,
        hindrances: Sequence[Problems],
        missing: Problems,
        lessened: Problems = tuple,
    ) -> None:
        self._life = life
        self._start = start
        self._in_force = in_force
        self._gate = gate
        self._store = store
        self._news = news
        self._members = members
        self._parts = hindrances
        self._missing = missing
        self._lessened = lessened
        self._backlog: Backlog | None = None

    def ready(self) -> bool:
        return self._life.serving and not self._hindrances()

    def problems(self) -> list[str]:
        """Everything that people should see to, in words."""
        lessened = [f"degraded: {one}" for one in self._lessened()]
        return self._hindrances() + self._news.unwatched + lessened + self._news.waiting

    def files(self) -> list[Files]:
        """What stays in the spool, as intake saw it last."""
        return [Files(s.queue, s.waiting, s.ending, s.oldest, s.hint, s.alone) for s in self._news.staying]

    def notes(self) -> list[str]:
        """What may not be meant as it is."""
        return self._news.misnamed + self._members.notes

    @property
    def store_trouble(self) -> str:
        """Why nothing can be written, and so nothing started, now; "" when it can."""
        return cannot_write(self._store)

    def _hindrances(self) -> list[str]:
        found = [problem for part in self._parts for problem in part()]
        if self._start.announced and self._life.starting:
            found += self._missing()
        return found

    def waits(self, backlog: Backlog | None) -> None:
        """What waits, as the store has just answered; None: it could not say."""
        self._backlog = backlog

    def text(self, backlog: Backlog | None = None) -> str:
        """What the gate is doing. ``backlog``: as for ``waits``, None: nothing new is known."""
        if backlog is not None:
            self.waits(backlog)
        running = len(self._gate.attempts)
        match self._life.phase:
            case Phase.STARTING:
                text = "started, but not ready" if self._start.announced else "starting"
            case Phase.STOPPING:
                text = f"stopping: {running} still run"
            case Phase.SERVING:
                text = f"running {running} of {self._in_force.now.workers}, {self._waiting()}"
                if self._news.paused:
                    text += "; intake paused: the backlog is full"
                for owner in sorted(self._news.crowded):
                    text += f"; files of {shown(owner)} are held back (user_backlog)"
        return "; ".join([text, *self.problems()])

    def _waiting(self) -> str:
        """What there is to say of those that wait, all of it as it was when the store was asked last: numbers of
        several moments would not go together."""
        backlog = self._backlog
        if backlog is None:
            return f"{self._store.queued} queued"
        capacities = self._gate.capacities
        blocked = 0
        for queue, states in backlog.counts.items():
            full = capacities.full(queue) or self._gate.doors.room(queue) == 0
            blocked += states.get(State.QUEUED, 0) if full else backlog.delayed.get(queue, 0)
        text = f"{backlog.totals.get(State.QUEUED, 0)} queued"
        if blocked:
            text += f" ({blocked} blocked)"
        if backlog.oldest:
            text += f", oldest waits {duration(backlog.waited)}"
        held = backlog.totals.get(State.HELD, 0)
        return f"{text}, {held} held" if held else text


class StatusLine:
    """Keeps the service manager informed: soon after something changed, but not a thousand times a second."""

    def __init__(self, loop: Loop, systemd: Systemd, reader: Reader, in_force: InForce, status: Status) -> None:
        self._loop = loop
        self._systemd = systemd
        self._reader = reader
        self._in_force = in_force
        self._status = status
        self._planned: Timer | None = None

    def soon(self) -> None:
        if self._planned is None or self._planned.call is None:
            self._planned = self._loop.after(EVERY, self.now)

    def now(self) -> None:
        def answered(answer: Answer[Backlog]) -> None:
            self._status.waits(None if answer.error is not None else answer.get())
            self._systemd.status(self._status.text())

        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        if self._systemd.managed:
            queues = list(self._in_force.now.queues)
            self._reader.ask(lambda store: store.backlog(queues), answered)


def cannot_write(store: StoreClient) -> str:
    """Why it cannot now, in words; "" when it can."""
    return f"the store cannot write: {store.trouble}" if store.trouble else ""


def duration(seconds: float) -> str:
    """So long, in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"
