"""What the tests of workers share: a worker server and its workers, with a control group of their own and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.env.worker import Env, WorkerPeer, proof


@pytest.fixture(params=[True, False], ids=["cgroup", "no-cgroup"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Env]:
    yield from proof(tmp_path, cgroups=request.param)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Env]:
    """For what has nothing to do with control groups."""
    yield from proof(tmp_path)


@pytest.fixture
def worker(plain: Env) -> WorkerPeer:
    return plain.worker()
