"""What was set by hand is kept until it is taken back."""

from __future__ import annotations

from taskgated.store.contract import Store
from tests.store.jobs import undone


def test_what_is_set_holds_until_it_is_taken_back(store: Store) -> None:
    assert store.overrides() == {}
    store.override({"pause": "{}", "pause:etl": '{"by": 1}'})
    store.override({"pause:etl": '{"by": 2}', "limit:x": "4", "pause": None, "never": None})
    assert store.overrides() == {"pause:etl": '{"by": 2}', "limit:x": "4"}


def test_what_was_rolled_back_was_never_set(store: Store) -> None:
    undone(store, lambda store: store.override({"pause": "{}"}))
    assert store.overrides() == {}
