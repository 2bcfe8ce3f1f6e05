"""The store beside the main loop: verbs that arrive together share one transaction and one sync.

The thread takes everything that waits, does it, commits once, and only then hands the answers out. So a
slow disk makes groups larger, not the loop slower, and nothing is answered before it is on stable storage.
When the disk refuses (full, read-only, broken), the group is kept and tried again until it is taken:
whoever waits for an answer keeps waiting, and ``trouble`` says why. A verb that the store cannot do at all,
for a value that it cannot keep, is answered with an error, and the rest of its group is done without it.

A damaged database is neither: ``damage`` says what was found. A question that met it is answered with an error, for
others may still have an answer; where something was to be written, the thread ends, as what comes next could be lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from sqlite3 import DataError, IntegrityError, InterfaceError, ProgrammingError
from sqlite3 import Error as SqliteError
from typing import Any

from taskgated.errors import StoreClosed, StoreError, TaskgateError
from taskgated.store.contract import Store

GROUP = 500
"""Verbs in one transaction, about: bounds the time that the first of them waits."""
RETRY = 1.0
"""Seconds between attempts to write a group that the disk refused."""

_NOTHING = ""
_HOPELESS = (DataError, IntegrityError, InterfaceError, ProgrammingError)
"""What the engine says of a statement or a value; all else it says of its disk, and that may pass."""
QUESTIONS = frozenset(
    {
        _NOTHING,
        "fetch",
        "before",
        "queued_by",
        "queues",
        "counts",
        "data_queues",
        "known",
        "keeper",
        "show",
        "list",
        "records",
        "backlog",
        "prunable",
    }
)
"""The verbs of the contract that change nothing."""


@dataclass(slots=True)
class Answer:
    """The result of one verb, or the error it raised."""

    value: Any = None
    error: TaskgateError | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(slots=True)
class _Request:
    verb: str
    args: tuple[Any, ...]
    done: Callable[[Answer], None]
    early: bool = False
    released: Callable[[], None] | None = None  # lets go whoever waits, once the loop has been woken
    answer: Answer | None = None


class _Impossible(Exception):
    """The store cannot do this, now or later; the transaction is half done."""

    def __init__(self, request: _Request) -> None:
        self.request = request


class _Broken(Exception):
    """Nothing can be written into this database any more."""


class StoreThread:
    """Runs a store on a thread of its own.

    ``submit`` returns at once; ``done`` is called with the answer by ``deliver``, which the owner of the loop
    calls after ``wake`` was called. ``call`` is for other threads and waits.

    ``queued``: how many jobs were queued when a transaction was last committed. It is asked of the store inside each,
    for whoever counts along with answers, which come in another order than the verbs were done in, counts wrong.
    """

    def __init__(self, store: Store, wake: Callable[[], None], name: str = "store") -> None:
        self._store = store
        self._wake = wake
        self._requests: SimpleQueue[list[_Request] | None] = SimpleQueue()
        self._submitted: list[_Request] = []  # not handed over yet
        self._answered: deque[tuple[Callable[[Answer], None], Answer]] = deque()
        self._stopping = False
        self._ended = False
        self.queued = 0
        self.trouble = ""
        self.damage = ""
        self.progress = 1  # counts turns of the loop, also the futile ones while the disk refuses
        self._seen = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Do what was asked for so far, then end; False when that took longer than ``timeout`` seconds."""
        self.flush()
        self._stopping = True
        self._requests.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._ended

    @property
    def waiting(self) -> int:
        return self._requests.qsize()

    def submit(
        self, verb: str, *args: Any, done: Callable[[Answer], None] = lambda answer: None, early: bool = False
    ) -> None:
        """Ask for a verb; for the loop's thread alone. ``done`` runs on the thread that calls ``deliver``.

        What is asked for between two calls of ``flush`` goes over together, and so shares a transaction.
        ``early``: it is answered when it is written, before it is synced, for whom a crash of the daemon must
        not undo it, but a power cut may.
        """
        request = _Request(verb, args, lambda answer: self._answered.append((done, answer)), early)
        self._submitted.append(request)

    def flush(self) -> None:
        """Hand over what was submitted."""
        if self._submitted:
            submitted, self._submitted = self._submitted, []
            self._put(submitted)

    def call(self, verb: str, *args: Any, also: Callable[[Answer], None] | None = None) -> Any:
        """Do a verb and wait until it is durable, for as long as that takes; raises what it raised.

        ``also`` gets the answer on the thread that calls ``deliver``, without waiting for ours to run.
        """
        box: list[Answer] = []
        ready = threading.Event()

        def done(answer: Answer) -> None:
            if also is not None:
                self._answered.append((also, answer))
            box.append(answer)

        self._put([_Request(verb, args, done, released=ready.set)])
        ready.wait()
        return box[0].get()

    def responsive(self) -> bool:
        """Whether the thread did anything since the last time this was asked; for a watchdog.

        Each call leaves a request behind that does nothing, so an idle thread has something to show.
        """
        moved = self.progress != self._seen
        self._seen = self.progress
        if moved or self._requests.empty():
            self._put([_Request(_NOTHING, (), lambda answer: None)])
        return moved and self._thread.is_alive()

    def deliver(self) -> None:
        """Hand out the answers that have come."""
        while self._answered:
            done, answer = self._answered.popleft()
            done(answer)

    def _put(self, requests: list[_Request]) -> None:
        if self._stopping:
            for request in requests:
                request.done(Answer(error=StoreClosed("the store is closed")))
                if request.released is not None:
                    request.released()
        else:
            self._requests.put(requests)

    def _run(self) -> None:
        try:
            self._serve()
        except _Broken:
            pass  # ``damage`` says why
        finally:
            self._ended = True
            self._wake()  # whoever relies on it is to know at once

    def _serve(self) -> None:
        while (requests := self._requests.get()) is not None:
            group = requests
            while len(group) < GROUP and not self._requests.empty():
                more = self._requests.get()
                if more is None:
                    self._requests.put(None)  # for the next turn, which will be the last
                    break
                group += more
            self._do(group)
        self._store.close()

    def _do(self, group: list[_Request]) -> None:
        early = [request for request in group if request.early]
        while True:
            self.progress += 1
            try:
                written = self._try(group, early=bool(early))
                break
            except _Impossible as error:
                self._roll_back()
                why = error.__cause__
                error.request.answer = Answer(error=StoreError(f"the store cannot {error.request.verb} that: {why}"))
                error.request.verb = _NOTHING
            except (SqliteError, StoreError, OSError) as error:
                self._roll_back()
                if damage := self._store.damage(error):
                    self.damage = str(damage)
                    raise _Broken from error
                self.trouble = str(error)
                self._wake()
                time.sleep(RETRY)
        self.trouble = ""
        if early:
            self._answer(early)
        if early and written:
            # A sync that fails has lost what nobody can name (fsync(2), "errors"): this thread ends here, the
            # daemon with it, and the next one reads what is really there.
            self._store.sync()
        self._answer([request for request in group if not request.early])

    def _answer(self, requests: list[_Request]) -> None:
        for request in requests:
            request.done(request.answer or Answer())
        self._wake()  # first: the loop has the next job to start, who waits has only to clean up
        for request in requests:
            if request.released is not None:
                request.released()

    def _try(self, group: list[_Request], *, early: bool) -> bool:
        """Whether anything was written."""
        # Questions alone need no transaction, and no lock: an idle daemon leaves its database alone.
        writes = any(request.verb not in QUESTIONS for request in group)
        if writes:
            self._store.begin(early=early)
        for request in group:
            if request.verb == _NOTHING:
                continue
            try:
                request.answer = Answer(getattr(self._store, request.verb)(*request.args))
            except _HOPELESS as error:
                raise _Impossible(request) from error
            except (StoreError, SqliteError, OSError) as error:
                damage = self._store.damage(error) if request.verb in QUESTIONS else None
                if damage is None:
                    raise
                self.damage = str(damage)
                request.answer = Answer(error=damage)
            except TaskgateError as error:  # that verb changed nothing; the others go on
                request.answer = Answer(error=error)
            except Exception as error:
                raise _Impossible(request) from error
        if writes:
            queued = self._store.queued()
            self._store.commit()
            self.queued = queued
        return writes

    def _roll_back(self) -> None:
        try:
            self._store.rollback()
        except SqliteError:
            pass  # the engine has rolled back by itself, or will say so at the next begin
