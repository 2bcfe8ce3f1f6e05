"""In a machine with a kernel of its own: the power goes under load, and the clock steps."""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import auditor, clocks, powercut, vm
from tests.env.packages import deb

READ, WRITE, FLUSH = 0, 1, 3
"""Requests of the NBD protocol."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[vm.Vm]:
    """Not booted yet."""
    if reason := vm.unwanted():
        pytest.skip(reason)
    made = vm.Vm(deb(), tmp_path / "vm", random.Random(tmp_path.name))
    yield made
    made.close()


def test_what_was_accepted_is_there_after_a_power_cut(machine: vm.Vm) -> None:
    row = powercut.trial(machine, random.Random(1), cuts=1)
    assert row.tries >= 1
    assert row.clean, row


def test_durations_do_not_notice_that_the_clock_steps(machine: vm.Vm) -> None:
    row = clocks.trial(machine, clocks.STEPS)
    assert row.tries > 40
    assert row.clean, row


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_the_disk_keeps_what_was_flushed_and_perhaps_what_was_not(tmp_path: Path, kept: float) -> None:
    """The lab itself: this is what makes a cut a power cut."""
    image = tmp_path / "image"
    image.write_bytes(b"-" * 4 * vm.BLOCK)
    disk = vm.Disk(image, tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(str(tmp_path / "socket"))
        stream = guest.makefile("rb")

        def ask(kind: int, offset: int = 0, length: int = 0, data: bytes = b"") -> bytes:
            guest.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, length) + data)
            assert stream.read(16) == struct.pack(">IIQ", 0x67446698, 0, 7)
            return stream.read(length) if kind == READ else b""

        assert stream.read(18) == b"NBDMAGICIHAVEOPT\0\x03"
        guest.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 7, 0))
        stream.read(20 + 12 + 20)
        ask(WRITE, 512, 512, b"a" * 512)
        ask(FLUSH)
        ask(WRITE, vm.BLOCK - 512, 1024, b"b" * 1024)
        assert ask(READ, 0, 2 * vm.BLOCK) == (
            b"-" * 512 + b"a" * 512 + b"-" * (vm.BLOCK - 1536) + b"b" * 1024 + b"-" * (vm.BLOCK - 512)
        )
        stream.close()
    assert disk.cut(random.Random(0), kept) == (0 if kept else 2)
    assert image.read_bytes().count(b"a") == 512
    assert image.read_bytes().count(b"b") == (1024 if kept else 0)


def test_a_disk_that_nobody_came_for_leaves_nothing_open(tmp_path: Path) -> None:
    """As when QEMU ends before it is there, and the machine is closed."""
    image = tmp_path / "image"
    image.write_bytes(b"-" * vm.BLOCK)
    before = os.listdir("/proc/self/fd")
    disk = vm.Disk(image, tmp_path / "socket")
    assert disk.cut(random.Random(0), 0.0) == 0
    assert not disk.is_alive()
    assert os.listdir("/proc/self/fd") == before


def cut_trial(cuts: list[float]) -> powercut.Trial:
    return powercut.Trial(None, random.Random(0), cuts=cuts)  # type: ignore[arg-type]


def test_a_job_not_to_be_run_again_may_fail_of_a_cut_alone() -> None:
    """``once-1`` was running when the power went, ``once-2`` began after that."""
    lines = [auditor.Line("start", name, 1, 7, at * 10**9) for name, at in (("once-1.0", 90), ("once-2.0", 110))]
    micro = 10**6
    jobs = [
        ["once-1", "failed", 1, "interrupted", "once-1.0", 90 * micro, 120 * micro],
        ["once-2", "failed", 1, "interrupted", "once-2.0", 110 * micro, 120 * micro],
    ]
    trial = cut_trial([100.0])
    trial._judge_ends(lines, (), {"jobs": jobs})
    assert len(trial.notes) == 1
    assert trial.notes[0].startswith("once-2.0 failed although the power stayed")


def test_each_end_after_which_a_job_ran_again_needs_a_cut() -> None:
    ends = [auditor.Line("end", "spec-1.0", n, 7, at * 10**9) for n, at in enumerate((99, 130, 150), 1)]
    trial = cut_trial([100.0])
    trial._judge_ends(ends, ("spec-1.0",), {"jobs": []})
    assert len(trial.notes) == 1
    trial = cut_trial([100.0, 131.0])
    trial._judge_ends(ends, ("spec-1.0",), {"jobs": []})
    assert trial.notes == []


def test_a_pid_is_another_process_after_a_cut() -> None:
    """Without this the auditor would see a job twice at once that got the same pid in two boots."""
    rows = "start job 1 50 1000000000\nstart job 2 50 90000000000\nend job 2 50 91000000000\nstart jo"
    trial = cut_trial([20.0])
    lines = trial.lines(rows)
    assert [(line.word, line.pid % 10**7) for line in lines] == [("start", 50), ("start", 50), ("end", 50)]
    assert auditor.judge(lines, ["job"], 1, repeats=True) == auditor.Verdict()
