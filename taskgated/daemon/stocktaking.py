"""What there is in the store is asked now and then, and compared with what the other parts have been told.

They are told of most things as these come: with the answer to a verb (jobs that came, places that came free, the next
moment for ``wake``), by the store's thread (``resolved``), or as the answer to a question. All of that are hints: one
that is lost costs up to ``EVERY`` seconds, and never a job. What a verb itself did is no hint: its answer comes, or
nobody knows what it did, and that is another matter. So nothing here changes anything.

It is asked again only when something was written since, as nothing else changes what there is, or a question is
open; time does not, as it is known when it will (``Coming``). So a gate in which nothing happens is not woken for
this.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from taskgated.core.gate import Gate
from taskgated.core.inventory import Inventory
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.daemon.alarm import Alarm
from taskgated.daemon.cancelling import Cancelling
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.requirements import Requirements
from taskgated.host.loop import Loop
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient, ignore
from taskgated.store.contract import Questions
from taskgated.store.waiting import FIRSTS
from taskgated.store.waking import Coming

EVERY = 1.0
"""Seconds between two of them, at least, while jobs come, start and end."""
RARELY = 30.0
"""Seconds between two of them while jobs wait and nothing happens: it finds what should not be there to be found."""
PATIENCE = 2.0
"""Seconds after which it is asked for again if there is no answer; one that is late is as good."""
SHARE = 20
"""The store is at it for one part in so many of the time, at most."""


@dataclass(frozen=True, slots=True)
class Stock:
    """``inventory``: for the gate; of what jobs wait for it has a page. ``unresolved``: something is to be done after
    the end of others. ``cancelling``: arrays. ``took``: seconds."""

    inventory: Inventory
    coming: Coming
    unresolved: bool
    cancelling: Sequence[int]
    took: float


def take(store: Questions, asked: int, ready: Collection[int], known: Mapping[int, str]) -> Stock:
    """``asked``: as of ``Inventory``; ``ready`` and ``known``: by what the gate has been told."""
    began = time.monotonic()
    lanes = _lanes(store, ready)
    there = {one.id: one.queue for one in store.records(list(known)) if one.state is State.QUEUED}
    gone = [job for job, queue in known.items() if there.get(job) != queue]
    inventory = Inventory(asked, lanes, store.waiting(), gone)
    return Stock(inventory, store.coming(), store.unresolved(), store.cancelling(), time.monotonic() - began)


def _lanes(store: Questions, known: Collection[int]) -> Mapping[Lane, Rank]:
    """Those that have jobs which may run and are not known, each with the rank of the first of these."""
    lanes = dict(store.lanes())
    if headed := [lane for lane, (_, job) in lanes.items() if job in known]:
        behind = store.fetch(dict.fromkeys(headed, 0), known, 0).rest
        for lane in headed:
            del lanes[lane]
        lanes.update(behind)
    return lanes


@dataclass(slots=True)
class _Taken:
    """One that is being taken: which question of ``Requirements`` had no answer when it was asked for."""

    asking: int | None
    stock: Stock | None = None
    waiting: dict[str, int] = field(default_factory=dict)


class Stocktaking:
    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        store: StoreClient,
        conductor: Conductor,
        requirements: Requirements,
        cancelling: Cancelling,
    ) -> None:
        self._gate = gate
        self._store = store
        self._conductor = conductor
        self._requirements = requirements
        self._cancelling = cancelling
        self._alarm = Alarm(loop, lambda: time.monotonic_ns() // 1000, self._ring)
        self._since: float | None = None  # when one was asked for that has no answer
        self._last = 0.0  # when one was asked for
        self._seen = -1  # what was written when the last one was asked for
        self._pause = EVERY
        loop.on_wake(self._woken)

    def begin(self) -> None:
        """At start: what was lost with the last daemon is found as what is lost by this one."""
        self._conductor.waiters.begin()
        self.take()

    def _woken(self) -> None:
        """The store's thread has done something."""
        if self._due:
            self._alarm.set(self._pause)

    @property
    def _due(self) -> bool:
        """Whether there may be something that nobody has been told of, or an answer that does not come."""
        return self._store.written != self._seen or self._gate.asks or self._requirements.asking is not None

    def _ring(self) -> None:
        now = time.monotonic()
        if self._since is not None and (self._store.trouble or now - self._since < PATIENCE):
            self._alarm.set(PATIENCE)
        elif self._since is not None or self._due or now - self._last >= RARELY:
            self.take()
        elif self._store.queued:
            self._alarm.set(RARELY)

    def take(self) -> None:
        """See what there is. To do it again is always right."""
        self._since = self._last = time.monotonic()
        self._seen = self._store.written
        self._alarm.set(PATIENCE)
        mine = _Taken(self._requirements.asking)
        asked, ready, known = self._gate.asked, {job.id for job in self._gate.ready}, self._gate.known

        def taken(answer: Answer[Stock]) -> None:
            if answer.error is not None:
                self._over()
                return
            mine.stock = answer.get()
            self._add(mine, mine.stock.inventory.waiting)

        # Behind the early ones: what was asked before it has its answer by then, or has none.
        self._store.ask(lambda store: take(store, asked, ready, known), taken)

    def _add(self, mine: _Taken, page: Mapping[str, int]) -> None:
        """A page of what jobs wait for."""
        mine.waiting.update(page)
        if len(page) < FIRSTS:
            self._compare(mine)
            return
        *_, last = page

        def found(answer: Answer[Mapping[str, int]]) -> None:
            if answer.error is not None:
                self._over()
            else:
                self._add(mine, answer.get())

        self._store.ask(lambda store: store.waiting(last), found)

    def _compare(self, mine: _Taken) -> None:
        stock = mine.stock
        assert stock is not None
        self._pause = max(EVERY, SHARE * stock.took)
        self._over()
        self._conductor.do(self._gate.taken(replace(stock.inventory, waiting=mine.waiting)))
        self._requirements.give_up(mine.asking)
        self._conductor.comes(stock.coming)
        self._cancelling.go_on(stock.cancelling)
        if stock.unresolved:
            self._store.submit(ignore)  # the thread does it with whatever is written

    def _over(self) -> None:
        self._since = None
        self._alarm.stop()
        self._woken()
        if self._store.queued:
            self._alarm.set(RARELY)
