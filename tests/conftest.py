"""Fixtures that every test may use: a gate of its own, and the proof that nothing was left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate_env import GateEnv


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests first. The lab last: its machines are children of this process until the very end."""
    slow = ("/chaos/", "/system/")
    items.sort(key=lambda item: [part in str(item.path) for part in reversed(slow)])


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[..., GateEnv]]:
    """Makes gates; at the end they are stopped, and a process that is left fails the test."""
    made: list[GateEnv] = []

    def make(config: str = "workers: 2\n", *, start: bool = True, python: str = sys.executable) -> GateEnv:
        env = GateEnv(tmp_path / f"gate{len(made)}", config, python)
        made.append(env)
        if start:
            env.start()
        return env

    yield make
    for env in made:
        env.clean_up()


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    """A running gate with two workers."""
    return make_gate()
