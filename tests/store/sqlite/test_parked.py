"""A job that is parked for something and whose row is damaged is no matter of others that wait for the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waiting import Parking, Room
from tests.store.jobs import add, spec


@pytest.mark.parametrize(
    ("column", "value", "readable"),
    [
        ("turn", "x", False), ("turn", b"\xff", False), ("turn", 1.5, False), ("owner", b"bob", False),
        ("queue", b"q", False), ("needs", "x", False), ("needs", 2.5, False), ("needs", None, True),
    ],
)  # fmt: skip
def test_a_bad_row_comes_back_as_such_and_the_others_by_themselves(
    tmp_path: Path, column: str, value: Any, readable: bool
) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqliteStore(path)
    store.begin("", 1)
    jobs = add(store, *(spec(tokens={"yarn": number}) for number in (1, 2, 3)))
    store.park([Parking(job, "token:yarn", number) for number, job in enumerate(jobs, 1)])
    store.commit()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (value, jobs[1]))
    store.begin("", 1)
    recalled = store.recall({"token:yarn": Room(4, 4)})
    store.commit()
    back = {job.id: job for job in recalled.jobs}
    assert set(back) == set(jobs)
    assert [back[job].unreadable == "" for job in jobs] == [True, readable, True]
    assert [first.job for first in recalled.first] == [None]
    store.close()
