"""What the policies of queues remember of starts and ends: a *book* for each kind of policy, in it a *page* for each
queue that has one.

The conductor tells the ledger of each start and end before the store has it; what the books remember because of that
is written with it. A page that is not there any more is a fresh one; one that cannot be read is told of once, and
what takes its place is cautious. The page of a queue that has no such policy any more is removed.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from taskgated.core import plain
from taskgated.core.attempts import Finish
from taskgated.core.job import Job
from taskgated.core.owner import Owner
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.language.config import Config, QueueConfig
from taskgated.store.client import StoreClient

P = TypeVar("P")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be remembered, by its keys. ``durable``: a start waits for the disk, so that no power cut makes it
    forgotten."""

    values: Mapping[str, str | None]
    durable: bool = False


class Book(ABC, Generic[S, P]):
    """One kind of policy. ``S``: what is configured of it for a queue; ``P``: a page, a frozen dataclass that is
    plain data (``core/plain.py``), with a default for each field. ``uptime``: the clock in which it remembers
    moments."""

    name: ClassVar[str]
    kind: ClassVar[str]
    durable: ClassVar[bool] = False

    def __init__(self, uptime: Callable[[], int]) -> None:
        self.uptime = uptime
        self.pages: dict[str, tuple[S, P]] = {}

    # -- what a kind of policy says --------------------------------------------------------------

    @abstractmethod
    def settings(self, queue: QueueConfig, config: Config) -> S | None:
        """What is configured of it for a queue; None: it has no such policy."""

    @abstractmethod
    def fresh(self, settings: S) -> P:
        """The page of a queue that had none."""

    @abstractmethod
    def revived(self, settings: S, known: object) -> P:
        """A page as it was written; ``ValueError`` if that is none."""

    @abstractmethod
    def cautious(self, settings: S) -> P:
        """In place of a page that cannot be read."""

    def looked_for(self, settings: S) -> str:
        """A pattern that is to be looked for in the output of its jobs; "": none."""
        return ""

    # Each of these returns the page as it is from then on; None: nothing has changed.

    def starting(self, job: Job, settings: S, page: P) -> P | None:
        """A start is decided."""
        return None

    def started(self, job: Job, settings: S, page: P) -> P | None:
        """The store has it, and the worker is told now."""
        return None

    def refused(self, job: Job, settings: S, page: P) -> P | None:
        """It does not come about."""
        return None

    def ended(self, finish: Finish, settings: S, page: P) -> P | None:
        """An attempt is over."""
        return None

    def resumed(self, queue: str, by: Owner, settings: S, page: P) -> P | None:
        """Somebody has the queue go on."""
        return None

    # -- pages -----------------------------------------------------------------------------------

    def key(self, queue: str) -> str:
        return f"{self.name}:{queue}"

    def queues(self) -> Iterable[str | None]:
        return list(self.pages)


class Ledger:
    """``changed`` is told when something has happened in a queue that has a page: somebody has to look at what is
    decided now."""

    def __init__(self, store: StoreClient, journal: Journal, before: Mapping[str, str]) -> None:
        self._store = store
        self._journal = journal
        self._before = dict(before)
        self._books: list[Book[Any, Any]] = []
        self.changed = Listeners[()]()

    def add(self, book: Book[Any, Any], config: Config) -> None:
        self._books.append(book)
        self._configure(book, config)

    def configure(self, config: Config) -> None:
        """From now on this configuration holds."""
        for book in self._books:
            self._configure(book, config)

    def take(self, prefix: str) -> dict[str, str]:
        """What was remembered under keys that begin so, and is somebody else's."""
        taken = {key: text for key, text in self._before.items() if key.startswith(prefix)}
        for key in taken:
            del self._before[key]
        return taken

    def forget(self, keys: Sequence[str]) -> None:
        """Nothing is remembered any more under these."""
        if keys:
            self._write(dict.fromkeys(keys))

    def opened(self) -> None:
        """All books are there: what is left of what was remembered belongs to none."""
        if self._before:
            self._write(dict.fromkeys(self._before))
            self._before = {}

    def _configure(self, book: Book[Any, Any], config: Config) -> None:
        before, book.pages = book.pages, {}
        for name, queue in config.queues.items():
            if (settings := book.settings(queue, config)) is not None:
                page = before[name][1] if name in before else self._page(book, name, settings)
                book.pages[name] = (settings, page)
        if gone := before.keys() - book.pages.keys():
            self._write({book.key(queue): None for queue in gone})

    def _page(self, book: Book[Any, Any], queue: str, settings: Any) -> Any:
        if (text := self._before.pop(book.key(queue), None)) is None:
            return book.fresh(settings)
        try:
            return book.revived(settings, json.loads(text))
        except (ValueError, RecursionError) as error:
            what = f"what was remembered for the {book.name} of queue {queue} cannot be read ({error})"
            self._journal.event(Event.INTERNAL_ERROR, f"{what}: the worst is assumed", Priority.ERROR)
            return book.cautious(settings)

    # -- what the conductor tells ----------------------------------------------------------------

    def looked_for(self, queue: str) -> str:
        """What a worker is to look for in the output of a job of that queue; "": nothing."""
        found = (book.looked_for(book.pages[queue][0]) for book in self._books if queue in book.pages)
        return next(filter(None, found), "")

    def starting(self, job: Job) -> Kept:
        """A start is decided; what is returned is written with it."""
        return self._turned(job.queue, lambda book, settings, page: book.starting(job, settings, page))

    def started(self, job: Job) -> None:
        """The store has it; its worker is told now."""
        self._note(job.queue, lambda book, settings, page: book.started(job, settings, page))

    def refused(self, job: Job) -> None:
        """It does not come about."""
        self._note(job.queue, lambda book, settings, page: book.refused(job, settings, page))

    def ended(self, finish: Finish) -> Kept:
        """An attempt is over; what is returned is written with that."""
        return self._turned(finish.job.queue, lambda book, settings, page: book.ended(finish, settings, page))

    def resumed(self, queue: str, by: Owner) -> bool:
        """Somebody has a queue go on. Whether something of it was closed for what is remembered here."""
        turned = self._turned(queue, lambda book, settings, page: book.resumed(queue, by, settings, page))
        if turned.values:
            self._write(turned.values)
        return bool(turned.values)

    def _note(self, queue: str, turn: Callable[[Book[Any, Any], Any, Any], Any]) -> None:
        if values := self._turned(queue, turn).values:
            self._write(values)

    def _turned(self, queue: str, turn: Callable[[Book[Any, Any], Any, Any], Any]) -> Kept:
        values: dict[str, str | None] = {}
        durable = known = False
        for book in self._books:
            if queue in book.pages:
                known = True
                settings, before = book.pages[queue]
                page = turn(book, settings, before)
                if page is not None and page != before:
                    book.pages[queue] = (settings, page)
                    said = plain.differing(page, type(page)())
                    values[book.key(queue)] = json.dumps(said, separators=(",", ":"))
                    durable = durable or book.durable
        if known:
            self.changed.tell()
        return Kept(values, durable)

    def _write(self, values: Mapping[str, str | None]) -> None:
        self._store.submit(lambda store: store.remember(values), early=True)
