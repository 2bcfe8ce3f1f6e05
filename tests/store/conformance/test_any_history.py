"""Random verbs, in any order: the store and a model of a few lines agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskgated.core.job import Outcome, Result
from taskgated.core.lifecycle import TRANSITIONS, Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.store.contract import Filter, Store
from taskgated.store.placement import here
from tests.store.conformance.stores import STORES
from tests.store.jobs import add, spec


class StoreMachine(RuleBasedStateMachine):
    """Random verbs against a model of a few lines: the same answers, the same states."""

    def __init__(self, opened: Callable[[Path], Store]) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = opened(Path(self.directory.name))
        self.model: dict[int, tuple[State, int]] = {}
        self.claims = 0

    @rule(n=st.integers(1, 3))
    def add(self, n: int) -> None:
        self.claims += 1
        for id_ in add(self.store, *[spec() for _ in range(n)], claim=str(self.claims)):
            self.model[id_] = (State.QUEUED, 0)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), verb=st.sampled_from(list(Verb)), late=st.integers(0, 1))
    def move(self, data: st.DataObject, verb: Verb, late: int) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.model)))
        state, attempt = self.model[id_]
        after = TRANSITIONS.get((state, verb))
        try:
            if verb is Verb.START:
                self.store.start(id_, attempt + 1 + late, here("{}"))
                after = None if late else after
            elif verb is Verb.HOLD:
                self.store.hold(id_)
            elif verb is Verb.RELEASE:
                self.store.release(id_)
            elif verb is Verb.MOVE:
                self.store.move(id_, "default")
            elif verb is Verb.PRIORITIZE:
                self.store.prioritize(id_, 50 + late)
            elif verb is Verb.RETRY_BY_HAND:
                self.store.retry(id_)
            elif verb is Verb.CANCEL and state is not State.RUNNING:
                self.store.cancel(id_)
            else:
                self.store.finish(Outcome(id_, attempt - late, Result.FAILED), Verdict(verb))
                after = None if late else after
        except IllegalTransition:
            assert after is None or late, f"{verb} of {state} was refused"
        else:
            assert after is not None, f"{verb} of {state} was allowed"
            self.model[id_] = (after, attempt + (verb is Verb.START))

    @invariant()
    def same(self) -> None:
        listed = {r.id: (r.state, r.attempt) for r in self.store.list(0, 10**6, Filter()).records}
        assert listed == self.model
        totals: dict[State, int] = {}
        for state, _ in self.model.values():
            totals[state] = totals.get(state, 0) + 1
        assert self.store.counts().get("default", {}) == totals

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


@pytest.mark.parametrize("name", STORES)
def test_any_history(name: str) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(STORES[name]),
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
