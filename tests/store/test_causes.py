"""The sentences that stand in databases: each is the one that was always written."""

from __future__ import annotations

import pytest

from taskgated.core.job import Interrupted
from taskgated.core.lifecycle import (
    Cause,
    Failure,
    LastFailure,
    Poisonous,
    WasCancelled,
    WasEnded,
    WasInterrupted,
)
from taskgated.store.causes import in_words


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (None, ""),
        (WasCancelled(), "cancelled while it was running"),
        (WasEnded(), "put back"),
        (WasInterrupted(Interrupted.FAIL), "interrupted, and its policy is to fail"),
        (WasInterrupted(Interrupted.RERUN), "interrupted, and its policy is to run again"),
        (Poisonous(3), "poison: its worker died 3 times"),
        (Failure(1, 3), "failure 1 of 3"),
        (LastFailure("no such file"), "no such file"),
    ],
)
def test_words(cause: Cause | None, words: str) -> None:
    assert in_words(cause) == words
