"""Minutes of random load of every format, with random kills of everything; nothing of the daemon may grow.

    python tests/chaos --attack soak --minutes 10

Memory, descriptors and threads are sampled over the life of each daemon that lives long enough to show a trend: the
daemon is killed in the first half only, and has the second one to itself, with workers and worker server still dying.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from load import Load
from table import Row
from trial import Trial, signal_to

MINUTES = 10.0
SAMPLE_MINUTES = 0.5
"""Where not everything is asked for."""
BACKLOG = 60
"""Jobs that wait or run; with more nothing is dropped."""
POISON = 3
"""A job that was on this many workers when they died counts as their murderer, and fails."""
GROWTH = 1.15
SLACK = {"memory": 3 * 1024**2, "descriptors": 3, "threads": 1}
"""What a later stretch may have more than an earlier one, as a factor and in addition."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a daemon has at a moment; memory is what is resident, in bytes."""

    memory: int
    descriptors: int
    threads: int


def sample(pid: int) -> Sample | None:
    """None if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return Sample(
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(os.listdir(f"/proc/{pid}/fd")),
            len(os.listdir(f"/proc/{pid}/task")),
        )
    except OSError:
        return None


def grown(samples: Sequence[Sample]) -> list[str]:
    """What has grown between the second and the last quarter of its life: the first belongs to its start."""
    quarter = len(samples) // 4
    if quarter < 5:
        return []
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for what, slack in SLACK.items():
        before, after = (median(getattr(s, what) for s in part) for part in (early, late))
        if after > before * GROWTH + slack:
            found.append(f"{what} of the daemon grew from {before:.0f} to {after:.0f}")
    return found


class Soak:
    """One trial, and what is done to it every moment."""

    def __init__(self, trial: Trial, dice: random.Random) -> None:
        self.trial = trial
        self.dice = dice
        self.killed_workers = 0
        self.killed_daemons = 0
        self.samples: list[Sample] = []
        self.growth: list[str] = []
        self.resumed = 0.0

    def load(self) -> None:
        """Drop a file or two of any format, unless enough waits."""
        load = self.trial.load
        counts = self.trial.gate.status()["counts"]
        if not self.trial.alive or sum(counts.get(state, 0) for state in ("queued", "running")) > BACKLOG:
            return
        dice = self.dice
        makers: list[Callable[[], None]] = [
            lambda: load.yaml(dice.randint(1, 4)),
            lambda: load.yaml(dice.randint(1, 3), queue="narrow"),
            lambda: load.json(dice.randint(1, 3)),
            load.script,
            lambda: load.tasks(dice.randint(1, 6)),
            load.file,
            lambda: load.lines(dice.randint(1, 3)),
            load.failing,
            load.retried,
            load.delayed,
            load.bad,
        ]
        known = len(load.files)
        for make in dice.choices(makers, k=2):
            make()
        for queue, name, content in load.files[known:]:
            self.trial.gate.drop(name, content, queue)

    def attack(self, everything: bool) -> None:
        """Hurt something. ``everything``: also the daemon itself may die."""
        attacks = [self.worker_dies, self.server_dies, self.somebody_pauses, self.reload]
        if everything:
            attacks.append(self.daemon_dies)
        self.dice.choice(attacks)()

    def worker_dies(self) -> None:
        if pids := [entry["pid"] for entry in self.trial.gate.status()["workers"]]:
            signal_to(self.dice.choice(pids), signal.SIGKILL)
            self.killed_workers += 1

    def server_dies(self) -> None:
        workers = {entry["pid"] for entry in self.trial.gate.status()["workers"]}
        servers = [pid for pid in self.trial.workers() if pid not in workers and _parent(pid) == self.pid]
        for pid in servers:
            signal_to(pid, signal.SIGKILL)

    def somebody_pauses(self) -> None:
        """Any process of the gate stands still for a while."""
        pids = [self.pid, *self.trial.workers()]
        pid = self.dice.choice(pids)
        signal_to(pid, signal.SIGSTOP)
        self.trial.pause(self.dice.uniform(0.1, 1.0))
        signal_to(pid, signal.SIGCONT)

    def reload(self) -> None:
        self.trial.gate.signal(signal.SIGHUP)

    def daemon_dies(self) -> None:
        self.judge_growth()
        self.trial.gate.kill()
        self.killed_daemons += 1
        died = time.monotonic()
        self.trial.start()
        self.trial.until_ready()
        self.resumed = max(self.resumed, time.monotonic() - died)

    @property
    def pid(self) -> int:
        assert self.trial.gate.process is not None
        return self.trial.gate.process.pid

    def watch(self) -> None:
        if (seen := sample(self.pid)) is not None:
            self.samples.append(seen)

    def judge_growth(self) -> None:
        self.growth += grown(self.samples)
        self.samples.clear()


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def soak(dice: random.Random, everything: bool) -> Row:
    """``tries``: how many jobs there were."""
    seconds = 60 * (MINUTES if everything else min(MINUTES, SAMPLE_MINUTES))
    with Trial(lambda record: Load(record, seconds=0.1)) as trial:
        run = Soak(trial, dice)
        try:
            trial.start()
            trial.until_ready()
            _run(run, seconds)
            run.judge_growth()
        except AssertionError as error:
            return trial.failed("soak", error)
        row = trial.finish("soak", kills=run.killed_workers, poison=POISON)
        jobs, daemons, workers = len(trial.load.states), run.killed_daemons, run.killed_workers
        sys.stderr.write(f"soak: {jobs} jobs, {daemons} daemons and {workers} workers killed\n")
    return replace(row, tries=len(trial.load.states), seconds=run.resumed, notes=(*row.notes, *run.growth))


def _run(run: Soak, seconds: float) -> None:
    begin = time.monotonic()
    next_attack = begin + 1
    while (now := time.monotonic()) < begin + seconds:
        run.load()
        run.watch()
        if now >= next_attack:
            run.attack(everything=now < begin + seconds / 2)
            next_attack = time.monotonic() + run.dice.uniform(0.5, 3)
        run.trial.pause(0.1)
        assert run.trial.alive, "the daemon ended by itself"


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    return {"soak": soak}
