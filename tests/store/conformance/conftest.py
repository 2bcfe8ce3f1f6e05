"""A new store, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.store import thread, waiting
from taskgated.store.contract import Store
from tests.store.conformance.stores import STORES


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in doubt is asked for without a pause."""
    monkeypatch.setattr(thread, "RETRY", 0)


@pytest.fixture
def as_could_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line no more are out than could run at once, so that it is easily seen who comes out, and when."""
    monkeypatch.setattr(waiting, "TIMES", 1)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.close()
