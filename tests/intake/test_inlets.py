"""Queue directories that are not what they were, and more of them than there is room for."""

from __future__ import annotations

import ctypes
import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.intake import inlets, quota
from taskgated.intake.emitter import Emitter
from taskgated.intake.events import Blind, FileStuck, Unwatched
from taskgated.language.config import QueueConfig
from tests.env.intake import QUEUES, Gate, config, running
from tests.env.until import until

SPEC = "command: [/bin/true]\n"
MEMBER, OTHER = 65501, 65502
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and make what is another's")


@contextmanager
def private_mount(directory: Path, owner: int) -> Iterator[None]:
    """What fusermount3(1) does for a user: a file system that nobody else may look at, root neither (fuse(4)); and
    here there is nobody to serve it."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        pytest.skip("there is no FUSE here")
    try:
        options = f"fd={device},rootmode=40755,user_id={owner},group_id={owner}"
        if libc.mount(b"private", os.fsencode(directory), b"fuse", 0, options.encode()):
            pytest.skip(f"may not mount: {os.strerror(ctypes.get_errno())}")
        try:
            with pytest.raises(PermissionError):
                os.lstat(directory)
            yield
        finally:
            libc.umount2(os.fsencode(directory), 2)  # MNT_DETACH
    finally:
        os.close(device)


def make(gate: Gate, *names: str, owner: int = MEMBER) -> None:
    for name in names:
        made = gate.spool / ".made"
        made.mkdir()
        os.chown(made, owner, owner)
        made.rename(gate.spool / name)


# -- one that nobody else may look at ------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("early", [True, False])
def test_a_private_file_system_on_a_queue_directory(tmp_path: Path, early: bool) -> None:
    """It is told of, once, and the others go on, also in a daemon that starts."""
    gate = Gate(tmp_path, config(rescan_interval=0.2))
    make(gate, "theirs")
    try:
        if not early:
            gate.start()
            gate.drop("theirs/before.yaml", SPEC)
            until(lambda: gate.sink.sources == ["before.yaml"])
        with private_mount(gate.spool / "theirs", MEMBER):
            if early:
                gate.start()
            gate.check()
            gate.check()
            until(lambda: gate.told(FileStuck))
            for number in range(3):
                gate.drop(f"{number}.yaml", SPEC)
                until(lambda n=number: f"{n}.yaml" in gate.sink.sources)
            assert gate.intake.watching
            assert [event.source for event in gate.told(FileStuck)] == ["theirs"]
            assert "Permission denied" in gate.told(FileStuck)[0].reason
            assert not gate.told(Blind)
        gate.drop("theirs/after.yaml", SPEC)
        until(lambda: "after.yaml" in gate.sink.sources)
    finally:
        gate.stop()


@needs_root
def test_a_private_file_system_on_what_is_no_queue(tmp_path: Path) -> None:
    """It can be neither looked at nor moved away, until it is gone."""
    gate = Gate(tmp_path, config(rescan_interval=0.2))
    make(gate, "theirs", "theirs/inner", "not a queue")
    try:
        with (
            private_mount(gate.spool / "theirs" / "inner", MEMBER),
            private_mount(gate.spool / "not a queue", MEMBER),
        ):
            gate.start()
            gate.drop("theirs/a.yaml", SPEC)
            gate.drop("b.yaml", SPEC)
            until(lambda: sorted(gate.sink.sources) == ["a.yaml", "b.yaml"])
            until(lambda: {event.source for event in gate.told(FileStuck)} == {"inner", "not a queue"})
            gate.check()
            assert gate.intake.watching
            assert not gate.told(Blind)
        until(lambda: {"inner", "inner.reason", "not a queue", "not a queue.reason"} == set(gate.rejected()))
        assert len(gate.told(FileStuck)) == 2
    finally:
        gate.stop()


@needs_root
def test_a_queue_that_is_somebodys_file_system_is_for_nobody_else(tmp_path: Path) -> None:
    """Who names it is told so: it may stay like that for ever."""
    with running(tmp_path, queues=queues("theirs")) as gate:
        os.chown(gate.spool / "theirs", MEMBER, MEMBER)
        with private_mount(gate.spool / "theirs", MEMBER):
            gate.drop(".a", "command: [/bin/true]\nqueue: theirs\n")
            os.chown(gate.spool / ".a", OTHER, OTHER)
            os.rename(gate.spool / ".a", gate.spool / "a.yaml")
            until(lambda: "a.yaml.reason" in gate.rejected())
            assert "keeps us out" in (gate.layout.rejected / "a.yaml.reason").read_text()


def test_a_name_whose_status_cannot_be_read_is_its_own_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without FUSE: the kernel's answer is forged."""
    real = os.lstat

    def lstat(path: object, **options: int) -> os.stat_result:
        if path in (b"bad", os.fsencode(tmp_path / "spool" / "bad")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, **options)  # type: ignore[arg-type,call-overload,no-any-return]

    monkeypatch.setattr(os, "lstat", lstat)
    with running(tmp_path, rescan_interval=0.2) as gate:
        gate.drop("bad", SPEC)
        gate.drop("good.yaml", SPEC)
        until(lambda: gate.sink.sources == ["good.yaml"] and gate.told(FileStuck))
        assert [(e.source, e.reason) for e in gate.told(FileStuck)] == [
            ("bad", "cannot be looked at: Input/output error")
        ]
        assert not gate.told(Blind)


# -- too many ------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "PLACES", 8)  # the spool, "lines", "data", and five others
    monkeypatch.setattr(quota, "SHARE", 4)


def queues(*names: str) -> dict[str, QueueConfig]:
    return QUEUES | {name: QueueConfig(name) for name in names}


def owners(gate: Gate) -> Counter[int]:
    return Counter(place.owner for place in list(gate.intake._watch.places.values()))


@needs_root
def test_members_leave_room_for_each_other(tmp_path: Path, few: None) -> None:
    with running(tmp_path, rescan_interval=0.2) as gate:
        make(gate, *(f"member{number}" for number in range(20)))
        until(lambda: owners(gate)[MEMBER] == 4)
        make(gate, "others", owner=OTHER)
        gate.drop("others/a.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml"])
        until(lambda: len(gate.told(FileStuck)) == 16)
        assert "its owner has 4 of them" in gate.told(FileStuck)[0].reason


@needs_root
@pytest.mark.parametrize("how", ["configured", "made first by a member", "only a directory"])
def test_an_administrator_has_room_for_a_queue(tmp_path: Path, few: None, how: str) -> None:
    with running(tmp_path) as gate:
        make(gate, *(f"member{number}" for number in range(6)))
        make(gate, *(f"other{number}" for number in range(6)), owner=OTHER)
        until(lambda: len(gate.intake._watch.places) == 8)
        if how == "made first by a member":
            make(gate, "new")
            until(lambda: "new" in {event.source for event in gate.told(FileStuck)})
        else:
            (gate.spool / "new").mkdir()
        if how != "only a directory":
            gate.intake.reload(config(queues=queues("new")))
        gate.drop("new/a.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml"])
        assert len(gate.intake._watch.places) == 8
        gate.drop("new/b.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml", "b.yaml"])


@needs_root
def test_what_made_room_is_used_again_later(tmp_path: Path, few: None) -> None:
    with running(tmp_path, rescan_interval=0.2) as gate:
        make(gate, *(f"member{number}" for number in range(4)))
        make(gate, "other0", owner=OTHER)
        until(lambda: len(gate.intake._watch.places) == 8)
        (gate.spool / "new").mkdir()
        until(lambda: b"new" in gate.intake._watch.places and owners(gate)[MEMBER] == 3)
        for number in range(4):
            gate.drop(f"member{number}/{number}.yaml", SPEC)
        until(lambda: len(gate.sink.sources) == 3)
        until(lambda: gate.told(FileStuck))
        (gate.spool / "other0").rmdir()
        gate.check()
        until(lambda: len(gate.sink.sources) == 4)


def test_configured_queues_have_no_bound_but_descriptors(tmp_path: Path, few: None) -> None:
    names = [f"queue{number}" for number in range(20)]
    with running(tmp_path, queues=queues(*names)) as gate:
        for name in names:
            gate.drop(f"{name}/{name}.yaml", SPEC)
        until(lambda: len(gate.sink.sources) == 20)
        assert not gate.told(FileStuck)


def test_queues_that_cannot_be_watched_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more inotify instances for this user: the gate is ready, says so once, and uses them when there are some."""
    real, started = Emitter.on_thread_start, []

    def start(self: Emitter) -> None:
        if len(started) >= 2 and not more:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        started.append(self)
        real(self)

    more: list[bool] = []
    monkeypatch.setattr(Emitter, "on_thread_start", start)
    monkeypatch.setattr(inlets, "POLL", 0.1)
    with running(tmp_path) as gate:
        assert gate.intake.watching
        for number in range(3):
            for queue in ("lines", "data"):
                gate.drop(f"{queue}/{queue}{number}", "x\n")
            until(lambda n=number: len(gate.sink.sources) == 2 * (n + 1))
        assert not gate.told(Blind)
        assert not gate.told(FileStuck)
        assert len(gate.told(Unwatched)) == 1
        assert "max_user_instances" in gate.told(Unwatched)[0].reason
        more.append(True)
        gate.check()
        gate.check()
        assert not any(place.unwatched for place in list(gate.intake._watch.places.values()))
        until(lambda: [event.reason for event in gate.told(Unwatched)][1:] == [""])


def test_a_reload_of_the_same_queues_adopts_nothing_anew(tmp_path: Path) -> None:
    with running(tmp_path) as gate:
        places = dict(gate.intake._watch.places)
        gate.intake.reload(replace(config(), max_backlog=7))
        gate.drop("a.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml"])
        assert gate.intake._watch.places == places
