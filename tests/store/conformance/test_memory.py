"""What policies remember is there with what it follows from, or neither is."""

from __future__ import annotations

from taskgated.store.contract import Store
from taskgated.store.placement import here
from tests.store.jobs import add, spec, undone


def test_what_is_remembered_is_known_until_something_else_is(store: Store) -> None:
    assert store.memory() == {}
    store.remember({"rate:etl": "[1]", "rate:x": "[2]"})
    store.remember({"rate:etl": "[3]", "rate:x": None, "never": None})
    assert store.memory() == {"rate:etl": "[3]"}


def test_it_goes_with_the_start_that_it_follows_from(store: Store) -> None:
    (job,) = add(store, spec())

    def verbs(store: Store) -> None:
        store.start(job, 1, here("{}"))
        store.remember({"rate:etl": "[1]"})

    undone(store, verbs)
    assert store.memory() == {}
    assert store.before() == []
