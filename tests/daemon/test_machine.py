"""Queues that the machine has to have room for, on machines that a test makes up: files over those of the kernel."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

PSI = "some avg10={:5.2f} avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"
GIGA = 2**30
_IN_OPEN = 0x20
MOUNTS = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0

pytestmark = pytest.mark.skipif(
    not MOUNTS, reason="no mount namespace may be made here: it needs root and unshare(1)"
)


class Made:
    """A machine as the test says: what a gate reads of /proc comes from here."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        (self.proc / "pressure").mkdir(parents=True)
        for name in ("loadavg", "meminfo"):
            shutil.copy(f"/proc/{name}", self.proc / name)
        for name in ("cpu", "memory", "io"):
            (self.proc / "pressure" / name).write_text(PSI.format(0.0))
        self.load(0.1)
        self.memory(64)
        self.python = root / "python"
        mounts = " && ".join(f"mount --bind {self.proc}/{name} /proc/{name}" for name in ("loadavg", "meminfo"))
        if Path("/proc/pressure").exists():
            mounts += f" && mount --bind {self.proc}/pressure /proc/pressure"
        inner = f'{mounts} && exec {sys.executable} "$@"'
        self.python.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{inner}' sh \"$@\"\n")
        self.python.chmod(0o755)

    def load(self, value: float) -> None:
        self._put("loadavg", f"{value:6.2f} 0.00 0.00 1/1 1\n")

    def memory(self, gigabytes: int) -> None:
        self._put(
            "meminfo", f"MemTotal: {64 * GIGA // 1024:12d} kB\nMemAvailable: {gigabytes * GIGA // 1024:12d} kB\n"
        )

    def pressure(self, name: str, value: float) -> None:
        self._put(f"pressure/{name}", PSI.format(value))

    def _put(self, name: str, text: str) -> None:
        """In one piece, as the kernel does: nobody reads half of it."""
        fd = os.open(self.proc / name, os.O_WRONLY)
        os.pwrite(fd, text.ljust(4000).encode(), 0)
        os.close(fd)

    def hang(self, name: str) -> Path:
        """Whoever opens it waits, until somebody opens the path that is returned to write there."""
        (self.proc / name).unlink()
        os.mkfifo(self.proc / name)
        return self.proc / name


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


Make = Callable[..., GateEnv]


def gate_of(make_gate: Make, made: Made, machine: str, workers: int = 4) -> GateEnv:
    config = f"workers: {workers}\nqueues: {{etl: {{machine: {machine}}}, other: {{}}}}\n"
    return make_gate(config, python=str(made.python))


def reasons(gate: GateEnv, name: str) -> list[dict[str, Any]]:
    job = until(lambda: gate.job(name), f"{name} is there")
    found = gate.ctl_json("why", str(job["id"]))["reasons"]
    assert isinstance(found, list)
    return found


def shut_by(gate: GateEnv, name: str) -> set[str]:
    """The figures that keep a job from starting."""
    return {one["figure"] for found in reasons(gate, name) for one in found.get("figures", ())}


def state(gate: GateEnv, name: str) -> str:
    return str((gate.job(name) or {}).get("state"))


def drop(gate: GateEnv, name: str, command: str = "'true'", queue: str = "etl") -> None:
    gate.drop(f"{name}.yaml", f"name: {name}\ncommand: {command}\n", queue)


def test_nothing_starts_beyond_a_bound_until_it_is_eased(make_gate: Make, made: Made) -> None:
    made.load(9.0)
    gate = gate_of(make_gate, made, "{load: 8, memory: 4G}")
    drop(gate, "a")
    until(lambda: shut_by(gate, "a") == {"load"}, "it waits for the load")
    (reason,) = (one for one in reasons(gate, "a") if one["kind"] == "machine")
    assert reason["figures"] == [{"figure": "load", "value": 9.0, "bound": 8.0, "until": pytest.approx(7.2)}]
    assert reason["text"] == "the machine has no room for queue etl: the load is 9.00, and has to be below 7.2"
    drop(gate, "b", queue="other")
    until(lambda: state(gate, "b") == "succeeded", "other queues go on")
    assert [(one["queue"], one["kind"]) for one in gate.status()["closed"]] == [("etl", "machine")]
    made.load(7.5)
    until(lambda: "is 7.50" in reasons(gate, "a")[0]["text"], "that is seen, and is not enough")
    made.memory(3)
    until(lambda: shut_by(gate, "a") == {"load", "memory"}, "all that is in the way is told")
    made.load(7.0)
    until(lambda: shut_by(gate, "a") == {"memory"}, "the load is not any more")
    made.memory(5)
    until(lambda: state(gate, "a") == "succeeded", "it starts")
    assert "queue etl starts nothing, the machine has no room: load is 9, bound 8" in gate.log()


@pytest.mark.skipif(not Path("/proc/pressure").exists(), reason="there is nothing to put other files over")
def test_pressure(make_gate: Make, made: Made) -> None:
    for name in ("cpu", "memory", "io"):
        made.pressure(name, 50.0)
    gate = gate_of(make_gate, made, "{pressure: {cpu: 50, memory: 10, io: 60}}")
    drop(gate, "a")
    until(lambda: shut_by(gate, "a") == {"pressure.cpu", "pressure.memory"}, "two of them are too high")
    made.pressure("cpu", 44.0)
    made.pressure("memory", 8.0)
    until(lambda: state(gate, "a") == "succeeded", "it starts")


def test_not_everything_starts_before_it_shows(make_gate: Make, made: Made) -> None:
    gate = gate_of(make_gate, made, "{memory: 4G}", workers=10)
    line = f"date +%s.%N >> {gate.scratch}/began; exec sleep 1000\n"
    gate.drop("a.tasks", line * 7, "etl")
    until(lambda: len(gate.lines("began")) == 7, "all run")
    began = sorted(map(float, gate.lines("began")))
    assert began[1] - began[0] > 4 and began[3] - began[2] > 4, "one, then two, then four"
    made.memory(2)
    gate.drop("b.tasks", line * 2, "etl")
    until(lambda: gate.status()["counts"]["queued"] == 2 and "and 4.4G have to be" in str(reasons_of(gate, 8)))
    assert len(gate.lines("began")) == 7


def reasons_of(gate: GateEnv, id_: int) -> list[dict[str, Any]]:
    found = gate.ctl_json("why", str(id_))["reasons"]
    assert isinstance(found, list)
    return found


def test_what_runs_counts_before_the_load_shows_it(make_gate: Make, made: Made) -> None:
    """The figure never moves: as many as it may still become start, and no more for a while."""
    made.load(2.0)
    gate = gate_of(make_gate, made, "{load: 5}", workers=10)
    gate.drop("a.tasks", "exec sleep 1000\n" * 9, "etl")
    until(lambda: gate.status()["counts"]["running"] >= 3, "three run")
    (reason,) = until(
        lambda: [one for one in reasons_of(gate, 9) if "coming" in one], "the next waits for what those will bring"
    )
    assert (reason["kind"], reason["load"], reason["bound"]) == ("machine", 2.0, 5.0) and 2 < reason["coming"] <= 4
    assert gate.status()["counts"]["running"] <= 4


def test_a_gate_without_jobs_does_not_look(make_gate: Make, made: Made) -> None:
    libc = ctypes.CDLL(None)
    gate = gate_of(make_gate, made, "{load: 8}")
    drop(gate, "a")
    until(lambda: state(gate, "a") == "succeeded", "it has looked once")
    time.sleep(6)  # what was seen holds until then
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(made.proc / "loadavg"), _IN_OPEN) > 0
    drop(gate, "b", queue="other")
    until(lambda: state(gate, "b") == "succeeded", "a job of another queue is none of its business")
    time.sleep(12)
    with pytest.raises(BlockingIOError):
        os.read(watch, 4096)
    assert gate.status()["closed"] == [], "nor does status call that closed"
    drop(gate, "c")
    until(lambda: state(gate, "c") == "succeeded", "it looks again, and at once")
    assert os.read(watch, 4096)
    os.close(watch)


def test_a_new_bound_holds_from_the_reload_on(make_gate: Make, made: Made) -> None:
    gate = gate_of(make_gate, made, "{memory: 60G}")
    made.memory(50)
    drop(gate, "a")
    until(lambda: shut_by(gate, "a") == {"memory"}, "it waits")
    gate.configure("workers: 4\nqueues: {etl: {machine: {memory: 40G}}}\n")
    began = time.monotonic()
    gate.call("Reload")
    until(lambda: state(gate, "a") == "succeeded", "it starts")
    assert time.monotonic() - began < 30
    made.memory(1)
    drop(gate, "b")
    until(lambda: shut_by(gate, "b") == {"memory"}, "it waits")
    gate.configure("workers: 4\nqueues: {etl: {}}\n")
    gate.call("Reload")
    until(lambda: state(gate, "b") == "succeeded", "it starts, as there is no bound")


def test_what_is_beyond_after_a_restart_is(make_gate: Make, made: Made) -> None:
    made.load(9.0)
    gate = gate_of(make_gate, made, "{load: 8}")
    drop(gate, "a")
    until(lambda: shut_by(gate, "a") == {"load"}, "it waits")
    gate.kill()
    gate.start()
    drop(gate, "b", queue="other")
    until(lambda: state(gate, "b") == "succeeded", "others go on")
    until(lambda: shut_by(gate, "a") == {"load"}, "it waits again")
    assert state(gate, "a") == "queued"


# -- what cannot be known ----------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/pressure").exists(), reason="this kernel has none")
def test_a_kernel_without_pressure_is_told_of_and_holds_nothing_back(make_gate: Make, made: Made) -> None:
    for name in ("cpu", "memory", "io"):
        (made.proc / "pressure" / name).unlink()
    gate = gate_of(make_gate, made, "{pressure: {io: 40}, load: 8}")
    said = "machine: pressure.io cannot be known, so a bound on it holds nothing back: this kernel has no pressure"
    status = until(lambda: (now := gate.status())["problems"] and now, "status tells, before any job is there")
    assert any(one.startswith(f"degraded: {said}") for one in status["problems"])
    assert status["ready"]
    drop(gate, "a")
    until(lambda: state(gate, "a") == "succeeded", "it runs")
    assert gate.log().count(said) == 1
    checked = subprocess.run(
        [str(made.python), "-m", "taskgated", "--root", str(gate.root), "--check"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"note: {said}" in checked.stdout
    made.load(9.0)
    drop(gate, "b")
    until(lambda: shut_by(gate, "b") == {"load"}, "the other bound holds")


def test_a_file_that_hangs_holds_nothing_up(make_gate: Make, made: Made) -> None:
    fifo = made.hang("loadavg")
    gate = gate_of(make_gate, made, "{load: 8}")
    drop(gate, "b", queue="other")
    until(lambda: state(gate, "b") == "succeeded", "nobody else waits for it")
    drop(gate, "a")
    until(lambda: state(gate, "a") == "succeeded", "nor does its queue, for long")
    (problem,) = gate.status()["problems"]
    assert "load cannot be known" in problem and "is not there after 10 s" in problem
    writer = os.open(fifo, os.O_WRONLY)
    os.write(writer, b"9.00 0.00 0.00 1/1 1\n")
    os.close(writer)
    until(lambda: gate.status()["problems"] == [], "it is there")


def test_check_tells_of_a_bound_that_nothing_can_meet(made: Made, tmp_path: Path) -> None:
    gate = GateEnv(tmp_path / "gate", "queues: {etl: {machine: {memory: 60G}}, big: {machine: {memory: 4G}}}\n")
    checked = subprocess.run(
        [str(made.python), "-m", "taskgated", "--root", str(gate.root), "--check"],
        capture_output=True,
        text=True,
        check=True,
    )
    said = "note: queue etl: machine: so much memory (60G and a tenth) is never available here: the machine has 64G"
    assert checked.stdout.splitlines() == ["the configuration is fine", said]
