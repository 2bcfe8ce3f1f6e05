"""The figures of the machine, from files as kernels write them, or do not; and those of this one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from taskgated.core.machine import Figure, Whose
from taskgated.host import pressure
from taskgated.host.pressure import Wanted, read, total_memory

HOST = [(figure, Whose.HOST) for figure in Figure]
PSI = "some avg10={} avg60=9.00 avg300=9.00 total=9\nfull avg10=9.00 avg60=9.00 avg300=9.00 total=9\n"
GIGA = 2**30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """As of a kernel that has all."""
    proc = tmp_path / "proc"
    (proc / "pressure").mkdir(parents=True)
    (proc / "loadavg").write_text("6.58 6.70 5.68 12/168 25362\n")
    (proc / "meminfo").write_text("MemTotal:   8388608 kB\nMemFree:  10 kB\nMemAvailable:    4194304 kB\n")
    for number, name in enumerate(("cpu", "memory", "io"), 1):
        (proc / "pressure" / name).write_text(PSI.format(f"{number}.25"))
    return proc


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A control group with a bound, below one without, at the top of what can be seen."""
    group = tmp_path / "top" / "system.slice" / "taskgated.service"
    group.mkdir(parents=True)
    for directory in (group, group.parent, group.parent.parent):
        (directory / "cgroup.controllers").write_text("memory\n")
    (group.parent / "memory.max").write_text("max\n")
    (group / "memory.max").write_text(f"{3 * GIGA}\n")
    (group / "memory.current").write_text(f"{2 * GIGA}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {GIGA // 2}\nactive_file 7\n")
    (group / "cpu.pressure").write_text(PSI.format("77.50"))
    return group


def of(figure: Figure, proc: Path, group: Path | None = None, whose: Whose = Whose.HOST) -> float:
    wanted: Wanted = figure, whose
    reading = read([wanted], None if group is None else str(group), proc)
    assert reading.lacking == {}
    return reading.figures[wanted]


def lacking(figure: Figure, proc: Path, group: Path | None = None, whose: Whose = Whose.HOST) -> str:
    wanted: Wanted = figure, whose
    reading = read([wanted], None if group is None else str(group), proc)
    assert reading.figures == {}
    return reading.lacking[wanted]


def test_all_of_them(proc: Path) -> None:
    reading = read(HOST, None, proc)
    assert list(reading.figures.values()) == [6.58, 4 * GIGA, 1.25, 2.25, 3.25] and not reading.lacking
    assert total_memory(proc) == 8 * GIGA


def test_those_of_this_kernel() -> None:
    """What it does not have it says; nothing else is made of it."""
    reading = read(HOST)
    assert reading.figures.keys() | reading.lacking.keys() == set(HOST)
    assert reading.figures[Figure.LOAD, Whose.HOST] >= 0
    assert 0 < reading.figures[Figure.MEMORY, Whose.HOST] <= (total_memory() or 0)
    if os.path.exists("/proc/pressure/cpu"):
        assert 0 <= reading.figures[Figure.CPU_PRESSURE, Whose.HOST] <= 100


def test_the_memory_of_a_group_that_has_less_than_the_host(proc: Path, group: Path) -> None:
    """What it holds in files that were not used lately counts as available."""
    assert of(Figure.MEMORY, proc, group) == 3 * GIGA // 2
    (group / "memory.stat").unlink()
    assert of(Figure.MEMORY, proc, group) == GIGA
    (group / "memory.current").write_text(f"{7 * GIGA}\n")
    assert of(Figure.MEMORY, proc, group) == 0, "as of a bound that was lowered"


def test_the_bound_of_a_group_above_counts_as_well(proc: Path, group: Path) -> None:
    (group / "memory.max").write_text("max\n")
    assert of(Figure.MEMORY, proc, group) == 4 * GIGA
    (group.parent / "memory.max").write_text(f"{2 * GIGA}\n")
    (group.parent / "memory.current").write_text(f"{2 * GIGA}\n")
    assert of(Figure.MEMORY, proc, group) == 0
    (group.parent / "memory.max").unlink()
    assert of(Figure.MEMORY, proc, group) == 4 * GIGA, "a group may have no such controller"


def test_the_pressure_of_the_group(proc: Path, group: Path) -> None:
    assert of(Figure.CPU_PRESSURE, proc, group, Whose.CGROUP) == 77.5
    assert of(Figure.CPU_PRESSURE, proc, group) == 1.25
    said = "the control group of the gate (version 2) cannot be seen"
    assert lacking(Figure.CPU_PRESSURE, proc, None, Whose.CGROUP) == said
    assert "psi=1" in lacking(Figure.IO_PRESSURE, proc, group, Whose.CGROUP)


@pytest.mark.parametrize("figure", [Figure.CPU_PRESSURE, Figure.MEMORY_PRESSURE, Figure.IO_PRESSURE])
def test_a_kernel_without_pressure_says_what_to_do(proc: Path, figure: Figure) -> None:
    for name in ("cpu", "memory", "io"):
        (proc / "pressure" / name).unlink()
    said = "this kernel has no pressure stall information; it may need psi=1 on its command line"
    assert lacking(figure, proc) == said
    (proc / "pressure").rmdir()
    assert lacking(figure, proc) == said
    assert of(Figure.LOAD, proc) == 6.58, "all else is there"


def test_one_that_has_the_files_and_not_what_is_in_them(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PSI off by boot parameter, as some kernels have it."""

    def switched_off(*_: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(pressure.os, "read", switched_off)
    assert "psi=1" in lacking(Figure.IO_PRESSURE, proc)
    assert lacking(Figure.LOAD, proc) == f"{proc}/loadavg cannot be read: {os.strerror(errno.EOPNOTSUPP)}"


def test_what_cannot_be_read_or_understood_is_said(proc: Path) -> None:
    (proc / "loadavg").unlink()
    assert lacking(Figure.LOAD, proc) == f"{proc}/loadavg cannot be read: No such file or directory"
    for text in ("", "much\n", "nan 1 2\n", "inf 1 2\n"):
        (proc / "loadavg").write_text(text)
        assert "cannot be understood" in lacking(Figure.LOAD, proc)
    (proc / "meminfo").write_text("MemTotal: 5 kB\n")  # before Linux 3.14
    assert "cannot be understood" in lacking(Figure.MEMORY, proc)
    for text in ("full avg10=1.00\n", "some avg60=1.00\n", "some avg10=x\n", "\xff"):
        (proc / "pressure" / "io").write_text(text)
        assert "cannot be understood" in lacking(Figure.IO_PRESSURE, proc)
    (proc / "meminfo").unlink()
    assert total_memory(proc) is None
