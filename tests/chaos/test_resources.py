"""The gate without room, inodes, descriptors or memory, and the small things that such trials have found."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskgated.attempts.outcomes import Outcomes
from taskgated.core.job import Outcome, Result, Spec
from taskgated.errors import DiskTrouble
from taskgated.intake import place as place_module
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed
from taskgated.store.sqlite.store import SqliteStore
from tests.chaos import resources, siege
from tests.chaos.disks import can_mount
from tests.chaos.table import Row

ATTACKS = resources.attacks()
on_disks = pytest.mark.skipif(bool(can_mount()), reason=can_mount() or "it can")


DISKS = [
    "full disk: store",
    "full disk: output",
    "full disk: spool",
    "no inodes: store",
    "failing disk: store",
    "frozen disk: store",
]


@on_disks
@pytest.mark.parametrize("name", DISKS)
def test_a_disk(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


@pytest.mark.parametrize("name", ["few descriptors: daemon", "out of memory: daemon killed", "hung disk: output"])
def test_the_daemon(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("name", ["no processes: daemon", "unreadable survivors: everything killed"])
def test_another_users_gate(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


@on_disks
def test_nobody_can_be_asked_who_somebody_is() -> None:
    row = ATTACKS["no user database: spool"](random.Random(1), False)
    assert row.clean, row


@pytest.mark.parametrize(
    "name", ["failing sends: no memory", "failing sends: broken pipe", "hung log: standard error"]
)
def test_messages_that_do_not_get_through(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


@on_disks
@pytest.mark.parametrize("seed", [1, 2])
def test_a_journal_that_hangs(seed: int) -> None:
    row = ATTACKS["hung log: journal"](random.Random(seed), False)
    assert row.clean, row


@pytest.mark.parametrize("name", ["old disk: database put back", "blocked disk: directories for outputs"])
def test_what_people_put_there(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


def test_a_trial_that_breaks_off_is_a_row() -> None:
    def trial() -> Row:
        raise OSError(errno.EBUSY, "Device or resource busy")

    row = siege.repeated("trial", trial, 2)
    assert (row.tries, row.clean) == (2, False)
    assert all("Device or resource busy" in note for note in row.notes)


@on_disks
def test_a_trial_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is not full gives nothing to say, and the trial misses it."""

    @contextmanager
    def nothing(trial: siege.Siege) -> Iterator[None]:
        monkeypatch.setattr(siege, "PATIENCE", 2.0)
        yield

    with pytest.raises(AssertionError, match="it did not happen that the daemon says No space left"):
        resources.spool_disk("nothing", random.Random(1), nothing, resources.FULL)


class Short:
    """``os.open`` that has no descriptors, for paths with this in them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
        real = os.open

        def fail(path: Any, *args: Any, **keys: Any) -> int:
            if part in os.fsdecode(path):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
            return real(path, *args, **keys)

        monkeypatch.setattr(os, "open", fail)


def test_an_outcome_that_cannot_be_read_now_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the daemon none means that the attempt is lost, and that the job is to run again."""
    outcomes = Outcomes(tmp_path / "outcomes")
    outcome = Outcome(1, 1, Result.SUCCEEDED, exit_code=0)
    outcomes.write(outcome)

    def fail(path: Path, flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as short:
        short.setattr(os, "open", fail)
        with pytest.raises(OSError, match="Too many"):
            outcomes.read(1, 1)
    assert outcomes.read(1, 1) == outcome
    assert outcomes.read(2, 1) is None


def test_no_descriptor_for_the_log_is_no_lost_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that fails ends the daemon; so what can fail for another reason must come before the commit."""
    store = SqliteStore(tmp_path / "jobs.sqlite")
    try:
        with monkeypatch.context() as short:
            Short(short, "jobs.sqlite-wal")
            with pytest.raises(DiskTrouble, match="Too many"):
                store.begin("", 1, early=True)
            store.rollback()
        store.begin("", 1, early=True)
        store.add([Addition(claimed("c"), 0, [Spec(name="a", command="true")], source="a", owner="root", uid=0)])
        store.commit()
        with monkeypatch.context() as short:
            Short(short, "jobs.sqlite-wal")
            store.sync()
        assert store.queued() == 1
    finally:
        store.close()


def test_what_cannot_be_asked_is_not_called_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alive:
        inotify = 0

        def is_alive(self) -> bool:
            return True

    def fail(*args: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    place = place_module.Place(b"", b"/spool", -1, (0, 0), emitter=Alive())  # type: ignore[arg-type]
    monkeypatch.setattr(place_module, "open", fail, raising=False)
    assert "Too many open files" in place_module.deaf(place)
