"""The watch hears of everything or knows that it does not."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from taskgated.intake import condition, quota
from taskgated.intake import watch as watch_module
from taskgated.intake.claim import Claims
from taskgated.intake.emitter import Emitter, Look
from taskgated.intake.events import Blind, FileStuck, Repaired, Unwatched
from taskgated.intake.hints import HINTS, Hints
from taskgated.intake.place import ROOT
from taskgated.intake.watch import Watch
from taskgated.language.kinds import Kind
from tests import REPOSITORY
from tests.env.intake import Gate, config, running, watchers
from tests.env.until import until

SPEC = "command: [/bin/true]\n"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


@pytest.fixture
def watch(spool: Path) -> Iterator[Watch]:
    watch = Watch(os.fsencode(spool), lambda: None, patience=0.2)
    watch.start()
    yield watch
    watch.stop()
    until(lambda: not watchers())


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr(watch_module, "PATIENCE", 0.2)
    with running(tmp_path) as gate:
        gate.intake._watch._patience = 0.2
        yield gate


def heard(watch: Watch, key: bytes = ROOT) -> list[bytes]:
    until(lambda: watch.hints.pending(key))
    return watch.hints.take(key)[0]


# -- hints ---------------------------------------------------------------------------------------


def test_hints_keep_the_order_and_each_name_once() -> None:
    hints = Hints(lambda: None)
    hints.names(b"q", (b"b", b"a"))
    hints.names(b"q", (b"c", b"b"))
    assert hints.take(b"q") == ([b"b", b"a", b"c"], False)
    assert hints.take(b"q") == ([], False)


def test_hints_are_bounded() -> None:
    hints = Hints(lambda: None)
    for number in range(HINTS + 1):
        hints.names(b"q", (b"%d" % number,))
    hints.names(b"other", (b"a",))
    hints.names(b"q", (b"more",))
    assert hints.take(b"q") == ([], True)
    assert hints.take(b"other") == ([b"a"], False)
    hints.names(b"q", (b"later",))
    assert hints.take(b"q") == ([b"later"], False)


def test_unfinished_names_wake_nobody() -> None:
    woken: list[bool] = []
    hints = Hints(lambda: woken.append(True))
    hints.names(b"q", (b".canary", b"a.tmp", b"b~"))
    assert not woken
    hints.names(b"q", (b"a",))
    assert woken


# -- the emitter ---------------------------------------------------------------------------------


def test_each_way_to_appear_is_heard_of(watch: Watch, spool: Path, tmp_path: Path) -> None:
    (spool / "written").write_text("x")
    assert set(all_before(watch, spool / "marker")) == {b"written"}
    (tmp_path / "a").write_text("x")
    os.rename(tmp_path / "a", spool / "renamed")
    assert heard(watch) == [b"renamed"]
    os.link(spool / "renamed", spool / "linked")
    assert heard(watch) == [b"linked"]
    (spool / "queue").mkdir()
    assert heard(watch) == [b"queue"]
    name = b"\xff \n" + b"x" * 252
    os.rename(spool / "linked", os.fsencode(spool) + b"/" + name)
    assert heard(watch) == [name]


def all_before(watch: Watch, marker: Path) -> list[bytes]:
    """What was heard of until the marker, which is put there now, comes."""
    marker.mkdir()
    names: list[bytes] = []
    until(lambda: names.extend(watch.hints.take(ROOT)[0]) or os.fsencode(marker.name) in names)
    return names[:-1]


def test_reading_and_removing_are_not(watch: Watch, spool: Path) -> None:
    (spool / "a").write_text("x")
    assert set(all_before(watch, spool / "start")) == {b"a"}
    (spool / "a").read_text()
    (spool / "a").rename(spool / ".b")
    (spool / ".b").unlink()
    assert all_before(watch, spool / "end") == []


def test_descriptors_are_not_inherited(watch: Watch) -> None:
    emitter = watch.places[ROOT].emitter
    assert emitter is not None
    for fd in (emitter.inotify, emitter._alarm, watch.places[ROOT].fd):
        assert not os.get_inheritable(fd)


def test_an_overflow_asks_for_a_look_at_everything(watch: Watch, spool: Path) -> None:
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        limit = int(file.read())
    if limit > 100_000:
        pytest.skip(f"the queue holds {limit} events here")
    emitter = watch.places[ROOT].emitter
    assert emitter is not None
    read, hold = emitter._read, threading.Event()
    emitter._read = lambda: (hold.wait(30), read())[1]  # type: ignore[method-assign,assignment]
    for number in range(limit // 2 + 100):
        os.close(os.open(spool / str(number), os.O_CREAT | os.O_WRONLY))
    hold.set()
    until(lambda: watch.hints.take(ROOT)[1])


def test_an_observer_that_is_behind_gets_no_names(tmp_path: Path) -> None:
    """The library's queue has no bound, so that we must have one."""
    observer = BaseObserver(Emitter)
    path = os.fsencode(tmp_path)
    emitter = Emitter(observer.event_queue, observer.schedule(object(), path))  # type: ignore[arg-type]
    emitter.on_thread_start()
    try:
        for number in range(300):
            (tmp_path / str(number)).touch()
            emitter._read()
        assert observer.event_queue.qsize() < 100
        last = None
        while not observer.event_queue.empty():
            last, _ = observer.event_queue.get()
        assert last == Look(path, everything=True)
    finally:
        os.close(emitter.inotify)
        os.close(emitter._alarm)


def test_a_handler_that_fails_does_not_end_the_observer(watch: Watch, spool: Path) -> None:
    real = watch.hints.names

    def fail(key: bytes, names: tuple[bytes, ...]) -> None:
        raise RuntimeError("a bug")

    watch.hints.names = fail  # type: ignore[method-assign]
    (spool / "a").touch()
    until(lambda: watch.hints.take(ROOT)[1])
    watch.hints.names = real  # type: ignore[method-assign]
    assert watch.health() == []


def test_a_forked_child_does_not_take_the_watch_along(watch: Watch, spool: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            for place in watch.places.values():
                assert place.emitter is not None
                place.emitter.stop()
                os.close(place.emitter.inotify)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (spool / "a").mkdir()
    assert heard(watch) == [b"a"]


# -- health --------------------------------------------------------------------------------------


def test_a_healthy_watch_says_so_again_and_again(watch: Watch, spool: Path) -> None:
    (spool / "etl").mkdir()
    watch.adopt(b"etl")
    for _ in range(3):
        asked = [place.asked for place in watch.places.values()]
        assert watch.health() == []
        until(lambda: all(p.asked is not None and p.heard >= p.asked for p in watch.places.values()))
        assert [place.asked for place in watch.places.values()] != asked
    assert os.listdir(spool / "etl") == []
    (spool / "etl").rmdir()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_observer(watch: Watch) -> None:
    watch._observer.event_queue.put(None)
    until(lambda: not watch._observer.is_alive())
    assert watch.health() == ["the observer thread is dead"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_emitter(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = watch.places[ROOT].emitter
    assert emitter is not None
    monkeypatch.setattr(emitter, "should_keep_running", lambda: 1 / 0)
    emitter.ping()
    until(lambda: not emitter.is_alive())
    assert "dead" in watch.health()[0]


def test_a_watch_that_the_kernel_dropped(watch: Watch) -> None:
    emitter = watch.places[ROOT].emitter
    assert emitter is not None
    ctypes.CDLL(None).inotify_rm_watch(emitter.inotify, 1)
    assert "no longer" in watch.health()[0]
    until(lambda: watch.hints.take_gone() == {ROOT})


@pytest.mark.parametrize("key", [ROOT, b"etl"])
def test_an_observer_that_hangs(watch: Watch, spool: Path, key: bytes) -> None:
    (spool / "etl").mkdir()
    place = watch.adopt(b"etl") if key else watch.places[ROOT]
    hold = threading.Event()
    watch._observer.event_queue.put((Look(b""), place.watch))
    handlers = watch._observer._handlers[place.watch]
    for handler in handlers:
        handler.dispatch = lambda event: hold.wait(30)
    try:
        assert watch.health() == []
        problems = until(watch.health)
        assert any("no event comes through" in problem for problem in problems)
    finally:
        hold.set()


def test_a_replaced_directory(watch: Watch, spool: Path, tmp_path: Path) -> None:
    os.rename(spool, tmp_path / "old")
    spool.mkdir()
    assert "another directory" in watch.health()[0]
    until(lambda: watch.hints.take_gone() == {ROOT})  # a move is also heard of


def test_a_removed_directory(watch: Watch, spool: Path) -> None:
    shutil.rmtree(spool)
    assert "No such file" in watch.health()[0]


def test_a_directory_that_may_not_be_written(watch: Watch, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "CANARY", b"no/such/dir")
    assert "cannot be written to" in watch.health()[0]


# -- repair, by the intake -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_observer_is_replaced_and_what_it_missed_is_found(gate: Gate) -> None:
    gate.intake._watch._observer.event_queue.put(None)
    until(lambda: not gate.intake._watch._observer.is_alive())
    gate.drop("a.yaml", SPEC)
    gate.drop("lines/b", "line\n")
    gate.check()
    until(lambda: sorted(gate.sink.sources) == ["a.yaml", "b"])
    until(lambda: gate.told(Repaired))
    assert gate.told(Blind) == [Blind(("the observer thread is dead",))]
    gate.drop("c.yaml", SPEC)
    until(lambda: len(gate.sink.sources) == 3)


def test_a_hanging_observer_is_replaced(gate: Gate) -> None:
    hold = threading.Event()
    for handlers in list(gate.intake._watch._observer._handlers.values()):
        for handler in handlers:
            handler.dispatch = lambda event: hold.wait(60)
    try:
        until(lambda: gate.intake.responsive() is not None and gate.told(Repaired))
        gate.drop("a.yaml", SPEC)
        until(lambda: gate.sink.sources == ["a.yaml"])
    finally:
        hold.set()


def test_a_spool_that_is_replaced(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    os.rename(gate.spool, tmp_path / "old")
    os.rename(tmp_path / "new", gate.spool)
    gate.drop("a.yaml", SPEC)
    until(lambda: gate.sink.sources == ["a.yaml"])
    (gate.spool / "etl").mkdir()
    gate.drop("etl/b.yaml", SPEC)
    until(lambda: gate.sink.sources == ["a.yaml", "b.yaml"])


def test_a_spool_that_is_removed_is_made_again(gate: Gate) -> None:
    shutil.rmtree(gate.spool)
    gate.check()
    until(lambda: gate.spool.exists() and gate.intake.watching)
    gate.drop("a.yaml", SPEC)
    until(lambda: gate.sink.sources == ["a.yaml"])


def test_a_spool_that_cannot_be_made_is_waited_for(gate: Gate, tmp_path: Path) -> None:
    shutil.rmtree(gate.spool)
    gate.spool.write_text("in the way")
    gate.check()
    until(lambda: gate.told(Blind))
    assert not gate.intake.watching
    gate.check()  # it still answers
    gate.spool.unlink()
    until(lambda: gate.intake.watching)
    assert gate.told(Repaired)
    gate.drop("a.yaml", SPEC)
    until(lambda: gate.sink.sources == ["a.yaml"])


def test_trouble_that_comes_and_goes_is_told_of_once(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk there is room for one more name now and then."""
    monkeypatch.setattr(condition, "CALM", 2.0)
    monkeypatch.setattr(condition, "MAX_PAUSE", 0.05)
    real, tries = Claims.make, []

    def make(self: Claims, queue: str, kind: Kind, name: bytes, *, nested: bool) -> str:
        tries.append(name)
        if full and len(tries) % 2:
            raise OSError(28, "No space left on device")
        return real(self, queue, kind, name, nested=nested)

    full = [True]
    monkeypatch.setattr(Claims, "make", make)
    for number in range(10):
        gate.drop(f"{number}.yaml", SPEC)
        until(lambda n=number: len(gate.sink.sources) > n)
    assert len(gate.told(Blind)) <= 2
    assert len(gate.told(Repaired)) <= 1
    full.clear()
    until(lambda: gate.intake.watching)
    assert len(gate.told(Repaired)) == len(gate.told(Blind)), "its end is told as well"


def test_without_events_the_rescans_find_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more inotify instances for this user, say."""

    def fail(self: Emitter) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("taskgated.intake.emitter.Emitter.on_thread_start", fail)
    monkeypatch.setattr("taskgated.intake.inlets.POLL", 0.1)
    gate = Gate(tmp_path, config())
    try:
        gate.start()
        until(lambda: gate.told(Unwatched))
        assert not gate.told(Blind)
        for number in range(3):
            gate.drop(f"{number}.yaml", SPEC)
            until(lambda n=number: len(gate.sink.sources) == n + 1)
        monkeypatch.undo()
        until(lambda: gate.intake.responsive() and gate.told(Unwatched)[-1].reason == "")
        gate.check()
        assert gate.intake.watching
    finally:
        gate.stop()


def test_too_many_queue_directories_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are configured come first; the others cannot keep the gate from working."""
    monkeypatch.setattr(quota, "PLACES", 4)
    gate = Gate(tmp_path, config())
    for name in "abcdef":
        (gate.spool / name).mkdir()
    try:
        gate.start()
        assert {b"lines", b"data"} < set(gate.intake._watch.places)
        until(lambda: len(gate.told(FileStuck)) == 5)
        gate.drop("data/x", "x")
        gate.check()
        until(lambda: gate.sink.sources == ["x"])
        assert not gate.told(Blind)
    finally:
        gate.stop()


def test_lost_events_are_made_good_by_the_rescan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hints, "names", lambda self, key, names, renamed: None)
    with running(tmp_path, rescan_interval=0.2) as gate:
        gate.drop("a.yaml", SPEC)
        gate.drop("lines/b", "line\n")
        until(lambda: sorted(gate.sink.sources) == ["a.yaml", "b"])


def test_without_room_for_a_thread_a_directory_is_only_looked_through(
    watch: Watch, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that forks without end takes all processes (pids.max); intake goes on, and loses no descriptor."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for name in ("a", "b"):
        (spool / name).mkdir()
    watched = watch.adopt(b"b")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        place = watch.adopt(b"a")
        assert place.unwatched == "cannot be watched: can't start new thread"
        assert "TasksMax=" in place.helps and "inotify" not in place.helps
        before = len(os.listdir("/proc/self/fd"))
        watch.watch_again()
        assert len(os.listdir("/proc/self/fd")) == before
        (spool / "b").rename(spool / "c")
        watch.drop(b"b")
    watch.watch_again()
    assert not place.unwatched and not place.helps
    assert watched.emitter is not None
    watched.emitter.stop()


@pytest.mark.parametrize(
    ("error", "says", "helps"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left", "fs.inotify.max_user_watches"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files", "fs.inotify.max_user_instances"),
        (OSError(errno.ENFILE, "Too many open files in system"), "in system", "fs.file-max"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory", "MemoryMax="),
        (MemoryError(), "there is not enough memory", "MemoryMax="),
    ],
)
def test_what_is_missing_is_told_with_what_helps(
    watch: Watch, spool: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str, helps: str
) -> None:
    def fail(self: Emitter) -> None:
        raise error

    (spool / "a").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(Emitter, "on_thread_start", fail)
        place = watch.adopt(b"a")
        assert says in place.unwatched and helps in place.helps
        assert place.helps.count("raise") == 1, "one thing is missing"
    watch.watch_again()
    assert not place.unwatched and not place.helps


def test_the_limit_of_descriptors_is_not_that_of_inotify(tmp_path: Path) -> None:
    """Both are told by the same error (inotify_init1(2))."""
    ask = (
        "import os, resource\n"
        "from taskgated.intake import shortage\n"
        "limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "print(shortage.helps(24, 0))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit))\n"
        "print(shortage.helps(24, 0))\n"
    )
    said = subprocess.run([sys.executable, "-c", ask], cwd=REPOSITORY, capture_output=True, check=True, text=True)
    first, second = said.stdout.splitlines()
    assert "fs.inotify.max_user_instances" in first and "LimitNOFILE=" not in first
    assert second == "raise LimitNOFILE= of the service"
