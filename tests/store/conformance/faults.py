"""A store behind a line that fails: answers are lost on their way, before what they tell of was done or after it.

It keeps receipts, as a store on a server has to (``taskgated/store/groups.py``): a table with the number of each
group, written in the group. What becomes of a try of a group says the next of its ``faults``.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from taskgated.errors import InDoubt, StoreTrouble
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Questions, Store
from taskgated.store.groups import Groups
from taskgated.store.sqlite.store import SqliteStore

T = TypeVar("T")


class Fault(enum.Enum):
    """What goes wrong with a try of a group."""

    NOTHING = enum.auto()
    REFUSED = enum.auto()
    """It is not begun."""
    FIRST = enum.auto()
    """The answer to its first verb, or question, is lost; what was done of the group goes with the connection."""
    SECOND = enum.auto()
    """The same of its second."""
    UNDONE = enum.auto()
    """The answer to its commit is lost, and it was not committed."""
    DONE = enum.auto()
    """The answer to its commit is lost, and it was committed."""
    UNSYNCED = enum.auto()
    """The answer to the sync of an early group is lost, and the group with it. Of any other group: as ``UNDONE``."""
    SYNCED = enum.auto()
    """The answer to the sync of an early group is lost, and it was synced. Of any other group: as ``DONE``."""


_AT = {Fault.FIRST: 1, Fault.SECOND: 2}


class FaultyStore(SqliteStore):
    """``faults``: of the tries of groups, one after the other, again and again. What is written by an early group can
    be lost until it is synced, so until then its transaction is open. No disk is waited for: this is about lines, not
    about disks."""

    def __init__(self, path: Path, faults: Iterable[Fault] = Fault) -> None:
        self._faults = cycle(faults)
        self._fault = Fault.NOTHING
        self._called = 0
        """Verbs and questions of this try."""
        self._asked = 0
        """Questions of no group, with those that had no answer."""
        self._within = False
        self._to_sync = False
        self._written = False
        """An early group is to be synced."""
        self.fails = False
        super().__init__(path)
        self.fails = True
        self._db.execute("CREATE TABLE IF NOT EXISTS receipts (who TEXT, number INTEGER, PRIMARY KEY (who, number))")

    def begin(self, who: str, number: int, *, early: bool = False) -> bool:
        self._fault, self._called = next(self._faults), 0
        if not early:
            self._fault = {Fault.UNSYNCED: Fault.UNDONE, Fault.SYNCED: Fault.DONE}.get(self._fault, self._fault)
        if self._fault is Fault.REFUSED:
            raise StoreTrouble("no connection")
        if not self._written:
            self._to_sync = early
            super().begin(who, number, early=True)
        if self._db.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?)", (who, number)).rowcount:
            assert not self._written, "another group was to be synced"
            return True
        if not self._written:
            super().rollback()
        return False

    def commit(self) -> None:
        assert self._db.in_transaction and not self._written, "there is no group to be committed"
        if self._fault is Fault.UNDONE:
            super().rollback()
            raise InDoubt("the connection was closed while the group was committed")
        if self._to_sync:
            self._written = True
        else:
            super().commit()
        if self._fault is Fault.DONE:
            raise InDoubt("the connection was closed while the group was committed")

    def sync(self) -> None:
        if self._written and self._fault is Fault.UNSYNCED:
            self._written = False
            super().rollback()
            raise InDoubt("the connection was closed before the sync")
        if self._written:
            self._written = False
            super().commit()
        if self._fault is Fault.SYNCED:
            raise InDoubt("the connection was closed after the sync")

    def rollback(self) -> None:
        if not self._written:
            super().rollback()

    def close(self) -> None:
        self.fails = False
        super().close()

    def call(self, verb: Callable[[], T], *, changes: bool) -> T:
        """A verb or question, the answer to which may not arrive."""
        if self._within or not self.fails:
            return verb()
        assert self._db.in_transaction or not changes, "a verb of no group"
        self._within = True
        try:
            answer = verb()
        finally:
            self._within = False
        if self._db.in_transaction:
            self._called += 1
            if self._called == _AT.get(self._fault):
                raise StoreTrouble("the connection was closed")
        else:
            self._asked += 1
            if self._asked % 2:
                raise StoreTrouble("no connection")
        return answer


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_") and callable(getattr(of, name, None))}


EARLY = {"start", "remember", "looked", "park", "recall"}
VERBS = public(Store) - public(Groups) - {"close"}


def _failing(name: str) -> Callable[..., object]:
    verb, changes = getattr(SqliteStore, name), name not in public(Questions)
    return lambda self, *args, **values: self.call(lambda: verb(self, *args, **values), changes=changes)


for _name in VERBS:
    setattr(FaultyStore, _name, _failing(_name))


class ByThread:
    """A ``Store``, each of whose verbs is a group of its own that the store's thread does; ``together`` has several.
    ``early``: so are those that the daemon asks for early. The suite does what follows from an end itself, so the
    thread does not."""

    def __init__(self, store: FaultyStore, *, early: bool = False) -> None:
        self._store = store
        self._early = early
        self._woken = threading.Event()
        store.unresolved = lambda: False  # type: ignore[method-assign]
        self._client = StoreClient(store, self._woken.set)
        self._client.start()
        self.clock, self.uptime = store.clock, store.uptime

    def together(self, verbs: Callable[[Store], T], *, changes: bool = True, early: bool = False) -> T:
        answers: list[Answer[T]] = []
        (self._client.submit if changes else self._client.ask)(verbs, answers.append, early=early and self._early)
        self._client.flush()
        while not answers:
            assert self._client.alive, self._client.ended
            self._woken.wait(1)
            self._woken.clear()
            self._client.deliver()
        return answers[0].get()

    def close(self) -> None:
        assert self._client.stop(30)
        assert not self._client.ended


def _by_thread(name: str) -> Callable[..., object]:
    verb, changes = getattr(FaultyStore, name), name not in public(Questions)
    early = not changes or name in EARLY
    return lambda self, *args, **values: self.together(
        lambda store: verb(store, *args, **values), changes=changes, early=early
    )


for _name in VERBS:
    setattr(ByThread, _name, _by_thread(_name))
