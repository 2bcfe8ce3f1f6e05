"""Jobs with the same key: which of them come, and which go."""

from __future__ import annotations

import pytest

from taskgated.core.coalesce import Skip, Take, coalesce
from taskgated.core.job import OnConflict

QUEUE, SKIP, REPLACE, ONCE_MORE = OnConflict.QUEUE, OnConflict.SKIP, OnConflict.REPLACE, OnConflict.ONCE_MORE


@pytest.mark.parametrize(
    ("how", "queued", "running", "what"),
    [
        (QUEUE, [2], [1], Take()), (QUEUE, [], [], Take()),
        (SKIP, [], [], Take()), (SKIP, [2], [], Skip(2)), (SKIP, [], [1], Skip(1)), (SKIP, [2], [1], Skip(1)),
        (REPLACE, [], [], Take(())), (REPLACE, [], [1], Take(())), (REPLACE, [2, 3], [1], Take((2, 3))),
        (ONCE_MORE, [], [], Take()), (ONCE_MORE, [], [1], Take()), (ONCE_MORE, [2], [1], Skip(2)),
        (ONCE_MORE, [2], [], Skip(2)),
    ],
)  # fmt: skip
def test_what_becomes_of_a_new_one(how: OnConflict, queued: list[int], running: list[int], what: Take | Skip) -> None:
    assert coalesce(how, queued, running) == what
