"""Whose a uid is, and what holds when that changes or cannot be told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.errors import Trouble
from taskgated.host import names, users
from taskgated.host.names import Names, uid_of
from tests.env.until import until

ALICE, BOB = 64_111, 64_112


class Database:
    """Users of the host itself (``passwd``), and of a service that may be away."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.service: dict[int, str] | None = {}
        self.local = directory / "passwd"
        self.services = directory / "nsswitch.conf"
        self.services.write_text("passwd: files sss\n")
        self.known()
        monkeypatch.setattr(users, "LOCAL", str(self.local))
        monkeypatch.setattr(users, "SERVICES", str(self.services))
        monkeypatch.setattr(users, "name", self._name)

    def known(self, **local: int) -> None:
        """The users in ``passwd`` from now on."""
        other = self.local.with_suffix(".new")
        other.write_text("".join(f"{name}:x:{uid}:100::/:/bin/sh\n" for name, uid in local.items()))
        other.replace(self.local)

    def _name(self, uid: int) -> str | None:
        self.asked += 1
        if self.service is None:
            raise Trouble("away")
        return self.service.get(uid)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    return Database(tmp_path, monkeypatch)


def test_users_of_the_host_are_asked_for_nowhere_and_are_known_as_they_are_now(database: Database) -> None:
    known = Names()
    database.service = None
    database.known(alice=ALICE)
    assert (known.owner(ALICE), known.at_hand(ALICE)) == ("alice", "alice")
    database.known(bob=ALICE, alice=BOB)
    assert (known.owner(ALICE), known.owner(BOB)) == ("bob", "alice"), (
        "a uid that was given to another is the other's"
    )
    assert database.asked == 0


def test_an_answer_holds_for_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Names()
    database.service = {ALICE: "alice"}
    assert known.at_hand(ALICE) is None
    assert [known.owner(ALICE) for _ in range(3)] == ["alice"] * 3
    assert database.asked == 1
    database.service = {ALICE: "bob"}
    monkeypatch.setattr(users, "FRESH", -1.0)
    assert known.at_hand(ALICE) is None
    assert known.owner(ALICE) == "bob"


def test_what_was_said_last_holds_as_long_as_nobody_can_be_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "FRESH", -1.0)
    known = Names()
    database.known(bob=BOB)
    database.service = {ALICE: "alice"}
    assert [known.owner(ALICE), known.owner(BOB), known.last(ALICE)] == ["alice", "bob", "alice"]
    database.local.unlink()
    database.service = None
    assert [known.owner(ALICE), known.owner(BOB)] == ["alice", "bob"]
    with pytest.raises(Trouble, match="away"):
        known.owner(4711)
    assert (known.last(ALICE), known.last(4711)) == ("alice", None)
    database.service = {}
    assert [known.owner(ALICE), known.owner(BOB)] == [str(ALICE), str(BOB)], "now it is said that there are none"


def test_uids_that_stand_for_themselves_do_so_whoever_they_are(database: Database) -> None:
    database.known(alice=ALICE)
    assert Names([ALICE]).owner(ALICE) == Names([ALICE]).last(ALICE) == str(ALICE)


def test_no_more_is_remembered_than_is_said(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "KNOWN", 3)
    known = Names()
    for uid in range(ALICE, ALICE + 5):
        known.owner(uid)
    assert [known.last(uid) is not None for uid in range(ALICE, ALICE + 5)] == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("services", "local"),
    [
        ("passwd: files sss\n", True),
        ("passwd:\tfiles [NOTFOUND=return] sss\n", True),
        ("group: sss\n", True),
        (None, True),
        ("passwd: sss files\n", False),
        ("passwd: files [SUCCESS=continue] sss\n", False),
        ("passwd: compat\n", False),
    ],
)
def test_the_file_is_the_answer_where_the_host_asks_it_first(
    database: Database, services: str | None, local: bool
) -> None:
    database.known(alice=ALICE)
    database.services.unlink()
    if services is not None:
        database.services.write_text(services)
    assert Names().at_hand(ALICE) == ("alice" if local else None)


def test_the_file_is_read_as_the_library_reads_it(database: Database) -> None:
    text = f"+plus:x:1::::\n-minus:x:2::::\nshort\nbad:x:no:1::/:\nfirst:x:{ALICE}:1::/:\nsecond:x:{ALICE}:1::/:\n"
    database.local.write_text(text)
    assert users.local() == {ALICE: "first"}
    database.local.write_text(text + "#" * 1024 * 1024)
    assert users.local() == {}, "so large a file is left to the library"
    database.local.unlink()
    assert users.local() == {}


def library(monkeypatch: pytest.MonkeyPatch, people: dict[str, int]) -> None:
    """What the library says: several names may have one uid, and several uids one name."""
    monkeypatch.setattr(users, "uid", people.get)
    first = {uid: name for name, uid in reversed(people.items())}
    monkeypatch.setattr(users, "user", lambda uid: users.User(first[uid], 1, "/") if uid in first else None)


def test_who_is_meant_by_a_name(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several names of one user each means that user; so does a number that is nobody's name."""
    library(monkeypatch, {"alice": ALICE, "ally": ALICE, "55": BOB, "old": 7})
    known = Names([7])
    wanted = ["alice", "ally", str(ALICE), "55", "4711", "nobody-at-all", "old", "7"]
    assert known.meant(wanted) == {
        "alice": "alice", "ally": "alice", str(ALICE): "alice", "55": str(BOB), "4711": "4711", "nobody-at-all": None,
        "old": "7", "7": "7",
    }  # fmt: skip
    assert (uid_of("alice"), uid_of(str(BOB)), uid_of("nobody-at-all")) == (ALICE, BOB, None)


def test_who_cannot_be_told_in_time_is_not_made_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(users, "PATIENCE", 0.1)
    monkeypatch.setattr(users, "uid", lambda name: ALICE if name == "alice" else hold.wait(60))
    monkeypatch.setattr(users, "user", lambda uid: users.User("alice", 1, "/"))
    assert Names().meant(["alice", "far"]) == {"alice": "alice"}
    hold.set()


@pytest.mark.parametrize("find", ["_meant", "uid_of"])
def test_a_database_that_is_away_says_nothing_of_anybody(
    database: Database, monkeypatch: pytest.MonkeyPatch, find: str
) -> None:
    def away(name: str) -> int:
        raise Trouble("away")

    monkeypatch.setattr(users, "uid", away)
    if find == "_meant":
        assert Names().meant(["alice"]) == {}
    else:
        with pytest.raises(Trouble):
            uid_of("alice")


def test_a_question_that_hangs_does_not_hold_up_users_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory service may keep whoever asks it waiting for a minute."""
    hold = threading.Event()
    ask: Callable[[int], str | None] = lambda uid: str(hold.wait(60))  # noqa: E731
    monkeypatch.setattr(users, "PATIENCE", 0.1)
    monkeypatch.setattr(users, "_names", users._Asker(ask))
    known = Names()
    for _ in range(2):
        with pytest.raises(Trouble, match="does not answer"):
            known.owner(ALICE)
    assert known.owner(os.getuid()) == users.user(os.getuid()).name  # type: ignore[union-attr]
    late = users._names._late
    hold.set()
    assert late is not None
    until(lambda: not late.is_alive(), "the question is answered")
    assert known.owner(ALICE) == "True"
