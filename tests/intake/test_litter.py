"""What jobs leave behind goes away a little at a time, whatever it is, and holds nobody up."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.intake import litter
from taskgated.intake.litter import Litter
from tests.env.gate import as_user
from tests.env.intake import Gate, config
from tests.env.until import until


class Heap:
    """A directory with litter in it, and what was said of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[tuple[bytes, str]] = []
        self.fd = os.open(path, os.O_RDONLY)
        self.litter = Litter(self.fd, os.fsencode(path), b"done.litter", lambda *args: self.told.append(args))

    def put(self, name: str) -> None:
        self.litter.put(name.encode())

    def steps(self, most: int = 10_000) -> int:
        """How many steps it takes until there is nothing to do."""
        for number in range(most):
            if not self.litter.pending:
                return number
            self.litter.step()
        raise AssertionError(f"it is not over after {most} steps")

    def left(self) -> list[str]:
        return os.listdir(self.path / "done.litter")


@pytest.fixture
def heap(tmp_path: Path) -> Iterator[Heap]:
    heap = Heap(tmp_path)
    yield heap
    heap.litter.close()
    os.close(heap.fd)


def test_each_step_is_bounded(heap: Heap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litter, "STEP", 10)
    for number in range(100):
        (heap.path / "a" / str(number)).mkdir(parents=True)
        (heap.path / "a" / str(number) / "file").touch()
    heap.put("a")
    calls = []
    for name in ("unlink", "rmdir", "rename"):
        monkeypatch.setattr(os, name, counting(getattr(os, name), calls))
    heap.litter.step()
    assert len(calls) < 30, "two tries for an entry at most, and one to see that it is not empty"
    assert heap.litter.pending
    assert 20 < heap.steps() < 100
    assert heap.left() == []


def counting(call: object, calls: list[object]) -> object:
    def counted(*args: object, **keywords: object) -> object:
        calls.append(args)
        return call(*args, **keywords)  # type: ignore[operator]

    return counted


def test_a_tree_deeper_than_any_path(heap: Heap) -> None:
    (heap.path / "a").mkdir()
    fd = os.open(heap.path / "a", os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d" * 100, dir_fd=fd)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    heap.put("a")
    heap.steps()
    assert heap.left() == []
    assert not heap.told


def test_what_permissions_forbid_is_ours_all_the_same() -> None:
    """A job takes the permissions of its own directories away; it is no other user."""

    def removed() -> list[str]:
        ctypes.CDLL(None).prctl(
            4, 1, 0, 0, 0
        )  # PR_SET_DUMPABLE, as a daemon is that began as this user, who may then look into its own /proc
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory)
            for name in ("closed", "read-only"):
                (path / "a" / name / "in" / "in").mkdir(parents=True)
                (path / "a" / name / "file").touch()
            (path / "a" / "read-only" / "in").chmod(0o500)
            (path / "a" / "read-only").chmod(0o500)
            (path / "a" / "closed").chmod(0)
            (path / "a").chmod(0o500)
            heap = Heap(path)
            heap.put("a")
            heap.steps()
            return heap.left() + [str(told) for told in heap.told]

    assert (as_user(65534, removed) if os.geteuid() == 0 else removed()) == []


def test_links_are_not_followed(heap: Heap, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").touch()
    (heap.path / "a").mkdir()
    (heap.path / "a" / "link").symlink_to(outside)
    (heap.path / "b").symlink_to(outside)
    os.mkfifo(heap.path / "a" / "fifo")
    heap.put("a")
    heap.put("b")
    heap.put("nothing")
    heap.steps()
    assert heap.left() == []
    assert (outside / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="may not mount")
def test_what_cannot_be_removed_is_said_and_in_nobodys_way(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config(rescan_interval=0.2))
    gate.drop("data/picture", "pixels")
    busy: Path | None = None
    try:
        gate.start()
        until(lambda: gate.sink.kept)
        work = Path(gate.sink.commands[0].split("\0")[1]).parent
        (work / "busy").mkdir()
        (work / "other").mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "none", work / "busy"], check=False, capture_output=True
        ).returncode:
            pytest.skip("may not mount")
        gate.intake.let_go(gate.sink.end_jobs())
        said = until(lambda: [event.reason for event in gate.events if "cannot be removed" in str(event)])
        assert "remove it by hand" in said[0]
        gate.drop("a.tasks", "true\n")
        until(lambda: gate.sink.commands[1:] == ["true"])
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        (busy,) = [Path(mount) for mount in mounts if mount.startswith(str(tmp_path))]
        subprocess.run(["umount", busy], check=True)
        busy = None
        until(gate.idle)
        assert len([event for event in gate.events if "cannot be removed" in str(event)]) <= 2
    finally:
        if busy is not None:
            subprocess.run(["umount", busy], check=False)
        gate.stop()


def test_a_large_mess_holds_nobody_up(tmp_path: Path) -> None:
    """What is dropped meanwhile does not wait until it is gone."""
    gate = Gate(tmp_path, config())
    gate.drop("data/picture", "pixels")
    try:
        gate.start()
        until(lambda: gate.sink.kept)
        work = Path(gate.sink.commands[0].split("\0")[1]).parent
        for number in range(20_000):
            os.close(os.open(work / str(number), os.O_CREAT | os.O_WRONLY))
        gate.intake.let_go(gate.sink.end_jobs())
        heap = gate.layout.claims / "done.litter"
        until(lambda: os.listdir(heap))
        dropped = time.monotonic()
        gate.drop("a.tasks", "true\n")
        until(lambda: gate.sink.commands[1:] == ["true"])
        assert os.listdir(heap) or time.monotonic() - dropped < 1
        until(gate.idle)
    finally:
        gate.stop()
