"""Verbs that arrive together: all of them, or none."""

from __future__ import annotations

import pytest

from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.store.contract import Store
from taskgated.store.placement import here
from tests.store.jobs import add, spec, together, undone


def test_an_error_changes_nothing_and_stops_nobody(store: Store) -> None:
    (job,) = add(store, spec())

    def verbs(store: Store) -> None:
        with pytest.raises(IllegalTransition):
            store.start(job, 5, here("{}"))
        store.hold(job)

    together(store, verbs)
    assert store.show(job).record.state is State.HELD


def test_rollback(store: Store) -> None:
    undone(store, lambda store: add(store, spec()))
    assert store.counts() == {}
