"""The file that a SQLite store is: durable, of one version, written by one."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from taskgated.errors import StoreError
from taskgated.store.contract import Filter, Store
from taskgated.store.placement import here
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.sqlfiles import STATEMENTS, statements
from taskgated.store.sqlite.store import SqliteStore
from tests import REPOSITORY
from tests.store.jobs import OWNER, add, addition, spec


def test_survives_closing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    (job,) = add(store, spec(name="kept"))
    clock = store.clock
    store.close()
    again = SqliteStore(tmp_path / "db")
    assert again.show(job).record.name == "kept"
    assert again.clock == clock, "the steady clock is the same for every daemon of one boot"
    again.close()


def test_durable_by_its_settings(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "db").close()
    with sqlite3.connect(tmp_path / "db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer taskgated"):
        SqliteStore(tmp_path / "db")


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="is damaged: file is not a database"):
        SqliteStore(tmp_path / "db")


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from taskgated.store.sqlite import database

    good = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: [(1, good[0][1] + "\nCREATE TABLE jobs (x);\n")])
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "db")
    monkeypatch.undo()
    SqliteStore(tmp_path / "db").close()


def test_one_running_attempt_a_job_is_physical(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    (job,) = add(store, spec())
    store.start(job, 1, here("{}"))
    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute("INSERT INTO attempts (job, number, worker, started) VALUES (?, 2, '', 0)", (job,))
    store.close()


def test_little_of_a_large_database_is_kept_in_memory(tmp_path: Path) -> None:
    """By the one that writes, and the reader beside it, at any size of the backlog."""
    store, reader = SqliteStore(tmp_path / "db"), SqliteQuestions(tmp_path / "db")
    kept = [one._db.execute("PRAGMA cache_size").fetchone()[0] for one in (store, reader)]
    assert all(kib < 0 for kib in kept) and -sum(kept) <= 10 * 1024
    reader.close()
    store.close()


def test_a_reader_sees_what_is_committed_and_writes_nothing(tmp_path: Path) -> None:
    store, reader = SqliteStore(tmp_path / "db"), SqliteQuestions(tmp_path / "db")
    store.begin("", 1)
    add(store, spec())
    assert reader.list(0, 9, Filter()).records == []
    store.commit()
    assert len(reader.list(0, 9, Filter()).records) == 1
    assert not {name for name in vars(Store) if not name.startswith("_")} & set(dir(reader)), "it has no verbs"
    with pytest.raises(sqlite3.OperationalError):
        reader._db.execute("DELETE FROM jobs")
    reader.close()
    store.close()


def test_every_statement_is_used_and_explained() -> None:
    from importlib import resources

    package = resources.files("taskgated.store.sqlite")
    code = "".join(file.read_text() for file in package.iterdir() if file.name.endswith(".py"))
    assert not [name for name in statements() if f'"{name}"' not in code]
    text = [line for name in STATEMENTS for line in package.joinpath("sql", name).read_text().splitlines()]
    for number, line in enumerate(text):
        if line.startswith(("-- name:", "-- shared:")):
            assert text[number + 1].startswith("-- "), f"{line} has no sentence"
    shared = [line.removeprefix("-- shared: ") for line in text if line.startswith("-- shared:")]
    assert shared and all(sum(f"{{{name}}}" in line for line in text) > 1 for name in shared)


@pytest.mark.parametrize("backlog", [1_000, 100_000])
def test_the_next_job_is_found_by_an_index(tmp_path: Path, backlog: int) -> None:
    """Not by time, which machines share, but by the plan: no scan, no sorting, at any size."""
    store = SqliteStore(tmp_path / "big.sqlite")
    store.begin("", 1)
    store.add([addition("c", *[spec(priority=i % 101) for i in range(backlog)])])
    store.commit()
    db = sqlite3.connect(tmp_path / "big.sqlite")
    values = {"queue": "default", "owner": OWNER, "steady": 0, "limit": 1, "offset": 0}
    plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statements()["fetch"], values))
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(step, 1)
    db.execute(statements()["fetch"], values).fetchall()
    store.close()
    db.close()
    assert "SEARCH" in plan
    assert "USING INDEX jobs_ready" in plan
    assert "TEMP B-TREE" not in plan
    assert steps < 100, "the virtual machine's instructions must not grow with the backlog"


def test_nothing_else_imports_sqlite3() -> None:
    """Nor knows its errors: a store is used by its contract."""
    package = REPOSITORY / "taskgated"
    importing = [path for path in package.rglob("*.py") if re.search("(import|from) sqlite3", path.read_text())]
    assert {path.parent for path in importing} == {package / "store" / "sqlite"}
