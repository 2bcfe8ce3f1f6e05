"""The stores that there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from taskgated.store.contract import Store
from taskgated.store.sqlite.store import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda directory: SqliteStore(directory / "jobs.sqlite"),
}
