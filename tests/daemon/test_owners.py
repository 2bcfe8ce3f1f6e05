"""Jobs belong to a user by name: what holds when names and uids change, and when nobody can tell them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskgated.ctl.client import CallError, Client
from taskgated.daemon import opening
from taskgated.errors import Trouble
from taskgated.host import users
from taskgated.store.sqlite.sqlfiles import migrations
from taskgated.store.sqlite.store import SqliteStore
from tests.env import gate as gate_env
from tests.env.gate import GateEnv
from tests.env.opened import passable
from tests.env.until import until
from tests.env.userdb import POSSIBLE, WHY, People, drop_as

pytestmark = pytest.mark.skipif(not POSSIBLE, reason=WHY)

FIRST, SECOND, THIRD = 65_511, 65_512, 65_513
DENIED, UNAVAILABLE = "PermissionDenied", "Unavailable"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """For gates that other users have a way to."""
    with passable() as directory:
        yield directory


@pytest.fixture
def made(make_gate: Callable[..., GateEnv]) -> tuple[GateEnv, People]:
    """A gate that is to be started, whose socket everybody may use then."""
    gate = make_gate("workers: 2\n", start=False)
    return gate, People(gate)


def earlier(path: Path, jobs: Mapping[bytes, int]) -> None:
    """A database of version 0.3.0, with a job of these names and uids each."""
    with closing(sqlite3.connect(path)) as db, db:
        for _, script in migrations()[:5]:
            db.executescript(script)
        db.execute("PRAGMA user_version = 5")
        for name, uid in jobs.items():
            db.execute(
                "INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, spec)"
                " VALUES ('held', 'default', 50, ?, ?, ?, 1, '{\"command\": \"true\"}')",
                (name, b"s", uid),
            )


def begin(gate: GateEnv) -> None:
    gate.start()
    gate.layout.control_socket.chmod(0o666)


def as_user(uid: int, gate: GateEnv, method: str, *, words: bool = False, **parameters: Any) -> Any:
    """What that user is answered: the reply, or the error's name, or what that says."""

    def call() -> Any:
        with Client(gate.layout.control_socket) as client:
            try:
                return client.call(method, **parameters)
            except CallError as error:
                return str(error) if words else error.kind

    return gate_env.as_user(uid, call)


def taken_in(gate: GateEnv, uid: int, name: str) -> dict[str, Any]:
    drop_as(gate, uid, f"{name}.yaml", f"{{name: {name}, command: 'true', delay: 1h, key: k}}\n")
    return until(lambda: gate.job(name), f"{name} is taken in")


def test_a_name_owns_and_not_a_number(made: tuple[GateEnv, People]) -> None:
    """A uid that was given to somebody else owns nothing of who had it before, who owns it with another uid."""
    gate, people = made
    people.are(alice=FIRST)
    begin(gate)
    job = taken_in(gate, FIRST, "a")
    assert (job["owner"], job["user"]) == (FIRST, "alice")
    assert as_user(FIRST, gate, "Hold", id=job["id"])["job"]["state"] == "held"
    people.are(bob=FIRST, alice=SECOND)
    for uid, mine in ((FIRST, False), (SECOND, True), (THIRD, False), (0, True)):
        assert (as_user(uid, gate, "Show", id=job["id"])["spec"] is not None) is mine, uid
        assert (as_user(uid, gate, "Logs", id=job["id"]) != DENIED) is mine, uid
    assert as_user(FIRST, gate, "Cancel", id=job["id"]) == DENIED
    assert [taken_in(gate, uid, name)["user"] for uid, name in ((FIRST, "b"), (SECOND, "c"))] == ["bob", "alice"]
    assert as_user(SECOND, gate, "Cancel", id=job["id"])["job"]["state"] == "cancelled"


def test_who_is_renamed_or_removed_owns_nothing_of_before(made: tuple[GateEnv, People]) -> None:
    gate, people = made
    people.are(alice=FIRST)
    begin(gate)
    job = taken_in(gate, FIRST, "a")
    people.are()
    assert taken_in(gate, FIRST, "b")["user"] == str(FIRST), "who has no name is a number"
    assert as_user(FIRST, gate, "Cancel", id=job["id"]) == DENIED
    assert as_user(FIRST, gate, "Cancel", id=gate.job("b")["id"])["job"]["state"] == "cancelled"  # type: ignore[index]
    assert as_user(0, gate, "Cancel", id=job["id"])["job"]["state"] == "cancelled"


def test_a_job_of_nobody_any_more_is_moved_by_root_alone(made: tuple[GateEnv, People]) -> None:
    """Members may move jobs here, but to where their owners may drop."""
    gate, people = made
    gate.configure("workers: 2\naccess: {cancel: members}\nqueues: {etl: {}}\n")
    people.are(alice=FIRST)
    begin(gate)
    (gate.layout.spool / "etl").chmod(0o1777)
    job = taken_in(gate, FIRST, "a")
    people.are(bob=SECOND)
    why = as_user(SECOND, gate, "Move", words=True, id=job["id"], queue="etl")
    assert why == f"the owner of job {job['id']} is alice, and this host knows no such user any more"
    people.are(bob=SECOND, alice=THIRD)
    assert as_user(SECOND, gate, "Move", id=job["id"], queue="etl")["job"]["queue"] == "etl"
    people.are()
    assert as_user(0, gate, "Move", id=job["id"], queue="default")["job"]["queue"] == "default"


def test_two_uids_with_one_name_are_one_owner(made: tuple[GateEnv, People]) -> None:
    gate, people = made
    gate.configure("workers: 2\nuser_limit: 1\n")
    people.are(alice=FIRST)
    with (gate.root / "people" / "passwd").open("a") as file:
        file.write(f"alice:x:{SECOND}:{SECOND}::/:/bin/sh\n")
    begin(gate)
    for uid, name in ((FIRST, "a"), (SECOND, "b")):
        drop_as(gate, uid, f"{name}.yaml", f"{{name: {name}, command: 'sleep 100'}}\n")
        until(lambda name=name: gate.job(name), "it is taken in")  # type: ignore[misc]
    gate.until_running("a")
    (reason,) = gate.ctl_json("why", "2")["reasons"]
    assert (reason["kind"], reason["owner"], reason["running"]) == ("user_limit", "alice", 1)
    assert as_user(SECOND, gate, "Cancel", id=1)["job"]["id"] == 1
    gate.until_running("b")


def test_a_file_rests_until_it_can_be_told_whose_it_is(made: tuple[GateEnv, People]) -> None:
    """It says so; those of whom it is known go on, and of callers nobody is taken for another."""
    gate, people = made
    gate.configure("workers: 2\nusers: {alice: {limit: 1}, carol: {limit: 1}}\n")
    people.are(alice=FIRST)
    begin(gate)
    job = taken_in(gate, FIRST, "a")
    people.cannot_be_asked()
    file = drop_as(gate, THIRD, "c.yaml", "{name: c, command: 'true', delay: 1h}\n")
    until(lambda: "c.yaml has to wait: the user database cannot be asked" in gate.log(), "it is told")
    assert file.exists() and gate.job("c") is None
    assert taken_in(gate, FIRST, "b")["user"] == "alice", "what was said last holds"
    assert as_user(THIRD, gate, "Cancel", id=job["id"]) == UNAVAILABLE
    assert as_user(THIRD, gate, "Logs", id=job["id"]) == UNAVAILABLE
    assert as_user(THIRD, gate, "Show", id=job["id"])["spec"] is None
    assert as_user(THIRD, gate, "Status")["ready"]
    assert as_user(FIRST, gate, "Cancel", id=job["id"])["job"]["state"] == "cancelled"
    people.are(alice=FIRST, carol=THIRD)
    assert until(lambda: gate.job("c"), "it is taken in")["user"] == "carol"


def test_owners_of_an_earlier_version_get_their_names_all_at_once(made: tuple[GateEnv, People]) -> None:
    """With the start at which they can be told; until then their new jobs go by the number, too."""
    gate, people = made
    gate.layout.state.mkdir(0o700)
    earlier(gate.layout.database, {b"old": FIRST, b"theirs": SECOND})
    people.cannot_be_asked()
    begin(gate)
    people.are(alice=FIRST)
    assert {note.split(" could")[0] for note in gate.status()["notes"]} == {
        f"who has uid {FIRST}", f"who has uid {SECOND}",
    }  # fmt: skip
    assert taken_in(gate, FIRST, "new")["user"] == str(FIRST)
    assert as_user(FIRST, gate, "Cancel", id=1)["job"]["user"] == str(FIRST)
    assert gate.stop() == 0
    begin(gate)
    assert gate.status()["notes"] == []
    assert [(job["name"], job["user"]) for job in gate.jobs()] == [
        ("old", "alice"), ("theirs", str(SECOND)), ("new", "alice"),
    ]  # fmt: skip
    assert as_user(FIRST, gate, "Hold", id=3)["job"]["state"] == "held"
    people.are(alice=FIRST, bob=SECOND)
    assert gate.stop() == 0
    begin(gate)
    assert gate.job("theirs")["user"] == str(SECOND), "who had no name then is not who has the uid now"  # type: ignore[index]
    assert as_user(SECOND, gate, "Cancel", id=2) == DENIED


def test_owners_who_are_many_get_their_names_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one of whom nothing can be told."""

    def told(uid: int) -> users.User:
        time.sleep(0.02)
        if uid == FIRST + 7:
            raise Trouble("away")
        return users.User(f"user{uid}", 1, "/")

    earlier(tmp_path / "db", {b"%d" % number: FIRST + number for number in range(20)})
    monkeypatch.setattr(users, "PATIENCE", 0.2)
    monkeypatch.setattr(users, "user", told)
    store = SqliteStore(tmp_path / "db")
    opening._name_owners(store, SimpleNamespace(goes_on=lambda: None))  # type: ignore[arg-type]
    assert store.unnamed() == [FIRST + 7]
    assert [store.show(job).record.owner for job in (1, 8, 20)] == [
        f"user{FIRST}",
        str(FIRST + 7),
        f"user{FIRST + 19}",
    ]
    store.close()
