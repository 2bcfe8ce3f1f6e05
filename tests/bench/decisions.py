"""What one decision costs, by how many jobs are queued: to find the next job, start it, and end it.

    python -m tests.bench.decisions [--jobs 1000 100000 1000000] [--case free fair limited] [--decisions 500]

The gate and the store are the real ones, on one thread, without processes. What is counted is CPU time, so that a
busy host does not tell; and that of the smallest backlog is 1. The cases:

- ``free``: all jobs are of one user, and nothing but the workers limits them.
- ``fair``: they are of 1,000 users, who share the queue fairly.
- ``limited``: they are of 1,000 users, all but one of whom have as many running as they may; that one came last.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from taskgated.core.attempts import Finish, Start
from taskgated.core.capacity import Policy
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.state import State
from taskgated.store.contract import Addition
from taskgated.store.sqlite.store import SqliteStore

WORKERS = 16
USERS = 1000


@dataclass(frozen=True)
class Case:
    """``owners``: how many users have the jobs; ``running``: of each of them so many run, but of the last."""

    owners: int
    policy: Policy
    running: int = 0


CASES: dict[str, Case] = {
    "free": Case(1, Policy(WORKERS, WORKERS)),
    "fair": Case(USERS, Policy(WORKERS, WORKERS, fair=("default",))),
    "limited": Case(USERS, Policy(USERS + WORKERS, WORKERS, user_limit=1, users={USERS: WORKERS}), running=1),
}


def fill(path: Path, jobs: int, owners: int, last: int) -> None:
    """So many queued jobs, copies of one that the store has added: one after the other of each user, and the ``last``
    of all of one."""
    store = SqliteStore(path)
    store.begin()
    store.add([Addition("claim", 0, [Spec(command="true")], "x.tasks", 1)])
    store.commit()
    store.close()
    with closing(sqlite3.connect(path)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)") if row[1] not in ("id", "owner", "turn")]
        names = ", ".join(columns)
        db.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(1, jobs)))
        copies = f"SELECT iif(n >= ?, ?, n % ? + 1), turn + n, {names} FROM numbers, jobs"
        db.execute(f"INSERT INTO jobs (owner, turn, {names}) {copies}", (jobs - last, owners, owners))


class Scene:
    def __init__(self, path: Path, case: Case) -> None:
        self.store = SqliteStore(path)
        self.uptime = 0
        self.gate = Gate(case.policy, self.store.lanes(), lambda: 0.5, uptime=lambda: self.uptime)
        self.busy: list[tuple[str, Job]] = []
        number = 2**40
        for owner in range(1, case.owners) if case.running else ():
            number += 1
            one = Job(number, "default", 50, State.RUNNING, Spec(), owner, attempt=1)
            self.gate.attempts.adopt(one, f"before {number}")
        for worker in range(WORKERS):
            self.do(self.gate.worker_idle(f"w{worker}"))

    def change(self, verb: Callable[[SqliteStore], object]) -> None:
        """Without waiting for a disk: that is a matter of the disk."""
        self.store.begin(early=True)
        verb(self.store)
        self.store.commit()

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fetch(wanted, known, most):
                    found = self.store.fetch(wanted, known, most)
                    self.do(self.gate.fetched(found.jobs, found.rest))
                case Start(job, worker):
                    self.change(lambda store, job=job: store.start(job.id, job.attempt, "{}", job.queue))  # type: ignore[misc]
                    self.gate.attempts.started(job.id)
                    self.busy.append((worker, job))
                case Finish(job, outcome, verdict):
                    self.change(lambda store: store.finish(outcome, verdict))

    def decide(self) -> None:
        """A job ends, and the next one starts."""
        self.uptime += 1_000_000
        worker, job = self.busy.pop(0)
        outcome = Outcome(job.id, job.attempt, Result.SUCCEEDED, exit_code=0, started=0, finished=1_000_000)
        self.do(self.gate.ended(outcome, worker))
        self.do(self.gate.worker_idle(worker))
        assert len(self.busy) == WORKERS, "there is always a job that can start"


def cost(case: Case, jobs: int, decisions: int) -> float:
    """Microseconds of one decision: the least of some runs."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "db"
        fill(path, jobs, case.owners, decisions + 2 * WORKERS if case.running else 0)
        scene = Scene(path, case)
        took = []
        for _ in range(5):
            begin = time.process_time()
            for _ in range(decisions // 5):
                scene.decide()
            took.append((time.process_time() - begin) / (decisions // 5) * 1e6)
        scene.store.close()
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--decisions", type=int, default=500)
    options = parser.parse_args()
    for name in options.case:
        first: float | None = None
        for jobs in options.jobs:
            took = cost(CASES[name], jobs, options.decisions)
            first = first or took
            print(f"{name:10} {jobs:>9,} queued: {took:7.0f} us of CPU, {took / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
