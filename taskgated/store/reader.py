"""Questions for people and for the status line, on a thread of its own with its own view of the store.

Each question costs only so much, by what the store promises. They are taken one at a time, and in turns: of each
*lane* (one user's listings, say) one, so that one user's many questions hold up nobody else's few. What the store
cannot answer is answered with an error, at once: it can be asked again. A question is not asked, nor answered, when
nobody waits for it any more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from taskgated.errors import Damaged, Impossible, StoreError, TaskgateError
from taskgated.store.answer import Answer, AnyQuestion, Question
from taskgated.store.client import ignore
from taskgated.store.contract import Questions

T = TypeVar("T")


class _AnyWanted(AnyQuestion[Questions], Protocol):
    @property
    def gone(self) -> Callable[[], bool]: ...


class _Wanted(Question[Questions, T]):
    """A question that is asked as long as somebody wants the answer."""

    __slots__ = ("gone",)

    def __init__(
        self, question: Callable[[Questions], T], done: Callable[[Answer[T]], None], gone: Callable[[], bool]
    ) -> None:
        super().__init__(question, done)
        self.gone = gone


class Reader:
    """``ask`` returns at once; ``done`` is called with the answer by ``deliver``, which the owner of the loop
    calls after ``wake`` was called.

    ``damage``: what was found first to be wrong with the database itself; ``trouble``: what its disk said last.
    """

    def __init__(self, store: Questions, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._lanes: dict[Hashable, deque[_AnyWanted]] = {}  # the next to have its turn first
        self._asked = threading.Condition()
        self._stopping = False
        self._answered: deque[Callable[[], None]] = deque()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._progress = 1
        self._seen = 0
        self.damage = ""
        self.trouble = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End after the question under way; False when that took longer than ``timeout`` seconds."""
        with self._asked:
            self._stopping = True
            self._asked.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def ask(
        self,
        question: Callable[[Questions], T],
        done: Callable[[Answer[T]], None],
        *,
        lane: Hashable = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """``question`` is called on this thread, later: it looks only at values that its caller has bound. ``gone``:
        whether nobody wants the answer any more."""
        with self._asked:
            self._lanes.setdefault(lane, deque()).append(_Wanted(question, done, gone))
            self._asked.notify()

    def responsive(self) -> bool:
        """Whether a question was answered since this was last asked; for a watchdog. Each call leaves one behind, so
        that an idle thread has something to show."""
        moved = self._progress != self._seen
        self._seen = self._progress
        with self._asked:
            idle = not self._lanes
        if moved or idle:
            self.ask(ignore, ignore, gone=lambda: True)  # what nobody wants moves the thread on, and no more
        return moved and self._thread.is_alive()

    def deliver(self) -> None:
        """Hand out the answers that have come."""
        while self._answered:
            self._answered.popleft()()

    def _run(self) -> None:
        while (question := self._next()) is not None:
            if not question.gone():
                self._answer(question)
                self._answered.append(question.tell)
                self._wake()
            self._progress += 1
        self._store.close()

    def _next(self) -> _AnyWanted | None:
        with self._asked:
            self._asked.wait_for(lambda: self._lanes or self._stopping)
            if self._stopping:
                return None
            lane = next(iter(self._lanes))
            questions = self._lanes.pop(lane)
            question = questions.popleft()
            if questions:
                self._lanes[lane] = questions  # behind all others
            return question

    def _answer(self, question: _AnyWanted) -> None:
        try:
            question.do(self._store)
        except Damaged as error:
            self.damage = self.damage or str(error)
            question.fail(error)
        except Impossible as error:
            question.fail(error)
        except StoreError as error:
            self.trouble = f"the store cannot be read: {error}"
            question.fail(StoreError(self.trouble))
        except TaskgateError as error:
            question.fail(error)
        except Exception as error:  # something that no question and no value should do
            question.fail(Impossible(f"the store cannot do that: {error!r}"))
        else:
            self.trouble = ""
