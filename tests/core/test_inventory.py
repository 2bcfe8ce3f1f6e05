"""What the gate is told may be lost, late, or come twice: by its inventories alone every job comes to its end."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from taskgated.core.fetch import Fetch
from taskgated.core.job import Job, Locks
from taskgated.core.lifecycle import Verb
from taskgated.core.order import Lane, Rank
from taskgated.core.parking import Park, Recall
from taskgated.core.state import State
from tests.core.test_decisions import LIMITS, GateMachine, Harness


class Fate(enum.Enum):
    """What becomes of a question to the store."""

    TOLD = enum.auto()
    UNHEARD = enum.auto()
    UNANSWERED = enum.auto()
    LATE = enum.auto()
    TWICE = enum.auto()


class LossyHarness(Harness):
    """The gate hears of nothing that comes of other things, and the answers to its questions fare as they do."""

    def __init__(self, seed: int, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.random = random.Random(seed)
        self.late: list[Callable[[], None]] = []

    def answer(self, action: Fetch | Park | Recall) -> None:
        fate = self.random.choice(list(Fate))
        if fate is Fate.UNHEARD:
            return
        tell = self.asked(action)
        if fate in (Fate.TOLD, Fate.TWICE):
            tell()
        if fate in (Fate.LATE, Fate.TWICE):
            self.late.append(tell)

    def came(self, lane: Lane, rank: Rank) -> None:
        pass

    def offered(self, job: Job) -> None:
        pass

    def dropped(self, job: int) -> None:
        pass

    def look_again(self) -> None:
        pass

    def settle(self) -> None:
        for turns in count():
            super().settle()
            for tell in self.late:
                tell()
            self.late = []
            super().settle()
            assert turns < 300, "it never comes to rest"
            before = self.gate.asked
            self.take()
            if not self.pending and self.gate.asked == before:
                break

    def restart(self, idle: Iterable[str]) -> None:
        self.late = []
        super().restart(idle)


class LossyMachine(GateMachine):
    h: LossyHarness

    @initialize(
        workers=st.integers(1, 4),
        limit=st.integers(1, 3),
        ready=st.integers(1, 4),
        more=LIMITS,
        seed=st.integers(0, 1000),
    )
    def begin(self, workers: int, limit: int, ready: int, more: dict[str, Any], seed: int) -> None:
        super().begin(workers, limit, ready, more)
        self.h = LossyHarness(seed, workers, {"etl": limit}, ready, **more)

    @precondition(lambda self: self.h.late)
    @rule(data=st.data())
    def answer_late(self, data: st.DataObject) -> None:
        self.h.late.pop(data.draw(st.integers(0, len(self.h.late) - 1)))()


TestLossyMachine = LossyMachine.TestCase
TestLossyMachine.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("verb", [Verb.PRIORITIZE, Verb.MOVE, Verb.HOLD])
@pytest.mark.parametrize("needs", [{"locks": Locks(("a",))}, {}])
def test_an_inventory_finds_what_keeps_those_behind_it_no_more(needs: dict[str, Any], verb: Verb) -> None:
    """In a strict queue, whether it waits for something by name or for its user's only place."""
    h = Harness(3, {}, 2, users={"1": 2 if needs else 1}, strict=("x",))
    for worker in "abc":
        h.do(h.gate.worker_idle(worker))
    h.add("default", 50, owner=1, **needs)
    h.settle()
    kept, free = h.add("x", 60, owner=1, **needs), h.add("x", 40)
    h.settle()
    h.store.by_hand(kept.id, verb, "default", 10**18)  # and nobody is told
    h.take()
    h.settle()
    assert h.store.jobs[free.id].state is State.RUNNING
