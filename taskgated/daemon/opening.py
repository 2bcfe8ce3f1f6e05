"""Opening the store: the only module of the daemon that knows which one it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from taskgated.core.order import Lane, Rank
from taskgated.core.owner import owner_of
from taskgated.daemon import ids
from taskgated.daemon.starting import Start
from taskgated.events import Event
from taskgated.host import users
from taskgated.host.journal import Journal, Priority
from taskgated.host.names import Names
from taskgated.host.paths import Layout
from taskgated.store.contract import Before, Questions, Store
from taskgated.store.sqlite.database import HELP, as_when_opened
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.turns import all_lanes

NAMING = "naming"
"""Who does groups before the thread of the store does."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The store, a view for reading, and what there was in it: the highest id that was given, the lanes that have
    jobs which may run, how many are queued, the jobs that were running, what was set by hand, what policies
    remember; and the names of users."""

    store: Store
    view: Questions
    last_id: int
    lanes: Mapping[Lane, Rank]
    queued: int
    before: Sequence[Before]
    overrides: Mapping[str, str]
    memory: Mapping[str, str]
    names: Names


def open_store(layout: Layout, start: Start, journal: Journal) -> Opened:
    """Raises ``StoreError``; ``StoreTrouble`` when that has lasted for too long."""
    store = start.insist(lambda: _open(layout, start, journal))
    with as_when_opened(layout.database):
        last_id, lanes, queued, before = store.last_id(), all_lanes(store), store.queued(), store.before()
        overrides, memory, names = store.overrides(), store.memory(), Names(store.unnamed())
    view = start.insist(lambda: SqliteQuestions(layout.database))
    return Opened(store, view, last_id, lanes, queued, before, overrides, memory, names)


def _open(layout: Layout, start: Start, journal: Journal) -> SqliteStore:
    """A store that was put back from a copy, or is new, gives no id of a job that there was before."""
    store = SqliteStore(layout.database, at_work=start.goes_on)
    with as_when_opened(layout.database):
        last = store.last_id()
        _name_owners(store, start)
    known = ids.known(layout)
    if last < known:
        store.skip_ids(known + ids.MARGIN)
        text = (
            f"the database knows jobs up to {last}, but there were some up to {known}: it was put back from a "
            f"copy, or is new. New jobs get ids above {known + ids.MARGIN}, that none is taken for an older one"
        )
        journal.event(Event.STORE_BEHIND, text, Priority.WARNING)
    return store


def _name_owners(store: Store, start: Start) -> None:
    """Owners of an earlier version, who are numbers, get their names, before anything goes by them. Who cannot be
    told is asked for again at the next start; so all jobs of one owner go by the one or the other."""
    groups = count(1)
    while told := users.each(store.unnamed(), users.user):  # where they are many, not all can be told at once
        for uid, known in told.items():
            owner = owner_of(uid, None if known is None else known.name)
            done = False
            while not done:
                store.begin(NAMING, next(groups))
                done = store.name(uid, owner)
                store.commit()
                start.goes_on()


def with_help(layout: Layout, why: str) -> str:
    """Why the store is of no use for the work itself, and what to do about it."""
    return why if HELP in why else f"{why} (database {layout.database}; {HELP})"
