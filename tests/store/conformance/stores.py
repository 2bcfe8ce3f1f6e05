"""The stores that there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from taskgated.store.contract import Store
from taskgated.store.sqlite.store import SqliteStore
from tests.store.conformance.faults import ByThread, FaultyStore

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda directory: SqliteStore(directory / "jobs.sqlite"),
    "answers are lost": lambda directory: cast(Store, ByThread(FaultyStore(directory / "jobs.sqlite"))),
    "early ones too": lambda directory: cast(Store, ByThread(FaultyStore(directory / "jobs.sqlite"), early=True)),
}
