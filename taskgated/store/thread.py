"""The store's thread: verbs that arrive together share one transaction and one sync.

The thread takes all requests that wait, does them in one transaction, commits once, and only then answers. So a slow
disk makes the groups larger, not the main loop slower, and nothing is answered before it is on stable storage.

What the store raises (see ``contract``) decides what becomes of a group:

- ``StoreTrouble``: the group is rolled back, and tried again every second until the store takes it. Meanwhile its
  requests wait, and ``trouble`` says why.
- ``InDoubt``, of a commit or a sync: the same group is begun again, under its number. If it was committed, the
  answers in hand are given; else all of it is done again.
- ``Impossible``, and what no verb should raise: the request is answered with an error. The transaction is half done,
  so it is rolled back, and the rest of the group is done again without that request.
- ``Damaged``: ``damage`` says what was found. A question is answered with that error, for others may still have an
  answer. Where something was to be written the thread ends, because what it writes next could be lost.
- ``NotYours`` and ``Lost``: the thread ends, for a new process to begin with what is there. ``ended`` says why.
- Any other error of ours (``IllegalTransition``, ``NoSuchJob``): the verb has changed nothing. Its request is
  answered with the error, and the group goes on.

Where jobs wait for others, what follows from the end of these is done in the same group, a piece of it: whichever
verb it was that ended them, and also if nobody has asked for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol, TypeVar

from taskgated.errors import Damaged, Impossible, Lost, NotYours, StoreClosed, StoreError, TaskgateError
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer, AnyQuestion, Question
from taskgated.store.contract import Store
from taskgated.store.groups import ALONE

T = TypeVar("T")

GROUP = 500
"""Verbs in one transaction, about: bounds the time that the first of them waits."""
RETRY = 1.0
"""Seconds between attempts to write a group that the store refused."""


class AnyRequest(AnyQuestion[Store], Protocol):
    """A ``Request``, whatever its answer."""

    @property
    def changes(self) -> bool: ...

    @property
    def early(self) -> bool: ...

    @property
    def hopeless(self) -> bool: ...

    @property
    def failed(self) -> bool: ...

    def give_up(self, error: TaskgateError) -> None: ...

    def finish(self) -> None: ...


class Request(Question[Store, T]):
    """A verb for the thread, and what to do with its answer.

    ``changes``: whether it changes anything; a question does not. ``early``: the answer need not wait for the disk,
    as long as no crash of this process undoes what was done. ``told`` is called with the answer on the store's
    thread, and ``finished`` behind it, once the main loop has been woken.
    """

    __slots__ = ("_finished", "changes", "early", "hopeless")

    def __init__(
        self,
        verb: Callable[[Store], T],
        told: Callable[[Answer[T]], None],
        *,
        changes: bool,
        early: bool = False,
        finished: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(verb, told)
        self._finished = finished
        self.changes = changes
        self.early = early
        self.hopeless = False  # it has its error, and is not tried again

    def give_up(self, error: TaskgateError) -> None:
        self.fail(error)
        self.hopeless = True

    def finish(self) -> None:
        if self._finished is not None:
            self._finished()


class _Resolve(Request[Resolved]):
    """What the thread asks for itself."""


class _Group:
    """Requests that share a transaction. ``number``: as of ``Groups.begin``."""

    __slots__ = ("answered", "early", "number", "queued", "requests", "told", "writes")

    def __init__(self, requests: list[AnyRequest], number: int) -> None:
        self.requests = requests
        self.number = number
        self.early = [request for request in requests if request.early]
        # Questions alone need no transaction, and no lock: an idle daemon leaves its database alone.
        self.writes = any(request.changes for request in requests)
        self.answered = False
        """Each request has its answer, of a transaction that was to be committed."""
        self.queued = 0
        """How many jobs are queued after it."""
        self.told: list[bool] | None = None
        """Of the early ones, whether each has failed, once they were told."""


class _GivenUp(Exception):
    """A request of the group will never be done; the transaction is half done."""


class _Broken(Exception):
    """Nothing can be written into this database any more; why."""


class StoreThread:
    """Runs a store on a thread of its own; others use it through a ``StoreClient``.

    ``wake`` is called, on that thread, whenever there are answers, or ``trouble`` or ``damage`` has changed, and when
    the thread ends.

    ``queued``: how many jobs were queued when the last transaction was committed. Each transaction asks the store
    itself: answers come in another order than that in which the verbs were done, so no count along with them is
    right.

    ``resolved`` is called on that thread with what came of the end of jobs that others wait for, once it is durable.

    ``who``: as of ``Groups.begin``; the thread numbers its groups from 1.
    """

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        queued: int = 0,
        resolved: Callable[[Answer[Resolved]], None] = lambda answer: None,
        who: str = ALONE,
    ) -> None:
        self._store = store
        self._who = who
        self._number = 0  # of the last group
        self._wake = wake
        self._resolved = resolved
        self._requests: SimpleQueue[list[AnyRequest] | None] = SimpleQueue()
        self._stopping = False
        self._over = False
        self.ended = ""
        """Why the thread has ended by itself."""
        self.queued = queued
        self.written = 0
        """Groups in which something may have changed."""
        self.trouble = ""
        self.damage = ""
        self.progress = 1
        """Turns of the thread, counting the futile ones while the store refuses."""
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Do what was put so far, then end; False when that took longer than ``timeout`` seconds."""
        self._stopping = True
        self._requests.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._over

    @property
    def idle(self) -> bool:
        """No request waits; one may be under way."""
        return self._requests.empty()

    def put(self, requests: list[AnyRequest]) -> None:
        """To be done in this order, together if they are few; refused with ``StoreClosed`` after ``stop``."""
        if not self._stopping:
            self._requests.put(requests)
            return
        for request in requests:
            request.fail(StoreClosed("the store is closed"))
            request.tell()
            request.finish()

    # -- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except _Broken as broken:
            self.ended = str(broken)
        except BaseException as error:
            self.ended = repr(error)
            raise
        finally:
            self._over = True
            self._wake()  # the daemon cannot go on without this thread, and shall know at once

    def _serve(self) -> None:
        while (requests := self._requests.get()) is not None:
            group = requests
            while len(group) < GROUP and not self._requests.empty():
                more = self._requests.get()
                if more is None:
                    self._requests.put(None)  # for the next turn, which will be the last
                    break
                group += more
            self._number += 1
            self._do(_Group(group, self._number))
        self._store.close()

    def _do(self, group: _Group) -> None:
        self.progress += 1
        while not self._done(group):
            self.progress += 1
        self.trouble = ""
        self._answer([request for request in group.requests if not request.early])

    def _done(self, group: _Group) -> bool:
        """Whether the group was done, and is on stable storage; else it is to be done again."""
        try:
            self._commit(group)
            self.written += group.writes
            self._tell_early(group)
            if group.early and group.writes:
                # One that fails has lost what nobody can name: this thread ends here, the daemon with it, and the
                # next one reads what is really there.
                self._store.sync()
            return True
        except _GivenUp:
            self._roll_back()
        except (Damaged, NotYours, Lost) as error:
            self._roll_back()
            if isinstance(error, Damaged):
                self.damage = str(error)
            raise _Broken(str(error)) from error
        except Impossible as error:  # of the group, so of each of its requests
            self._roll_back()
            for request in group.requests:
                request.give_up(error)
            self._tell_early(group)
            return True
        except StoreError as error:
            self._roll_back()  # where it is in doubt, there is nothing to
            self.trouble = str(error)
            self._wake()
            time.sleep(RETRY)
        return False

    def _tell_early(self, group: _Group) -> None:
        self.trouble = ""
        failed = [request.failed for request in group.early]
        if group.told is None:
            group.told = failed
            self._answer(group.early)
        elif failed != group.told:
            raise _Broken("it was said that something was done, which was lost since, and cannot be done again")

    def _answer(self, requests: list[AnyRequest]) -> None:
        for request in requests:
            request.tell()
        self._wake()  # first: the loop has the next job to start, a thread that waits has only to clean up
        for request in requests:
            request.finish()

    def _commit(self, group: _Group) -> None:
        if not group.writes:
            self._each(group)
        elif self._store.begin(self._who, group.number, early=bool(group.early)):
            group.answered = False
            self._each(group)
            if self._store.unresolved() and not any(isinstance(request, _Resolve) for request in group.requests):
                resolve = _Resolve(lambda store: store.resolve(), self._resolved, changes=True)
                group.requests.append(resolve)  # with all of it, if that has to be done again
                self._one(resolve)
            group.queued = self._store.queued()
            group.answered = True
            self._store.commit()
        elif not group.answered:
            raise _Broken(f"somebody else has committed group {group.number} of {self._who or 'this process'}")
        if group.writes:
            self.queued = group.queued

    def _each(self, group: _Group) -> None:
        for request in group.requests:
            if not request.hopeless:
                self._one(request)

    def _one(self, request: AnyRequest) -> None:
        try:
            request.do(self._store)
        except Impossible as error:
            request.give_up(error)
            raise _GivenUp from error
        except Damaged as error:
            if request.changes:
                raise
            self.damage = self.damage or str(error)
            request.fail(error)
        except StoreError:
            raise
        except TaskgateError as error:
            request.fail(error)
        except Exception as error:
            request.give_up(Impossible(f"the store cannot do that: {error}"))
            raise _GivenUp from error

    def _roll_back(self) -> None:
        try:
            self._store.rollback()
        except StoreError:
            pass  # the database has rolled back by itself, or will say so at the next begin
