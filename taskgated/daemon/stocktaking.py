"""What there is in the store is asked now and then, and compared with what the other parts have been told.

They are told of most things as these come: with the answer to a verb (jobs that came, places that came free, the next
moment for ``wake``), by the store's thread (``resolved``), or as the answer to a question. All of that are hints: one
that is lost costs up to ``EVERY`` seconds, and never a job. What a verb itself did is no hint: its answer comes, or
nobody knows what it did, and that is another matter. So nothing here changes anything.

It is asked again only when something was written since, as nothing else changes what there is, or a question is
open; time does not, as it is known when it will (``Coming``). So a gate in which nothing happens is not woken for
this.

Lanes and ready jobs may be many, so they are asked about piece by piece, each behind what was asked meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from taskgated.core.gate import Gate
from taskgated.core.inventory import Inventory
from taskgated.core.order import Lane, Rank
from taskgated.daemon.alarm import Alarm
from taskgated.daemon.cancelling import Cancelling
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.requirements import Requirements
from taskgated.errors import Damaged, StoreClosed, TaskgateError
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient, ignore
from taskgated.store.contract import Questions
from taskgated.store.turns import START, Lanes
from taskgated.store.waiting import FIRSTS
from taskgated.store.waking import Coming

T = TypeVar("T")

EVERY = 1.0
"""Seconds between two of them, at least, while jobs come, start and end."""
RARELY = 30.0
"""Seconds between two of them while jobs wait and nothing happens: it finds what should not be there to be found."""
PATIENCE = 2.0
"""Seconds after which a piece is asked for again if there is no answer; one that is late is as good."""
SHARE = 20
"""The store's thread is at it for one part in so many of the time, at most."""
KNOWN = 100
"""Jobs of the gate that are looked at in a piece, at most."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``lanes`` and ``gone``: as of ``Gate.seen``. ``last``: behind which lane there may be more; None: there are no
    more. ``took``: seconds of the processor."""

    lanes: Mapping[Lane, Rank]
    last: Lane | None
    gone: Collection[int]
    took: float


@dataclass(frozen=True, slots=True)
class Stock:
    """What is said of all together. ``waiting``: a page of what jobs wait for by name. ``unresolved``: something is
    to be done after the end of others. ``cancelling``: arrays. ``took``: seconds of
    the processor."""

    waiting: Mapping[str, int]
    coming: Coming
    unresolved: bool
    cancelling: Sequence[int]
    took: float


def look(
    store: Questions,
    after: Lane | None,
    ready: Mapping[Lane, Collection[int]],
    known: Mapping[int, tuple[str, Rank]],
) -> Piece:
    """At the lanes behind that one (None: at none), and at these jobs. ``ready`` and ``known``: by what the gate has
    been told."""
    began = time.thread_time()
    page = Lanes({}, None) if after is None else store.lanes(after)
    there = store.ranks(known)
    gone = [job for job, place in known.items() if there.get(job) != place]
    return Piece(_unknown(store, page.first, ready), page.last, gone, time.thread_time() - began)


def _unknown(
    store: Questions, first: Mapping[Lane, Rank], ready: Mapping[Lane, Collection[int]]
) -> Mapping[Lane, Rank]:
    """Those of these lanes that have jobs which may run and are not ready, each with the rank of the first of these.
    ``first``: the rank of the first of all."""
    lanes = dict(first)
    if headed := [lane for lane, (_, job) in first.items() if job in ready.get(lane, ())]:
        known = {job for lane in headed for job in ready[lane]}
        behind = store.fetch(dict.fromkeys(headed, 0), known, 0).rest
        for lane in headed:
            del lanes[lane]
        lanes.update(behind)
    return lanes


def total(store: Questions) -> Stock:
    began = time.thread_time()
    return Stock(store.waiting(), store.coming(), store.unresolved(), store.cancelling(), time.thread_time() - began)


@dataclass(slots=True)
class _Taken:
    """One that is being taken. ``asked`` and ``asking``: which questions of the gate, and of ``Requirements``, were
    asked before its first piece; ``known``: jobs to look at yet."""

    asked: int
    asking: int | None
    known: list[int]
    took: float = 0.0
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
        journal: Journal,
    ) -> None:
        self._gate = gate
        self._store = store
        self._conductor = conductor
        self._requirements = requirements
        self._cancelling = cancelling
        self._journal = journal
        self._failure = ""  # of the last one, as it was told
        self._alarm = Alarm(loop, lambda: time.monotonic_ns() // 1000, self._ring)
        self._asked = 0  # how many questions it had answers to
        self._again: Callable[[], None] = self.take  # asks the last one once more
        self._since: float | None = None  # when that was asked, if it has no answer
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
        elif self._since is not None:
            self._again()
        elif self._due or now - self._last >= RARELY:
            self.take()
        elif self._store.queued:
            self._alarm.set(RARELY)

    def take(self) -> None:
        """See what there is. To do it again is always right."""
        self._last = time.monotonic()
        self._seen = self._store.written
        self._look(_Taken(self._gate.asked, self._requirements.asking, list(self._gate.known)), START)

    def _look(self, mine: _Taken, after: Lane | None) -> None:
        """The next piece. Behind the early ones: what was asked before it has its answer by then, or has none."""
        ready = {} if after is None else self._gate.ready.by_lane()
        known = self._gate.known
        asked = {job: known[job] for job in mine.known[-KNOWN:] if job in known}

        def seen(piece: Piece) -> None:
            mine.took += piece.took
            del mine.known[-KNOWN:]
            self._conductor.do(self._gate.seen(piece.lanes, piece.gone))
            if piece.last is not None or mine.known:
                self._look(mine, piece.last)
            else:
                self._total(mine)

        self._ask(lambda store: look(store, after, ready, asked), seen, lambda: self._look(mine, after))

    def _total(self, mine: _Taken) -> None:
        self._ask(total, lambda stock: self._add(mine, stock, stock.waiting), lambda: self._total(mine))

    def _page(self, mine: _Taken, stock: Stock, after: str) -> None:
        self._ask(
            lambda store: store.waiting(after),
            lambda page: self._add(mine, stock, page),
            lambda: self._page(mine, stock, after),
        )

    def _ask(self, question: Callable[[Questions], T], found: Callable[[T], None], again: Callable[[], None]) -> None:
        number = self._asked
        self._since, self._again = time.monotonic(), again
        self._alarm.set(PATIENCE)

        def answered(answer: Answer[T]) -> None:
            if number != self._asked:
                return  # it was asked again meanwhile, and has its answer
            self._asked += 1
            if answer.error is not None:
                self._failed(answer.error)
            else:
                found(answer.get())

        self._store.ask(question, answered)

    def _add(self, mine: _Taken, stock: Stock, page: Mapping[str, int]) -> None:
        """A page of what jobs wait for."""
        mine.waiting.update(page)
        if len(page) < FIRSTS:
            self._compare(mine, stock)
            return
        *_, last = page
        self._page(mine, stock, last)

    def _compare(self, mine: _Taken, stock: Stock) -> None:
        self._pause = max(EVERY, SHARE * (mine.took + stock.took))
        self._failure = ""
        self._over()
        self._conductor.do(self._gate.taken(Inventory(mine.asked, mine.waiting)))
        self._requirements.give_up(mine.asking)
        self._conductor.waiters.taken()
        self._conductor.comes(stock.coming)
        self._cancelling.go_on(stock.cancelling)
        if stock.unresolved:
            self._store.submit(ignore)  # the thread does it with whatever is written

    def _failed(self, error: TaskgateError) -> None:
        """It is told once, unless others tell of it."""
        text = f"what there is in the store cannot be looked at: {error}"
        if text != self._failure and not isinstance(error, Damaged | StoreClosed):
            self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
        self._failure = text
        self._over()

    def _over(self) -> None:
        self._since = None
        self._alarm.stop()
        self._woken()
        if self._store.queued:
            self._alarm.set(max(RARELY, self._pause))
