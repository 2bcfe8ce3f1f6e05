"""What policies remember is there with what it follows from, or neither is."""

from __future__ import annotations

from taskgated.store.contract import Store
from tests.store.jobs import add, spec


def test_what_is_remembered_is_known_until_something_else_is(store: Store) -> None:
    assert store.memory() == {}
    store.begin()
    store.remember({"rate:etl": "[1]", "rate:x": "[2]"})
    store.remember({"rate:etl": "[3]", "rate:x": None, "never": None})
    store.commit()
    assert store.memory() == {"rate:etl": "[3]"}


def test_it_goes_with_the_start_that_it_follows_from(store: Store) -> None:
    store.begin()
    (job,) = add(store, spec())
    store.commit()
    store.begin()
    store.start(job, 1, "{}")
    store.remember({"rate:etl": "[1]"})
    store.rollback()
    assert store.memory() == {}
    assert store.before() == []
