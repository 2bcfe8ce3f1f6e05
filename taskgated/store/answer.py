"""What is asked of a store, and what it answers: a value of the type that was asked for, or an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from taskgated.errors import TaskgateError

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
T = TypeVar("T")


class Answer(Generic[T]):
    """Either what a verb returned, or the error that it raised (``error``, None if it did not)."""

    __slots__ = ("_value", "error")

    _value: T
    error: TaskgateError | None

    @classmethod
    def of(cls, value: T) -> Answer[T]:
        answer = cls()
        answer._value = value
        answer.error = None
        return answer

    @classmethod
    def failed(cls, error: TaskgateError) -> Answer[T]:
        answer = cls()
        answer.error = error
        return answer

    def get(self) -> T:
        """The value; raises ``error`` if there is one."""
        if self.error is not None:
            raise self.error
        return self._value


class AnyQuestion(Protocol[S_contra]):
    """A ``Question``, whatever its answer."""

    def do(self, store: S_contra) -> None: ...

    def fail(self, error: TaskgateError) -> None: ...

    def tell(self) -> None: ...


class Question(Generic[S, T]):
    """What is asked of a store on its thread, and who is told. It has an answer after ``do`` or ``fail``."""

    __slots__ = ("_answer", "_question", "_told")

    _answer: Answer[T]

    def __init__(self, question: Callable[[S], T], told: Callable[[Answer[T]], None]) -> None:
        self._question = question
        self._told = told

    def do(self, store: S) -> None:
        self._answer = Answer.of(self._question(store))

    def fail(self, error: TaskgateError) -> None:
        self._answer = Answer.failed(error)

    @property
    def failed(self) -> bool:
        return self._answer.error is not None

    def tell(self) -> None:
        self._told(self._answer)
