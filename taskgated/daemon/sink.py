"""Where intake puts what it took: the store, and word of it to the main loop.

Called on intake's thread. Every call that changes something returns when it is on stable storage.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from taskgated.core.job import Claim
from taskgated.core.state import State
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.in_force import InForce
from taskgated.daemon.news import News
from taskgated.daemon.troubles import damage
from taskgated.errors import Damaged
from taskgated.intake.events import Accepted
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Added, Addition, Questions, Record
from taskgated.store.placement import HERE, claimed
from taskgated.store.reader import Reader

T = TypeVar("T")


class Sink:
    """``intake.events.Sink``, on the store. To intake a damaged store is as a disk that takes nothing: it claims no
    more, and waits."""

    def __init__(
        self, in_force: InForce, store: StoreClient, reader: Reader, conductor: Conductor, news: News
    ) -> None:
        self._in_force = in_force
        self._store = store
        self._reader = reader
        self._conductor = conductor
        self._news = news
        self.waits = False  # a call of intake's is under way

    def room(self) -> int:
        """How many more jobs may be queued. What ``add`` took counts from the moment it returns."""
        return max(0, self._in_force.now.max_backlog - self._store.queued)

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        if found := damage(self._store, self._reader):
            raise OSError(errno.EUCLEAN, f"nothing is taken in: {found}")
        with self._waiting():
            self._store.call(lambda store: store.add(batch), also=lambda answer: self._added(answer, accepted))

    def queued_by(self, owner: str) -> int:
        return self._ask(lambda store: store.queued_by(owner))

    def known(self, claim: str) -> int | None:
        return self._ask(lambda store: store.known(claimed(claim)))

    def plan(self, claim: str) -> str:
        return self._ask(lambda store: store.plan(claimed(claim)))

    def known_to_earlier(self, claim: str) -> bool:
        return self._ask(lambda store: store.known_to_earlier(claimed(claim)))

    def keeper(self, claim: str) -> State | None:
        return self._ask(lambda store: store.keeper(claimed(claim)))

    def worked_on(self, claim: str) -> Record | None:
        return self._ask(lambda store: store.worked_on(claimed(claim)))

    def data_queues(self) -> Sequence[str]:
        return self._ask(lambda store: store.data_queues())

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        with self._waiting():
            self._store.call(lambda store: store.keep_data_queues(queues))

    def forget_claims(self, claims: Sequence[str]) -> None:
        gone = [claimed(claim) for claim in claims]
        with self._waiting():
            self._store.call(lambda store: store.forget_claims(gone))

    def _ask(self, question: Callable[[Questions], T]) -> T:
        try:
            with self._waiting():
                return self._store.question(question)
        except Damaged as error:
            raise OSError(errno.EUCLEAN, f"nothing is taken in: {error}") from error

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def _added(self, answer: Answer[Added], accepted: Sequence[Accepted]) -> None:
        """On the loop."""
        if answer.error is None:
            for event in accepted:  # first: a job that starts comes of a file that was accepted
                self._news.hear(event)
            self._conductor.added(answer.get())


def ours(claims: Iterable[Claim]) -> list[str]:
    """The names of those that are on this host. What another has is for that one to let go: it asks what became of
    each (``Questions.keeper``)."""
    return [claim.name for claim in claims if claim.host == HERE]
