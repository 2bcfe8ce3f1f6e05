"""Owners whom an earlier version has noted by their uids get their names."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.core.after import Condition, When
from taskgated.core.order import Lane
from taskgated.store.contract import Filter
from taskgated.store.sqlite import naming
from taskgated.store.sqlite.sqlfiles import migrations
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.turns import all_lanes
from tests.store.jobs import addition, spec

LAST = 23
"""The last schema with owners that are numbers."""
ALICE, BOB = 1001, 1002
JOBS = [("queued", ALICE), ("queued", ALICE), ("succeeded", ALICE), ("queued", BOB), ("held", ALICE)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in which owners are numbers: jobs of two, of which some need a key, and one waits for a name."""
    path = tmp_path / "db"
    with closing(sqlite3.connect(path)) as db, db:
        for _, script in migrations()[:LAST]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {LAST}")
        for id_, (state, uid) in enumerate(JOBS, 1):
            db.execute(
                "INSERT INTO jobs (id, state, queue, priority, name, source, owner, submitted, key, waits, parked,"
                " spec) VALUES (?, ?, 'q', 50, ?, 's', ?, 1, ?, ?, ?, ?)",
                (
                    id_, state, b"n%d" % id_, uid, f"{uid}:k", f"key:{uid}:k" if id_ == 2 else None, int(id_ == 2),
                    json.dumps(spec(key="k", after=(Condition("next", When.OVER),) if id_ == 4 else ()).to_json()),
                ),
            )  # fmt: skip
        db.execute(
            "INSERT INTO conditions (job, place, until, owner, name, patience) VALUES (4, 0, 'over', ?, ?, ?)",
            (BOB, b"next", 2**60),
        )
    return path


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def owners(store: SqliteStore) -> list[tuple[str, int]]:
    return [(record.owner, record.uid) for record in store.list(0, 99, Filter()).records]


def test_until_then_they_are_their_numbers(store: SqliteStore) -> None:
    assert sorted(store.unnamed()) == [ALICE, BOB]
    assert owners(store) == [(str(uid), uid) for _, uid in JOBS]
    assert set(all_lanes(store)) == {Lane("q", str(ALICE)), Lane("q", str(BOB))}
    assert [store.queued_by(str(uid)) for uid in (ALICE, BOB)] == [2, 1]


def test_all_that_is_of_an_owner_gets_the_name(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces, where it is much."""
    monkeypatch.setattr(naming, "NAMED", 3)
    assert [store.name(ALICE, "alice"), store.name(ALICE, "alice")] == [False, True]
    assert store.unnamed() == [BOB]
    assert owners(store) == [("alice" if uid == ALICE else str(uid), uid) for _, uid in JOBS]
    assert (store.queued_by("alice"), store.queued_by(str(ALICE)), store.queued_by(str(BOB))) == (2, 0, 1)
    assert store.waiting() == {"key:alice:k": 2}, "what it is parked for is called otherwise, too"
    keyed = spec(key="k", on_conflict="skip", queue="q")
    added = store.add([replace(addition("new", keyed), owner="alice")])
    assert added.skipped == {6: 1}, "its keys are those of new jobs"


def test_a_job_that_comes_is_the_one_that_was_waited_for(store: SqliteStore) -> None:
    assert store.name(BOB, "bob")
    assert [waited.name for waited in store.waits_for(4)] == ["next"]
    store.add([replace(addition("new", spec(name="next")), owner="bob")])
    assert [waited.job for waited in store.waits_for(4)] == [6]


def test_one_that_came_before_is_given_to_who_waits(path: Path) -> None:
    """What was still to be done of that, while nobody could say the name, is done."""
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO came VALUES (?, ?)", (str(BOB), b"next"))
        db.execute("UPDATE jobs SET name = ?, owner = ? WHERE id = 1", (b"next", str(BOB)))
    store = SqliteStore(path)
    assert store.name(BOB, "bob")
    while store.resolve().more:
        pass
    assert [waited.job for waited in store.waits_for(4)] == [1]
    store.close()


def test_who_has_no_name_stays_a_number_and_is_asked_for_no_more(path: Path) -> None:
    """Whoever is given that uid later is another."""
    store = SqliteStore(path)
    assert store.name(ALICE, str(ALICE))
    store.close()
    store = SqliteStore(path)
    assert store.unnamed() == [BOB]
    assert store.queued_by(str(ALICE)) == 2
    store.close()


def test_several_numbers_may_turn_out_to_be_one_owner(store: SqliteStore) -> None:
    assert store.name(ALICE, "alice") and store.name(BOB, "alice")
    assert (store.unnamed(), store.queued_by("alice"), set(all_lanes(store))) == ([], 3, {Lane("q", "alice")})


def test_a_new_database_knows_nobody_by_a_number_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new")
    store.add([addition("a", spec(after=(Condition("b"),)))])
    assert store.unnamed() == []
    store.close()


def test_nothing_is_found_by_the_uid(store: SqliteStore, path: Path) -> None:
    """A column that gets another name has it in each index and trigger as well."""
    with closing(sqlite3.connect(path)) as db:
        made = db.execute("SELECT name FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql LIKE '%uid%'")
        assert made.fetchall() == []
