"""What a part has to tell, to parts that it does not know: they are built after it, and ask to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVarTuple

Facts = TypeVarTuple("Facts")


class Listeners(Generic[*Facts]):
    """``Listeners[int]()``: calls with one integer. They are called in the order in which they were added, on the
    thread that tells; an exception out of one of them is the teller's."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[Callable[[*Facts], object]] = []

    def add(self, call: Callable[[*Facts], object]) -> None:
        """From now on ``call`` is told."""
        self._calls.append(call)

    def tell(self, *facts: *Facts) -> None:
        for call in self._calls:
            call(*facts)
