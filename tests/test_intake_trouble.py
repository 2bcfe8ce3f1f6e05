"""Trouble beside a file is no fault of the file: nothing is lost, it is told, and it is tried again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from taskgated.intake.events import Blind, FileLost, FileRefused, FileStuck
from tests.intake_env import Gate, config, running, until

SPEC = "command: [/bin/true]\n"
BROKEN = "comand: x\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and become other users")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path, rescan_interval=0.3) as gate:
        yield gate


def mount(kind: str, directory: Path, *options: str) -> None:
    command = ["mount", "-t", kind, *options, "none", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")


# -- rejected/ cannot be used --------------------------------------------------------------------


@contextmanager
def dangling(rejected: Path) -> Iterator[None]:
    """As with a link to a disk that is not mounted."""
    away = rejected.parent.parent / "away"
    rejected.symlink_to(away)
    yield
    away.mkdir()


@contextmanager
def a_file(rejected: Path) -> Iterator[None]:
    rejected.write_text("in the way")
    yield
    rejected.unlink()


@contextmanager
def another_file_system(rejected: Path) -> Iterator[None]:
    rejected.mkdir()
    mount("tmpfs", rejected)
    try:
        yield
        assert os.listdir(rejected) == [], "no reason without a file"
    finally:
        subprocess.run(["umount", rejected], check=True)


@contextmanager
def read_only(rejected: Path) -> Iterator[None]:
    rejected.mkdir()
    mount("tmpfs", rejected, "-o", "ro")
    try:
        yield
    finally:
        subprocess.run(["umount", rejected], check=True)


@pytest.mark.parametrize("broken", [dangling, a_file, another_file_system, read_only])
def test_what_is_refused_is_not_lost_without_a_place_for_it(
    gate: Gate, broken: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with broken(gate.layout.rejected):
        gate.drop("a.yaml", BROKEN)
        os.mkfifo(gate.spool / "fifo")
        until(lambda: {event.source for event in gate.told(FileStuck)} == {"a.yaml", "fifo"})
        told = next(event.reason for event in gate.told(FileStuck) if event.source == "a.yaml")
        assert "rejected/" in told
        assert "command" in told, "why it was to be moved there is told as well"
        assert [path.read_text() for path in gate.layout.claims.glob("*/a.yaml")] == [BROKEN]
        assert (gate.spool / "fifo").is_fifo()
        gate.drop("good.yaml", SPEC)
        until(lambda: gate.sink.sources == ["good.yaml"])
        assert not gate.told(FileRefused)
    until(lambda: {"a.yaml", "a.yaml.reason", "fifo", "fifo.reason"} <= set(gate.rejected()))
    assert (gate.layout.rejected / "a.yaml").read_text() == BROKEN
    until(gate.idle)
    assert len(gate.told(FileStuck)) == 2, "it is told once"


def test_a_place_that_is_removed_while_a_file_is_moved_there(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two names of a rename the kernel does not say which was not there."""

    def remove(point: str) -> None:
        if point == "reject.reason":
            monkeypatch.setattr("taskgated.trace.hook", None)
            for path in gate.layout.rejected.iterdir():
                path.unlink()
            gate.layout.rejected.rmdir()

    monkeypatch.setattr("taskgated.trace.hook", remove)
    gate.drop("a.yaml", BROKEN)
    until(lambda: {"a.yaml", "a.yaml.reason"} <= set(gate.rejected()))
    until(gate.idle)


def test_what_is_taken_back_while_it_is_refused_is_no_event(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_back(point: str) -> None:
        if point == "reject.reason":
            (gate.spool / "fifo").unlink()

    monkeypatch.setattr("taskgated.trace.hook", take_back)
    os.mkfifo(gate.spool / "fifo")
    until(lambda: gate.layout.rejected.exists() and not (gate.spool / "fifo").exists())
    gate.drop("good.yaml", SPEC)
    until(lambda: gate.sink.sources == ["good.yaml"])
    assert gate.rejected() == [], "and no reason without a file"
    assert not gate.told(FileStuck)
    assert not gate.told(FileRefused)


# -- the claims ----------------------------------------------------------------------------------


def test_a_claimed_file_that_somebody_removes_is_told_of(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    claim = gate.layout.claims / "0000000000000001-00000000.default"
    claim.mkdir(parents=True)
    try:
        with open(claim / "a.yaml", "w"):  # it waits, for it is being written
            gate.start()
            (claim / "a.yaml").unlink()
            until(lambda: gate.told(FileLost) == [FileLost("a.yaml", "default", claim.name, 0)])
        until(gate.idle)
    finally:
        gate.stop()


def test_claims_that_are_moved_away_are_missed(gate: Gate, tmp_path: Path) -> None:
    """What is claimed from then on would be where neither its job nor the next daemon looks for it."""
    gate.layout.claims.rename(tmp_path / "away")
    gate.check()
    until(lambda: gate.told(Blind))
    until(lambda: gate.intake.watching)
    gate.drop("data/picture", "pixels")
    until(lambda: gate.sink.kept)
    assert Path(gate.sink.commands[0].split("\0")[1]).read_text() == "pixels"
