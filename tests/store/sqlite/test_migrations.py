"""A database of version 0.3.0 (schema 5) becomes one of this version, with all that is in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from taskgated.core.state import State
from taskgated.host.clock import MICROSECONDS
from taskgated.store.contract import Filter
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.sqlfiles import migrations
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.store.jobs import addition, fetch, spec

LAST = 5
BY_NAME = 24
"""From that schema on owners are texts; those of before are numbers."""
TABLES = {"jobs": "id", "attempts": "job, number", "claims": "claim", "counts": "queue, state, owner", "meta": "key"}
WORKER = json.dumps({"pid": 1, "start": 1, "boot": "of yesterday"})
Rows = dict[str, list[dict[str, Any]]]


def populated(path: Path, version: int = LAST) -> Path:
    """A database of that schema with jobs in each state, what they have done, and files that are being taken in."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        for _, script in migrations()[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        whose = "uid" if version >= BY_NAME else "owner"
        for number, state in enumerate([*State] * 2, 1):
            over = state.final
            attempt = 0 if state in (State.QUEUED, State.HELD) and number <= len(State) else 2
            db.execute(
                f"INSERT INTO jobs (state, queue, priority, name, source, {whose}, attempt, failures, submitted, "
                " started, finished, exit_code, result, reason, claim, spec, since)"
                f" VALUES ({', '.join('?' * 17)})",
                (state, "default" if number % 2 else "etl", number, b"n\xff%d" % number, b"s\xfe.yaml", 1000 + number,
                 attempt, number % 2, number, number if attempt else None, number if over else None,
                 0 if over else None, "succeeded" if over else None, "said" if over else "",
                 f"claim{number}" if number % 3 == 0 else None, json.dumps({"command": f"echo {number}"}), number),
            )  # fmt: skip
            for done in range(1, attempt + 1):
                ended = number if over or done < attempt or state is not State.RUNNING else None
                db.execute(
                    "INSERT INTO attempts (job, number, worker, started, finished, result, user, output, message)"
                    " VALUES (?, ?, ?, ?, ?, ?, 1.5, 7, 'said')",
                    (number, done, WORKER, number, ended, "failed" if ended else None),
                )
        db.execute("UPDATE jobs SET due = 5, due_clock = 'wall' WHERE state = 'queued' AND attempt > 0")
        db.execute("INSERT INTO claims (claim, parts) VALUES ('half', 3), ('done', 1)")
        db.execute("INSERT INTO meta VALUES ('data_queues', '[\"lines\"]')")
    return path


def rows(path: Path) -> Rows:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        found = {
            table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {key}")]
            for table, key in TABLES.items()
        }
    for row in found["jobs"] + found["counts"]:
        row["owner"] = str(row["owner"])
    return found


def schema(path: Path) -> tuple[int, list[tuple[str, str]]]:
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return version, db.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()


def kept(before: Rows, after: Rows) -> None:
    """All that was there is there, as it was; the clocks, which the store writes down, may be new."""
    for table in TABLES:
        known = before[table][0].keys()
        then = [{name: row[name] for name in known} for row in after[table]]
        assert [row for row in before[table] if row not in then] == [], table
        assert table == "meta" or len(then) == len(before[table])


def test_each_migration_has_a_number_of_its_own() -> None:
    """Of two with one number the second would never be done where a crash came in between."""
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_all_that_was_there_is_there(tmp_path: Path) -> None:
    path = populated(tmp_path / "db")
    before = rows(path)
    assert {row["state"] for row in before["jobs"]} == set(State) and len(before["attempts"]) > len(State)
    store = SqliteStore(path)
    kept(before, after := rows(path))
    new = {name: {row[name] for row in after["jobs"]} for name in after["jobs"][0].keys() - before["jobs"][0].keys()}
    for row in after["jobs"]:
        waited = 0 if State(row["state"]).final else row["since"] - row["priority"] * 60 * MICROSECONDS
        assert row["turn"] == waited, "the turn of what is not over follows from when it came"
        assert row["owner"] == str(row["uid"]), "whose it is, is the same, written in another way"
    del new["turn"], new["uid"]
    assert new.pop("claim_host") == {""}, "and all files are this host's"
    kept_by = {row["claim"]: row["state"] for row in before["jobs"] if row["claim"]}
    assert {claim: store.keeper(claimed(claim)) for claim in kept_by} == kept_by != {}
    assert new == {name: {0} if name == "parked" else {None} for name in new}, "nothing is made up"
    assert {row["array"] for row in after["claims"]} == {None}
    assert [record.id for record in store.list(0, 99, Filter()).records] == [row["id"] for row in before["jobs"]]
    assert {before.placement for before in store.before()} == {here(WORKER)}, "what runs is this host's"
    store.add([addition("half", spec(name="4"), first=3)])
    (job,) = [job for job in fetch(store, {"default": 99}) if job.spec.name == "4"]
    assert (store.show(job.id).job.array, store.known(claimed("half"))) == (None, 4), (
        "a file that was half taken in goes on"
    )
    assert [job.id for job in fetch(store, {"default": 99})] == [job.id, 1], "and what was queued is what may start"
    store.start(1, 1, here(WORKER))
    store.close()


def test_whenever_it_is_killed_it_is_as_before_or_after(tmp_path: Path) -> None:
    """At each of its statements; and what comes next brings it to its end."""
    source = populated(tmp_path / "source")
    before = rows(source)
    versions = {
        version: schema(populated(tmp_path / f"v{version}", version))[1]
        for version in range(LAST, len(migrations()) + 1)
    }
    seen = set()
    path = tmp_path / "db"
    for statement in range(1, 1000):
        for name in ("db", "db-wal", "db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(source, path)
        survived = opened_until(path, statement)
        version, found = schema(path)
        assert found == versions[version], f"killed at statement {statement}"
        kept(before, rows(path))
        seen.add(version)
        SqliteStore(path).close()
        assert schema(path) == (len(migrations()), versions[len(migrations())])
        kept(before, rows(path))
        if survived:
            break
    assert seen == set(versions), "it was killed within each of the migrations"


def opened_until(path: Path, statement: int) -> bool:
    """Have another process open it, which is killed at that statement; whether it came to its end before."""

    class Killed(sqlite3.Connection):
        left = statement

        def execute(self, *args: Any) -> sqlite3.Cursor:
            Killed.left -= 1
            if Killed.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().execute(*args)

    pid = os.fork()
    if pid == 0:
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        sqlite3.connect = lambda *args, **values: connect(*args, factory=Killed, **values)  # type: ignore[assignment]
        try:
            SqliteStore(path)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_daemon_runs_what_was_queued(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\n", start=False)
    gate.layout.state.mkdir(0o700)
    before = rows(populated(gate.layout.database))["jobs"]
    gate.start()
    waiting = [row["id"] for row in before if row["state"] in ("queued", "running")]
    jobs = {job["id"]: job for job in gate.until_over(len(before) - 2)}
    assert [jobs[id_]["state"] for id_ in waiting] == ["succeeded"] * len(waiting)
    assert [gate.ctl("logs", str(id_)).stdout for id_ in waiting] == [b"%d\n" % id_ for id_ in waiting]
    others = [row for row in before if row["id"] not in waiting]
    assert [(jobs[row["id"]]["state"], jobs[row["id"]]["attempt"]) for row in others] == [
        (row["state"], row["attempt"]) for row in others
    ]
    assert len(gate.call("Show", id=waiting[-1])["attempts"]) == jobs[waiting[-1]]["attempt"] == 3
