"""A daemon that loses every callback of its store: ``python -m tests.env.forgetful`` in the place of ``taskgated``.

What a verb did is told, and nothing that it says in passing; of the questions of each kind the first has no answer,
the second has one, and so on, and that of every third one comes twice, and late.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from taskgated import __main__ as program
from taskgated.core.job import Outcome
from taskgated.core.lifecycle import Verdict
from taskgated.daemon import daemon, opening, stocktaking
from taskgated.store import turns, waiting
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer
from taskgated.store.byhand import Came
from taskgated.store.client import StoreClient, ignore
from taskgated.store.contract import Added, Addition, Ended, Questions, Store
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waking import Coming, Woken

T = TypeVar("T")

NEVER = Coming(None, None, None)


class ForgetfulStore(SqliteStore):
    """The real one, without a hint."""

    def add(self, additions: Sequence[Addition]) -> Added:
        return replace(super().add(additions), best={}, fresh=(), timed=False)

    def finish(self, outcome: Outcome, verdict: Verdict) -> Ended:
        return replace(super().finish(outcome, verdict), came=None)

    def cancel(self, job: int) -> Ended:
        return replace(super().cancel(job), came=None)

    def wake(self) -> Woken:
        return replace(super().wake(), best={}, coming=NEVER)

    def resolve(self) -> Resolved:
        return replace(super().resolve(), best={}, more=False)

    def hold(self, job: int) -> Sequence[Came]:
        super().hold(job)
        return []

    def release(self, job: int) -> Sequence[Came]:
        super().release(job)
        return []

    def retry(self, job: int) -> Sequence[Came]:
        super().retry(job)
        return []

    def move(self, job: int, queue: str) -> Sequence[Came]:
        super().move(job, queue)
        return []

    def prioritize(self, job: int, priority: int) -> Sequence[Came]:
        super().prioritize(job, priority)
        return []


class ForgetfulClient(StoreClient):
    """The real one; it does not tell all answers. ``Recall``, ``Park`` and ``refit`` are as questions."""

    def submit(
        self, verb: Callable[[Store], T], done: Callable[[Answer[T]], None] = ignore, *, early: bool = False
    ) -> None:
        if _kind(done).startswith(("Waiters.recall.", "Waiters.park.", "Waiters._refit.")):
            done = self._perhaps(done)
        super().submit(verb, done, early=early)

    def ask(
        self, question: Callable[[Questions], T], done: Callable[[Answer[T]], None], *, early: bool = False
    ) -> None:
        super().ask(question, self._perhaps(done), early=early)

    def _perhaps(self, done: Callable[[Answer[T]], None]) -> Callable[[Answer[T]], None]:
        ASKED[_kind(done)] += 1
        asked = ASKED[_kind(done)]

        def told(answer: Answer[T]) -> None:
            if asked % 2 == 0:
                done(answer)
            if asked % 6 == 0:
                LATE.append(lambda: done(answer))

        return told

    def deliver(self) -> None:
        late = [LATE.popleft() for _ in range(len(LATE) - KEPT)]
        super().deliver()
        for tell in late:
            tell()


def _kind(done: Callable[[Answer[T]], None]) -> str:
    return getattr(done, "__qualname__", "")


ASKED = Counter[str]()
LATE = deque[Callable[[], None]]()
KEPT = 3
"""Answers that are late, while there are others."""

if __name__ == "__main__":
    turns.LANES = stocktaking.KNOWN = 5
    waiting.REFITTED = 1
    opening.SqliteStore = ForgetfulStore
    daemon.StoreClient = ForgetfulClient
    sys.exit(program.main())
