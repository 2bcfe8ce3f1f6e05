"""Every crash point: a process of the gate is killed at each system call that changes state.

strace(1) kills it as it enters its Nth call of a kind, which is then not carried out; so with N from 1 to the number
of such calls each moment between two changes is a crash point. How many there are is counted in a run that nobody
disturbs. strace counts each thread by itself: the first one that comes to its Nth call dies, and all others with it.
So where two threads make the same call, the point of the later one is not tried; how many those are is said.

Of the daemon three stretches of its life are attacked: its first start, with nothing there yet; at work, from the
moment it is ready until it has stopped, so that each thread counts from there; and the start that finds what a killed
daemon left. A worker is attacked at work, and when it has to keep an outcome because its daemon is gone. The worker
server is attacked while workers die.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.chaos.load import WORKERS, every_format
from tests.chaos.processes import gone, threads
from tests.chaos.table import Row
from tests.chaos.trial import Trial
from tests.env.until import until

CALLS = (
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("symlink", "symlinkat"),
    *("fsync", "fdatasync", "pwrite64", "ftruncate", "sendto", "sendmsg", "fork", "vfork", "clone", "clone3"),
)
WRITES = ("write",)
"""Only of workers and their server: in the daemon nearly every one wakes a thread, or is a line of its log."""
SAMPLE = 12
"""How many crash points a sample has, of each scenario."""
_CALL = re.compile(r"(?:(\d+) +)?[\d.]+ (\w+)\(")
_KILLED = re.compile(r"([\d.]+) \+\+\+ killed by SIGKILL")


@dataclass(frozen=True, slots=True)
class Point:
    """Die at the Nth call of that name."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


@dataclass(slots=True)
class Tracing:
    """What strace is told: to watch, or to kill at a point as well; and where it writes what it saw."""

    trial: Trial
    point: Point | None = None
    calls: tuple[str, ...] = CALLS

    @property
    def log(self) -> Path:
        return self.trial.gate.root / "calls"

    def options(self) -> tuple[str, ...]:
        watched = (
            "-q",
            "-ttt",
            "-e",
            f"trace={','.join(f'?{call}' for call in self.calls)}",
            "-e",
            "signal=KILL",
            "-o",
            str(self.log),
        )
        if self.point is None:
            return watched
        return (*watched, "-e", f"inject={self.point.call}:signal=KILL:when={self.point.number}")

    def program(self) -> tuple[str, ...]:
        """Run a program traced, as our own child (-D), with all its threads (-f), but not what it starts (-b)."""
        return ("strace", "-D", "-I1", "-f", "-b", "execve", *self.options())

    def counted(self) -> tuple[Counter[str], int]:
        """How often each call was made, at most, by one thread; and how many by others, which those hide."""
        calls: Counter[tuple[str, str]] = Counter()
        for line in self.log.read_text(errors="replace").splitlines():
            if match := _CALL.match(line):
                calls[match[1] or "", match[2]] += 1
        most: Counter[str] = Counter()
        for (_, call), number in calls.items():
            most[call] = max(most[call], number)
        return most, calls.total() - most.total()

    def killed(self) -> float:
        """When it came to that, by the wall clock; 0 if it did not."""
        found = _KILLED.search(self.log.read_text(errors="replace")) if self.log.exists() else None
        return float(found[1]) if found else 0.0


# -- scenarios: each returns how many workers it killed itself ---------------------------------------------


def first_start(trial: Trial, tracing: Tracing) -> int:
    """The daemon, from its first instruction until it is ready."""
    trial.start(tracing.program())
    trial.until_ready()
    trial.detach()
    return 0


def at_work(trial: Trial, tracing: Tracing) -> int:
    """The daemon, from the moment it is ready until it has stopped."""
    trial.start()
    trial.until_ready()
    assert trial.gate.process is not None
    trial.attach(threads(trial.gate.process.pid), *tracing.options())
    trial.drop_all()
    trial.until_over()
    trial.end()
    return 0


def recovering(trial: Trial, tracing: Tracing) -> int:
    """The daemon that starts after a crash in the middle of everything."""
    trial.start()
    trial.until_ready()
    trial.drop_all()
    until(trial.running, "a job runs")
    trial.gate.kill()
    trial.start(tracing.program())
    trial.until_over()
    trial.end()
    return 0


def worker(trial: Trial, tracing: Tracing) -> int:
    """A worker, at work."""
    trial.start()
    trial.until_ready()
    victim = trial.worker()
    trial.attach([victim], *tracing.options())
    trial.drop_all()
    until(lambda: gone(victim) or trial.all_over(), "all jobs are over, or the worker is dead", 60)
    return 0


def worker_alone(trial: Trial, tracing: Tracing) -> int:
    """A worker whose daemon is gone: it keeps the outcome of its job, and reports to the next daemon."""
    trial.start()
    trial.until_ready()
    trial.drop_all()
    victim = until(trial.running, "a job runs")[0]
    trial.attach([victim], *tracing.options())
    trial.gate.kill()
    outcomes = trial.gate.layout.outcomes
    # A worker without a job leaves, the others have kept one outcome each.
    until(lambda: len(trial.workers()) <= len(list(outcomes.glob("*.json"))), "every worker has kept its outcome")
    trial.start()
    until(lambda: gone(victim) or trial.all_over(), "all jobs are over, or the worker is dead", 60)
    return 0


def server(trial: Trial, tracing: Tracing) -> int:
    """The worker server, while workers die and are replaced."""
    trial.start()
    trial.until_ready()
    victim = trial.gate.server()
    trial.attach([victim], *tracing.options())
    trial.drop_all()
    kills = 2
    for _ in range(kills):
        pid = trial.worker()
        os.kill(pid, signal.SIGKILL)
        until(partial(_replaced, trial, pid, victim), "a dead worker is replaced")
    until(lambda: gone(victim) or trial.all_over(), "all jobs are over, or the worker server is dead", 60)
    return kills


def _replaced(trial: Trial, worker: int, server: int) -> bool:
    pids = [entry["pid"] for entry in trial.gate.status()["workers"]]
    return gone(server) or (worker not in pids and len(pids) >= WORKERS)


Scenario = Callable[[Trial, Tracing], int]
SCENARIOS: dict[str, Scenario] = {
    "kill -9 of the daemon at each call of its first start": first_start,
    "kill -9 of the daemon at each call of its work and its stop": at_work,
    "kill -9 of the daemon at each call of a start after a crash": recovering,
    "kill -9 of a worker at each call of its work": worker,
    "kill -9 of a worker at each call, its daemon being gone": worker_alone,
    "kill -9 of the worker server at each call": server,
}


@dataclass(frozen=True, slots=True)
class Try:
    """What one trial came to; whether the victim was killed; how often each call was made; how many are hidden."""

    row: Row
    killed: bool
    counted: Counter[str]
    hidden: int = 0


def attempt(attack: str, point: Point | None = None) -> Try:
    """One trial of a scenario; without a point nobody is killed at any, and its calls are counted."""
    scenario = SCENARIOS[attack]
    of_worker = scenario in (worker, worker_alone)
    make = partial(every_format, seconds=0.3) if scenario is worker_alone else every_format
    with Trial(make) as trial:
        tracing = Tracing(trial, point, (*CALLS, *WRITES) if of_worker or scenario is server else CALLS)
        label = attack if point is None else f"{attack}: {point}"
        try:
            kills = scenario(trial, tracing)
            trial.detach()
            trial.attacked = tracing.killed()
            kills += of_worker and bool(trial.attacked)
            row = trial.finish(label, kills=kills)
            return Try(row, bool(trial.attacked), *tracing.counted())
        except Exception as error:
            return Try(trial.failed(label, error), bool(tracing.killed()), Counter())


def points(attack: str) -> list[Point]:
    """All crash points of a scenario."""
    undisturbed = attempt(attack)
    assert undisturbed.row.clean, undisturbed.row
    if undisturbed.hidden:
        sys.stderr.write(f"{attack}: {undisturbed.hidden} calls hidden behind the same ones of another thread\n")
    return [Point(call, n) for call, most in sorted(undisturbed.counted.items()) for n in range(1, most + 1)]


def run(attack: str, dice: random.Random, everything: bool) -> Row:
    """All crash points of a scenario, or a sample of them, as many at once as there are processors. ``tries``: those
    at which the victim was indeed killed."""
    found = points(attack)
    chosen = found if everything else dice.sample(found, min(SAMPLE, len(found)))
    total = Row(attack, 0, of=len(found))
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        tries = pool.map(partial(attempt, attack), chosen)
        for number, (point, done) in enumerate(zip(chosen, tries, strict=True), 1):
            notes = tuple(f"{point}: {note}" for note in done.row.notes)
            total += replace(done.row, tries=int(done.killed), notes=notes)
            if not done.row.clean or number == len(chosen) or number % 20 == 0:
                sys.stderr.write(f"{attack}: {number} of {len(chosen)} ({len(found)} in all), {total.tries} killed\n")
    finally:
        pool.shutdown(cancel_futures=True)
    return total


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    return {attack: partial(run, attack) for attack in SCENARIOS}
