"""How the daemon's other parts use the store: typed requests, done on the store's thread.

A request is a callable on the store, so its type says all: ``Callable[[Store], T]`` changes something and
``Callable[[Questions], T]`` does not, and ``T`` is what it answers.

    store.submit(lambda store: store.start(job, attempt, placement), done=started)

It is called on the store's thread, later, and again when its transaction has to be done again. So it looks only at
what does not change meanwhile: at values that its caller has bound, never at the attributes of a part.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from taskgated.host.listeners import Listeners
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer
from taskgated.store.contract import Questions, Store
from taskgated.store.groups import ALONE
from taskgated.store.thread import AnyRequest, Request, StoreThread

T = TypeVar("T")


def ignore(answer: object) -> None:
    """For a request of which no answer is wanted."""


class StoreClient:
    """A store on a thread of its own.

    On the main loop: ``submit`` and ``ask`` return at once, what they were given is handed over by ``flush``, and
    ``deliver`` calls ``done`` with the answers. The loop calls ``flush`` at the end of each turn, and ``deliver``
    after ``wake`` was called. On other threads: ``call`` and ``question`` wait for the answer.

    ``queued``: how many jobs are queued at the start. ``resolved`` is told, by ``deliver``, what came of the end of
    jobs that others wait for. ``who``: as of ``Groups.begin``.
    """

    def __init__(self, store: Store, wake: Callable[[], None], queued: int = 0, who: str = ALONE) -> None:
        self.resolved = Listeners[Answer[Resolved]]()
        self._thread = StoreThread(store, wake, queued, self._later(self.resolved.tell), who)
        self._submitted: list[AnyRequest] = []  # not handed over yet
        self._answered: deque[Callable[[], None]] = deque()
        self._seen = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Do what was asked for so far, then end; False when that took longer than ``timeout`` seconds."""
        self.flush()
        return self._thread.stop(timeout)

    # -- on the main loop ------------------------------------------------------------------------

    def submit(
        self, verb: Callable[[Store], T], done: Callable[[Answer[T]], None] = ignore, *, early: bool = False
    ) -> None:
        """Something is to be changed, together with all else until ``flush``. ``done`` is called by ``deliver`` when
        it is on stable storage; if ``early``, already when no crash of this process undoes it, but a power cut
        may."""
        self._submitted.append(Request(verb, self._later(done), changes=True, early=early))

    def ask(
        self, question: Callable[[Questions], T], done: Callable[[Answer[T]], None], *, early: bool = False
    ) -> None:
        """A question, behind what was submitted so far. The answer comes with those of its group; if ``early``, with
        the early ones."""
        self._submitted.append(Request(question, self._later(done), changes=False, early=early))

    def flush(self) -> None:
        """Hand over what was submitted and asked."""
        if self._submitted:
            submitted, self._submitted = self._submitted, []
            self._thread.put(submitted)

    def deliver(self) -> None:
        """Hand out the answers that have come."""
        while self._answered:
            self._answered.popleft()()

    def _later(self, done: Callable[[Answer[T]], None]) -> Callable[[Answer[T]], None]:
        return lambda answer: self._answered.append(partial(done, answer))

    # -- on other threads ------------------------------------------------------------------------

    def call(self, verb: Callable[[Store], T], also: Callable[[Answer[T]], None] = ignore) -> T:
        """Change something, and wait until it is durable, for as long as that takes; raises what the verb raised.

        ``also`` is called with the answer by ``deliver``, on its thread, without waiting for the calling one to run.
        """
        return self._wait(verb, also, changes=True)

    def question(self, question: Callable[[Questions], T]) -> T:
        """Ask, and wait for the answer; raises what the question raised."""
        return self._wait(question, ignore, changes=False)

    def _wait(self, verb: Callable[[Store], T], also: Callable[[Answer[T]], None], *, changes: bool) -> T:
        answers: list[Answer[T]] = []
        ready = threading.Event()

        def told(answer: Answer[T]) -> None:
            if also is not ignore:
                self._answered.append(partial(also, answer))
            answers.append(answer)

        self._thread.put([Request(verb, told, changes=changes, finished=ready.set)])
        ready.wait()
        return answers[0].get()

    # -- how it is -------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many jobs were queued when the last transaction was committed."""
        return self._thread.queued

    @property
    def written(self) -> int:
        """In how many transactions something may have changed: while this stays as it is, so does what is stored."""
        return self._thread.written

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty if it can, or if that is not known yet."""
        return self._thread.trouble

    @property
    def damage(self) -> str:
        """What was found to be wrong with the database itself."""
        return self._thread.damage

    @property
    def alive(self) -> bool:
        """Whether the thread is there; it ends by itself when the database is damaged, is not ours any more, or has
        lost what was written."""
        return self._thread.alive

    @property
    def ended(self) -> str:
        """Why the thread has ended by itself; empty if it has not."""
        return self._thread.ended

    def responsive(self) -> bool:
        """Whether the thread did anything since this was last asked; for a watchdog.

        Each call leaves a request behind that does nothing, so an idle thread has something to show.
        """
        moved = self._thread.progress != self._seen
        self._seen = self._thread.progress
        if moved or self._thread.idle:
            self._thread.put([Request(ignore, ignore, changes=False)])
        return moved and self._thread.alive
