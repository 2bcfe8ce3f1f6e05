"""Minutes of random load of every format, with random kills of everything; nothing of the daemon may grow.

    python -m tests.chaos --attack soak --minutes 10

Memory, descriptors and threads are sampled over the life of each daemon and each worker server that lives long enough
to show a trend: both are killed in the first half only, and have the second one to themselves, with workers
and jobs still dying. What is judged is the least that they had for a while, for load comes and goes: a leak lifts
that, be it by one descriptor.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos import auditor
from tests.chaos.load import WORKERS, Load
from tests.chaos.processes import signal_to
from tests.chaos.table import Row
from tests.chaos.trial import Trial

MINUTES = 10.0
SAMPLE_MINUTES = 0.5
"""Where not everything is asked for."""
BACKLOG = 60
"""Jobs that wait or run; with more nothing is dropped."""
POISON = 3
"""A job that was on this many workers when they died counts as their murderer, and fails."""
PAGE_CACHE = 8 * 1024**2
"""Bytes of the database that SQLite keeps in memory, as soon as there are so many (``PRAGMA cache_size``): that part
of the memory is bounded, and grows with the database until then."""
SLACK = {"memory": 1024**2, "descriptors": 0, "threads": 0}
"""What a later stretch may have more than an earlier one; memory that was given back may lie in pieces."""
ENOUGH = 100
"""Samples, ten a second at most, in a quarter of a life that can show a trend."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process has at a moment; memory is what is resident beside the page cache, in bytes."""

    memory: int
    descriptors: int
    threads: int


def sample(pid: int, cached: int = 0) -> Sample | None:
    """None if it is gone. ``cached``: bytes of its memory that are known to be bounded."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return Sample(
            pages * os.sysconf("SC_PAGE_SIZE") - cached,
            len(os.listdir(f"/proc/{pid}/fd")),
            len(os.listdir(f"/proc/{pid}/task")),
        )
    except OSError:
        return None


def grown(samples: Sequence[Sample]) -> list[str]:
    """What has grown between the second and the last quarter of its life: the first belongs to its start."""
    quarter = len(samples) // 4
    if quarter < ENOUGH:
        return []
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for what, slack in SLACK.items():
        before, after = (min(getattr(sample, what) for sample in part) for part in (early, late))
        if after > before + slack:
            found.append(f"{what} grew from {before} to {after}")
    return found


class Life:
    """One process after the other in the same part, and what each of them had."""

    def __init__(self, part: str) -> None:
        self.growth: list[str] = []
        self.judged = 0
        self._part = part
        self._pid = 0
        self._samples: list[Sample] = []

    def watch(self, pid: int, cached: int = 0) -> None:
        if pid != self._pid:
            self.judge()
            self._pid = pid
        if pid and (seen := sample(pid, cached)) is not None:
            self._samples.append(seen)

    def judge(self) -> None:
        """Its life is over, or has been long enough."""
        self.judged += len(self._samples) >= 4 * ENOUGH
        self.growth += [f"{self._part}: {what}" for what in grown(self._samples)]
        self._samples.clear()


class Soak:
    """One trial, and what is done to it every moment."""

    def __init__(self, trial: Trial, dice: random.Random) -> None:
        self.trial = trial
        self.dice = dice
        self.killed = Counter[str]()
        self.daemon, self.server = Life("daemon"), Life("worker server")
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
            load.tough,
            load.bad,
        ]
        known = len(load.files)
        for make in dice.choices(makers, k=2):
            make()
        for queue, name, content in load.files[known:]:
            self.trial.gate.drop(name, content, queue)

    def attack(self, everything: bool) -> None:
        """Hurt something. ``everything``: also the daemon itself may die."""
        attacks = [self.worker_dies, self.job_dies, self.somebody_pauses, self.reload]
        if everything:
            attacks += [self.daemon_dies, self.server_dies]
        self.dice.choice(attacks)()

    def worker_dies(self) -> None:
        if pids := [entry["pid"] for entry in self.trial.gate.status()["workers"]]:
            signal_to(self.dice.choice(pids), signal.SIGKILL)
            self.killed["worker"] += 1

    def job_dies(self) -> None:
        """The process of a job that does not mind. It stands still first, so that it cannot have ended by then."""
        lines = auditor.read(self.trial.record)
        over = {(line.name, line.attempt) for line in lines if line.word == "end"}
        for line in lines[-BACKLOG:]:
            if line.word != "start" or line.name not in self.trial.load.sturdy or (line.name, line.attempt) in over:
                continue
            if not _is_record(line.pid, line.name):
                continue
            signal_to(line.pid, signal.SIGSTOP)
            ended = any(
                (other.word, other.name, other.attempt) == ("end", line.name, line.attempt)
                for other in auditor.read(self.trial.record)
            )
            signal_to(line.pid, signal.SIGCONT if ended else signal.SIGKILL)
            self.killed["job"] += not ended
            return

    def servers(self) -> list[int]:
        workers = {entry["pid"] for entry in self.trial.gate.status()["workers"]}
        return [pid for pid in self.trial.workers() if pid not in workers and _parent(pid) == self.pid]

    def server_dies(self) -> None:
        for pid in self.servers():
            signal_to(pid, signal.SIGKILL)
            self.killed["worker server"] += 1

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
        self.trial.gate.kill()
        self.killed["daemon"] += 1
        died = time.monotonic()
        self.trial.start()
        self.trial.until_ready()
        self.resumed = max(self.resumed, time.monotonic() - died)

    @property
    def pid(self) -> int:
        assert self.trial.gate.process is not None
        return self.trial.gate.process.pid

    def watch(self) -> None:
        if len(self.trial.gate.status()["workers"]) < WORKERS:
            return  # one that is missing, perhaps for seconds, would be the least that the daemon had
        database = self.trial.gate.layout.database.stat().st_size
        self.daemon.watch(self.pid, min(database, PAGE_CACHE))
        if servers := self.servers():
            self.server.watch(servers[0])


def _is_record(pid: int, name: str) -> bool:
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def soak(dice: random.Random, everything: bool) -> Row:
    """``tries``: how many processes were killed."""
    seconds = 60 * (MINUTES if everything else SAMPLE_MINUTES)
    with Trial(lambda record: Load(record, seconds=0.1)) as trial:
        run = Soak(trial, dice)
        try:
            trial.start()
            trial.until_ready()
            _run(run, seconds)
        except (AssertionError, OSError) as error:
            return trial.failed("soak", error)
        row = trial.finish("soak", kills=run.killed["worker"], poison=POISON)
        notes = list(row.notes)
        for life in (run.daemon, run.server):
            life.judge()
            notes += life.growth
        if everything and not (run.daemon.judged and run.server.judged):
            notes.append("nobody lived long enough to show whether it grows")
        killed = ", ".join(f"{number} of {part}" for part, number in sorted(run.killed.items()))
        sys.stderr.write(f"soak: {len(trial.load.states)} jobs; killed: {killed}\n")
    return replace(row, tries=run.killed.total(), seconds=run.resumed, notes=tuple(notes))


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
