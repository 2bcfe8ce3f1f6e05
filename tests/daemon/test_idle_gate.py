"""A gate that has nothing to do costs nothing, whatever waits: its wake-ups are counted, and its time on the CPU."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.idle import wakeups
from tests.env.gate import GateEnv
from tests.env.until import until

SECONDS = 4.0
MOST = 60.0
"""Wake-ups a second of all its threads, and its share of a CPU at most: it has some 3, what spins thousands."""
SHARE = 0.05

CONFIG = (
    "workers: 2\nstop_timeout: 100ms\nmax_backlog: 50\nqueues: {etl: {require: {marker: .done}}}\nignore: ['*.log']\n"
)


def on_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_nothing_that_waits_keeps_it_busy(tmp_path: Path) -> None:
    """A job that lingers, a parked array, a second one half taken in, a file that is being written, one without its
    second file, and names that are left alone."""
    gate = GateEnv(tmp_path / "gate", CONFIG)
    gate.start()
    try:
        gate.drop("linger.yaml", "command: 'setsid sleep 600 & exit 0'\nlinger: 1h\n")
        gate.drop("parked.yaml", "command: [sleep, '600']\narray: {from: 1, to: 20, at_most: 1}\n")
        until(lambda: gate.status()["counts"]["running"] == 2, "both run")
        gate.drop("half.yaml", "command: [sleep, '600']\narray: {from: 1, to: 500}\n")
        gate.drop("alone.yaml", "command: [echo]\n", "etl")
        for name in ("a.tmp", "a.log", "a.bak"):
            gate.drop(name, "x")
        until(lambda: "intake paused" in gate.status()["text"])
        with open(gate.layout.spool / "written.yaml", "w", encoding="utf-8") as file:
            file.write("x")
            file.flush()
            time.sleep(3.0)
            assert gate.process is not None
            pids = [gate.process.pid, *(worker["pid"] for worker in gate.status()["workers"])]
            before = sum(map(wakeups, pids)), sum(map(on_cpu, pids))
            time.sleep(SECONDS)
            after = sum(map(wakeups, pids)), sum(map(on_cpu, pids))
        assert (after[0] - before[0]) / SECONDS < MOST
        assert (after[1] - before[1]) / SECONDS < SHARE
    finally:
        gate.stop()
