"""What the store is told of how much there is, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.daemon.waiters import Waiters
from taskgated.errors import Impossible
from taskgated.store import waiting
from taskgated.store.client import StoreClient
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waiting import Totals
from tests.env.until import until
from tests.store.jobs import addition, spec

LINES = 5
EVENTS: list[str] = []


class Counting(SqliteStore):
    """It notes what it is told, and cannot do all of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.told: list[int] = []
        self.cannot: list[int] = []  # when it was told so often

    def refit(self, totals: Totals, after: int) -> int | None:
        self.told.append(totals.tokens["yarn"])
        if len(self.told) in self.cannot:
            raise Impossible("no such line")
        return super().refit(totals, after)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "db")


@pytest.fixture
def client(store: Counting) -> Iterator[StoreClient]:
    client = StoreClient(store, lambda: None)
    client.start()
    yield client
    assert client.stop(10)


@pytest.fixture
def waiters(client: StoreClient, store: Counting, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiters]:
    """One line after the other is gone through; of each some jobs are out and one is behind them."""
    monkeypatch.setattr(waiting, "REFITTED", 1)
    gate = Gate(Policy(9, 9), {}, lambda: 0.5)
    journal: Any = SimpleNamespace(event=lambda event, text, *args: EVENTS.append(text))
    EVENTS.clear()
    waiters = Waiters(gate, client, journal, lambda actions: None, list)
    waiters.policy(Policy(9, 9, tokens={"yarn": 2}))
    settle(client, store, 1)
    lines = [spec(tokens={"yarn": 2}, env={"N": str(n)}, key=f"{n}") for n in range(LINES)]
    client.call(lambda store: store.add([addition("c", *lines * (waiting.TIMES + 1))]))
    store.told.clear()
    yield waiters


def settle(client: StoreClient, store: Counting, told: int) -> None:
    """Until it was told so often, and no more is under way."""

    def done() -> bool:
        client.flush()
        client.deliver()
        return len(store.told) >= told

    until(done, f"the store was told {told} times")
    client.call(lambda store: None)
    client.deliver()
    client.flush()


def tokens(number: int) -> Policy:
    return Policy(9, 9, tokens={"yarn": number})


def test_the_lines_are_gone_through_when_there_is_more_or_less(
    waiters: Waiters, client: StoreClient, store: Counting
) -> None:
    waiters.policy(tokens(4))
    settle(client, store, LINES + 1)
    waiters.policy(tokens(4))
    settle(client, store, 0)
    assert store.told == [4] * (LINES + 1), "and not again for what they are fit for"
    waiters.policy(tokens(2))
    settle(client, store, 2 * (LINES + 1))
    assert store.told[LINES + 1 :] == [2] * (LINES + 1)


def test_what_there_was_meanwhile_is_told_no_more(waiters: Waiters, client: StoreClient, store: Counting) -> None:
    waiters.policy(tokens(4))
    client.flush()
    waiters.policy(tokens(6))
    settle(client, store, LINES + 2)
    assert store.told == [4, *[6] * (LINES + 1)]


def test_what_the_store_cannot_do_is_tried_again_after_each_inventory_and_told_once(
    waiters: Waiters, client: StoreClient, store: Counting
) -> None:
    store.cannot = [2, 3]
    waiters.policy(tokens(4))
    settle(client, store, 2)
    waiters.policy(tokens(4))
    settle(client, store, 0)
    assert store.told == [4] * 2
    for told in (3, LINES + 3):
        waiters.taken()
        settle(client, store, told)
        assert store.told == [4] * told, "where it was, not from the beginning"
    waiters.taken()
    waiters.taken()
    settle(client, store, 0)
    assert store.told == [4] * (LINES + 3)
    (event,) = EVENTS
    assert "no such line" in event


def test_what_has_no_answer_is_asked_again_when_it_had_its_time(
    waiters: Waiters, client: StoreClient, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lost:
        lost.setattr(client, "_later", lambda done: lambda answer: None)
        waiters.policy(tokens(4))
    settle(client, store, 1)
    waiters.taken()
    settle(client, store, 0)
    assert store.told == [4], "that inventory may have come before it"
    waiters.taken()
    settle(client, store, LINES + 2)
    assert store.told == [4] * (LINES + 2)
