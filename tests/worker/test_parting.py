"""A worker that leaves because its daemon is gone says of which attempt it has heard last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.attempts.partings import Parting, Partings
from taskgated.core.job import Spec
from tests.env.worker import Env, proof


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Env]:
    yield from proof(tmp_path)


@pytest.mark.parametrize("last", [None, (7, 2)])
def test_it_leaves_word(env: Env, last: tuple[int, int] | None) -> None:
    worker = env.worker()
    if last is not None:
        worker.run(Spec(command=("true",)), 1, 1)
        worker.run(Spec(command=("true",)), *last)
    worker.drop()
    assert env.server.expect("exited")["status"] == 0
    assert Partings(env.layout.outcomes).read(worker.id) == Parting(worker.id, last)


def test_not_if_it_has_not_understood_what_it_was_told(env: Env) -> None:
    """That may have been an attempt: a job that no worker understands counts as a crash, not tried for ever."""
    worker = env.worker()
    worker.say(run={"job": "x", "attempt": 1, "spec": {}, "log": ""})
    assert env.server.expect("exited")["status"] == 0
    assert Partings(env.layout.outcomes).read(worker.id) is None


def test_not_if_it_was_told_to_leave(env: Env) -> None:
    worker = env.worker()
    worker.say(quit={})
    assert env.server.expect("exited")["status"] == 0
    assert Partings(env.layout.outcomes).read(worker.id) is None
