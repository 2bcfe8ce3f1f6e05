"""What jobs wait for others costs nobody who does not: it is found by indexes, at any number of jobs."""

from __future__ import annotations

import re
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from taskgated.core.after import Condition
from taskgated.store.sqlite.check import check
from taskgated.store.sqlite.sqlfiles import statements
from taskgated.store.sqlite.store import SqliteStore
from tests.store.jobs import add, passes, spec

FILE = resources.files("taskgated.store.sqlite").joinpath("sql/after.sql").read_text()
NAMES = [name for name in re.findall(r"^-- name: (\w+)", FILE, re.MULTILINE) if not name.startswith("check_")]


@pytest.mark.parametrize("name", [*NAMES, "prunable", "prune"])
def test_it_is_found_by_an_index(tmp_path: Path, name: str) -> None:
    SqliteStore(tmp_path / "db").close()
    db = sqlite3.connect(tmp_path / "db")
    statement = statements()[name]
    values = dict.fromkeys(re.findall(r"(?<!:):(\w+)", statement), 1)
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement, values)]
    db.close()
    assert not [step for step in plan if "TEMP B-TREE" in step or re.match(r"SCAN (jobs|conditions$)", step)], plan


def test_with_many_names_and_long_chains_they_are_given_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one user drops does not keep the store from all others; who waits in time is not cancelled meanwhile."""
    monkeypatch.setattr("taskgated.store.sqlite.after.WALKED", 40)
    store = SqliteStore(tmp_path / "db")
    chain = add(store, spec(), *(spec(after=(Condition("x", part=part),)) for part in range(20)), claim="chain")
    names = [f"n{number}" for number in range(10)]
    add(store, *(spec(after=(Condition(name),), after_timeout=60.0) for name in names), claim="waiting")
    waiting = range(chain[-1] + 1, chain[-1] + 11)
    came = add(store, *(spec(name=name, after=(Condition(chain[-1]),)) for name in names), claim="came")

    def given() -> list[int | None]:
        return [waited.job for job in waiting for waited in store.waits_for(job)]

    assert 0 < len([job for job in given() if job is not None]) < len(names)
    passes(100.0, monkeypatch)
    pieces = 0
    while store.unresolved():
        assert not store.resolve().over
        pieces += 1
    assert given() == came and pieces > 2
    store.close()


def test_many_who_wait_for_one_name_are_given_it_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the piece ends with the last of them; who waits in time is not cancelled meanwhile."""
    monkeypatch.setattr("taskgated.store.sqlite.after.GIVEN", 3)
    store = SqliteStore(tmp_path / "db")
    waiting = add(store, *[spec(after=(Condition("late"),), after_timeout=60.0)] * 9, claim="waiting")
    (late,) = add(store, spec(name="late"), claim="late")

    def given() -> list[int | None]:
        return [waited.job for job in waiting for waited in store.waits_for(job)]

    assert sorted(given(), key=str) == [*[late] * 3, *[None] * 6]
    passes(100.0, monkeypatch)
    pieces = 0
    while store.unresolved():
        assert not store.resolve().over
        pieces += 1
    assert given() == [late] * 9 and pieces == 3
    store.close()


def test_one_that_waits_for_nothing_known_is_told_of(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    _, second = add(store, spec(), spec(after=(Condition("x", part=0),)))
    store.close()
    said: list[str] = []
    assert check(tmp_path / "db", said.append) == 0
    db = sqlite3.connect(tmp_path / "db")
    db.execute("DELETE FROM conditions")
    db.commit()
    db.close()
    assert check(tmp_path / "db", said.append) == 65
    assert f"job {second}: it waits for another one, and nothing says for which" in said
