"""What there is in the store cannot be looked at: nothing hangs on it, and the journal has it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.daemon.stocktaking import Stocktaking
from taskgated.errors import Damaged, Impossible, TaskgateError
from taskgated.host.loop import Loop
from taskgated.store.answer import Answer


class Asked:
    """A store that answers each question with an error."""

    def __init__(self, error: TaskgateError) -> None:
        self.error = error
        self.written = self.queued = 1
        self.trouble = ""

    def ask(self, question: Callable[[Any], Any], told: Callable[[Answer[Any]], None]) -> None:
        told(Answer.failed(self.error))


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((Impossible("no such table"),), 1),
        ((Impossible("no such table"), Impossible("no such table")), 1),
        ((Impossible("no such table"), Impossible("no such column")), 2),
        ((Damaged("row 7"),), 0),
    ],
)
def test_is_told_once(errors: tuple[TaskgateError, ...], told: int) -> None:
    events: list[str] = []
    store: Any = Asked(errors[0])
    journal: Any = SimpleNamespace(event=lambda event, text, *args: events.append(text))
    gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
    requirements: Any = SimpleNamespace(asking=None)
    with closing(Loop()) as loop:
        stocktaking = Stocktaking(loop, gate, store, None, requirements, None, journal)  # type: ignore[arg-type]
        for error in errors:
            store.error = error
            stocktaking.take()
    assert len(events) == told
    assert all(str(error) in text for text, error in zip(events, errors, strict=False))
