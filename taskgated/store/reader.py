"""Questions that change nothing, for people and for the status line: a view of the store on a thread of its own.

Each question costs only so much, by what the store's verbs promise. They are taken one at a time, and in turns: of
each *lane* (one user's listings, say) one, so that nobody's many questions hold up another's few. What the store
cannot answer is answered with an error, at once: who asks can ask again. Who has left is not answered.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from sqlite3 import Error as SqliteError
from typing import Any

from taskgated.errors import StoreError, TaskgateError
from taskgated.store.contract import Store
from taskgated.store.thread import QUESTIONS, Answer

_NOTHING = ""


@dataclass(frozen=True, slots=True)
class _Question:
    verb: str
    args: tuple[Any, ...]
    done: Callable[[Answer], None]
    gone: Callable[[], bool]


class Reader:
    """``submit`` returns at once; ``done`` is called with the answer by ``deliver``, which the owner of the loop
    calls after ``wake`` was called.

    ``damage``: what was found to be wrong with the database itself; ``trouble``: what its disk said last.
    """

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._lanes: dict[Hashable, deque[_Question]] = {}  # the next to have its turn first
        self._asked = threading.Condition()
        self._stopping = False
        self._answered: deque[tuple[Callable[[Answer], None], Answer]] = deque()
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

    def submit(
        self,
        verb: str,
        *args: Any,
        done: Callable[[Answer], None],
        lane: Hashable = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Ask for one of ``QUESTIONS``. ``gone``: whether nobody wants the answer any more."""
        assert verb in QUESTIONS
        with self._asked:
            self._lanes.setdefault(lane, deque()).append(_Question(verb, args, done, gone))
            self._asked.notify()

    def responsive(self) -> bool:
        """Whether a question was answered since this was last asked; for a watchdog. Each call leaves one behind, so
        that an idle thread has something to show."""
        moved = self._progress != self._seen
        self._seen = self._progress
        with self._asked:
            idle = not self._lanes
        if moved or idle:
            self.submit(_NOTHING, done=lambda answer: None)
        return moved and self._thread.is_alive()

    def deliver(self) -> None:
        """Hand out the answers that have come."""
        while self._answered:
            done, answer = self._answered.popleft()
            done(answer)

    def _run(self) -> None:
        while (question := self._next()) is not None:
            if not question.gone():
                answer = self._answer(question) if question.verb != _NOTHING else Answer()
                self._answered.append((question.done, answer))
                self._wake()
            self._progress += 1
        self._store.close()

    def _next(self) -> _Question | None:
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

    def _answer(self, question: _Question) -> Answer:
        try:
            answer = Answer(getattr(self._store, question.verb)(*question.args))
        except (SqliteError, StoreError, OSError) as error:
            if damage := self._store.damage(error):
                self.damage = str(damage)
                return Answer(error=damage)
            self.trouble = f"the store cannot be read: {error}"
            return Answer(error=StoreError(self.trouble))
        except TaskgateError as error:
            return Answer(error=error)
        except Exception as error:  # something that no statement and no value should do
            return Answer(error=StoreError(f"the store cannot {question.verb} that: {error!r}"))
        self.trouble = ""
        return answer
