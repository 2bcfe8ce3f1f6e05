"""What one user may fill of the backlog, and that everybody else goes on meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from taskgated.core.job import Spec
from taskgated.core.state import State
from taskgated.intake import shares
from taskgated.intake.events import Crowded, Uncrowded
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite import database
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.intake import Gate, config, running
from tests.env.until import until

ALICE, BOB = 64_111, 64_112
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


@pytest.fixture(autouse=True)
def ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "ASK", 0.02)


def drop(gate: Gate, owner: int, name: str, text: str) -> None:
    hidden = gate.spool / f".{name}"
    hidden.write_text(text)
    os.chown(hidden, owner, -1)
    hidden.rename(gate.spool / name)


@as_root
def test_a_list_of_one_user_fills_that_users_share_and_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path, user_backlog=10) as gate:
        drop(gate, ALICE, "flood.tasks", "".join(f"alice {n}\n" for n in range(25)))
        until(lambda: gate.sink.queued_by(str(ALICE)) == 10)
        drop(gate, ALICE, "more.yaml", "command: [alice, more]\n")
        drop(gate, BOB, "bob.yaml", "command: [bob, one]\n")
        until(lambda: "bob\0one" in gate.sink.commands)
        (crowded,) = gate.told(Crowded)
        assert (crowded.owner, crowded.share) == (str(ALICE), 10)
        assert (gate.spool / "more.yaml").exists()
        assert gate.sink.queued_by(str(ALICE)) == 10


@as_root
def test_what_was_held_back_comes_when_there_is_room_and_nothing_is_lost(tmp_path: Path) -> None:
    with running(tmp_path, user_backlog=8) as gate:
        drop(gate, ALICE, "flood.tasks", "".join(f"alice {n}\n" for n in range(30)))
        for number in range(5):
            drop(gate, ALICE, f"{number}.yaml", f"command: [more, '{number}']\n")
        for _ in range(60):
            until(lambda: gate.sink.queued_by(str(ALICE)) > 0 or len(gate.sink.commands) == 35)
            assert gate.sink.queued_by(str(ALICE)) <= 8
            gate.sink.end_jobs(1)
        until(lambda: len(gate.sink.commands) == 35, timeout=30)
        assert [c for c in gate.sink.commands if c.startswith("alice")] == [f"alice {n}" for n in range(30)]
        until(gate.idle)
        assert gate.told(Uncrowded)


@as_root
def test_a_share_that_a_reload_makes_larger_holds_at_once(tmp_path: Path) -> None:
    with running(tmp_path, user_backlog=2) as gate:
        for number in range(4):
            drop(gate, ALICE, f"{number}.yaml", "command: [x]\n")
        until(lambda: gate.told(Crowded) and gate.sink.queued_by(str(ALICE)) == 2)
        gate.intake.reload(config(user_backlog=4))
        until(lambda: gate.sink.queued_by(str(ALICE)) == 4)


def test_administrators_have_no_share(tmp_path: Path) -> None:
    with running(tmp_path, user_backlog=1) as gate:
        gate.drop("many.tasks", "one\ntwo\nthree\n")
        until(lambda: len(gate.sink.commands) == 3)
        assert not gate.told(Crowded)


@as_root
def test_the_daemon_says_who_is_held_back(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nuser_backlog: 3\nqueues: {default: {defaults: {delay: 1h}}}\n")
    staged = gate.root / "staged"
    staged.write_text("".join(f"echo {n}\n" for n in range(7)))
    os.chown(staged, ALICE, -1)
    staged.rename(gate.layout.spool / "flood.tasks")
    until(lambda: f"files of uid {ALICE} are held back" in gate.status()["text"], timeout=30)
    until(lambda: gate.status()["counts"]["queued"] == 3, timeout=30)
    assert gate.status()["ready"]
    gate.drop("root.yaml", "command: 'true'\ndelay: 0s\n")
    gate.until_over(1)
    assert f"files of uid {ALICE} stay in the spool: 3 jobs" in gate.log()


def test_the_store_knows_what_of_whom_is_queued(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    specs = [Spec(command="true"), Spec(command="true", queue="etl")]
    (first, _) = store.add(
        [
            Addition(claimed("c"), 0, specs, "x", str(ALICE), ALICE),
            Addition(claimed("d"), 0, specs[:1], "y", str(BOB), BOB),
        ]
    ).jobs[:2]
    assert (store.queued_by(str(ALICE)), store.queued_by(str(BOB)), store.queued_by("root")) == (2, 1, 0)
    store.start(first, 1, here("{}"))
    assert (store.queued_by(str(ALICE)), store.queued()) == (1, 2)
    assert store.counts()["default"] == {State.QUEUED: 1, State.RUNNING: 1}
    store.close()


def test_a_database_that_counted_for_all_together_counts_by_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_of_them = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: all_of_them[:2])
    database.open_up(tmp_path / "db").close()
    with closing(sqlite3.connect(tmp_path / "db")) as db:
        row = (
            "INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, spec)"
            " VALUES (?, ?, 50, ?, ?, ?, 1, '{}')"
        )
        for owner, state in ((ALICE, "queued"), (ALICE, "queued"), (ALICE, "failed"), (BOB, "queued")):
            db.execute(row, (state, "q", b"n", b"s", owner))
        db.commit()
    monkeypatch.undo()
    store = SqliteStore(tmp_path / "db")
    assert (store.queued_by(str(ALICE)), store.queued_by(str(BOB)), store.queued()) == (2, 1, 3)
    assert store.counts() == {"q": {State.QUEUED: 3, State.FAILED: 1}}
    store.close()
