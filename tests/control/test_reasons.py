"""What a job waits for, as people and programs are told: these words and sentences are part of the interface."""

from __future__ import annotations

import pytest

from taskgated.control.reasons import worded
from taskgated.core.capacity import AllBusy, Draining, Held, NotDue, NoWorker, QueueFull, Reason


@pytest.mark.parametrize(
    ("reason", "kind", "text"),
    [
        (Held(), "held", "it is held until it is released"),
        (NotDue(2_345_678), "time", "it is due in 2.3 s"),
        (QueueFull("etl", 3, 2), "queue limit", "queue etl runs 3 of at most 2"),
        (AllBusy(5, 4), "workers", "all 4 workers are busy (5 jobs run)"),
        (NoWorker(1, 4), "no worker", "no worker is there for it: 1 of 4 run jobs, another has to come first"),
        (Draining(), "stopping", "the daemon is stopping"),
    ],
)
def test_words(reason: Reason, kind: str, text: str) -> None:
    told = worded(reason)
    assert (told.kind, told.text) == (kind, text)
