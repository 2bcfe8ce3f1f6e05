"""What one decision costs, by how many jobs are queued: to find the next job, start it, and end it.

    python -m tests.bench.decisions [--jobs 1000 100000 1000000] [--case free fair ...] [--decisions 500]

The gate and the store are the real ones, on one thread, without processes. What is counted is CPU time, so that a
busy host does not tell; that of the smallest backlog is 1. All backlogs of a case take turns, for what else runs on
the host makes a processor slower, and of each the least counts. The cases:

- ``free``: all jobs are of one user, and nothing but the workers limits them.
- ``fair``: they are of 1,000 users, who share the queue fairly.
- ``limited``: they are of 1,000 users, all but one of whom have as many running as they may; that one came last.
- ``spread``: they are of one user, who may have half as many running as there are workers, in queues of 100 jobs.
- ``blocked``: all wait for one lock, each in a line of its own, but those that came last.
- ``line``: all are of one line, behind a lock that goes from one to the next.
- ``handed``: all wait for one lock that goes from one to the next, each in a line of its own.
- ``locks``: each waits for a lock of its own, and one after the other is freed.
- ``readers``: all share a lock, each in a line of its own; for each that runs one comes that locks it alone, first of
  all, so that the others wait for that one.
- ``keys``: ten jobs have the same key; with a million jobs there are 100,000 keys.
- ``queue``, ``skip``, ``replace``, ``once_more``: of such keys; what is counted is a new job with ``on_conflict``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from taskgated.core.attempts import Finish, Start
from taskgated.core.capacity import Policy
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.inventory import Inventory
from taskgated.core.job import Job, Locks, OnConflict, Outcome, Result, Spec
from taskgated.core.named import Lock
from taskgated.core.parking import Park, Recall
from taskgated.core.state import State
from taskgated.daemon.waiters import answered, rooms
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.turns import all_lanes
from taskgated.store.waiting import Parking
from tests.store.sqlite.backlog import Queued, fill

T = TypeVar("T")

WORKERS = 16
USERS = 1000
PER_KEY = 10
ROUNDS = 10


class Scene:
    """A gate with ``jobs`` queued, of which so many decisions will be wanted. What holds for a case is said by the
    methods; as they are here, nothing limits a job but the workers."""

    workers = WORKERS

    def __init__(self, directory: Path, jobs: int, decisions: int) -> None:
        self.jobs, self.decisions = jobs, decisions
        fill(directory / "db", self.backlog())
        self.store = SqliteStore(directory / "db")
        self.uptime = 0
        self.gate = Gate(self.policy(), all_lanes(self.store), lambda: 0.5, uptime=lambda: self.uptime)
        self.busy: list[tuple[str, Job]] = []
        self.holders = [
            Job(2**40 + n, "default", 50, State.RUNNING, spec, owner, attempt=1)
            for n, (owner, spec) in enumerate(self.running())
        ]
        for job in self.holders:
            self.gate.attempts.adopt(job, f"before {job.id}")
        self.sweep()
        for worker in range(self.workers):
            self.do(self.gate.worker_idle(f"w{worker}"))
        self.at_once = len(self.busy)

    # -- the case --------------------------------------------------------------------------------

    def policy(self) -> Policy:
        return Policy(2**20, WORKERS)

    def backlog(self) -> Iterator[Queued]:
        return (Queued(Spec(command="true")) for _ in range(self.jobs))

    def running(self) -> Iterator[tuple[str, Spec]]:
        """What runs from before, with whose it is, and never ends by itself."""
        return iter(())

    def decide(self) -> None:
        """A job ends, and the next one starts."""
        self.uptime += 1_000_000
        worker, job = self.busy.pop(0)
        self.end(worker, job)
        self.do(self.gate.worker_idle(worker))
        assert len(self.busy) == self.at_once, "there is always a job that can start"

    # -- what a daemon does ----------------------------------------------------------------------

    def change(self, verb: Callable[[SqliteStore], T]) -> T:
        """Without waiting for a disk: that is a matter of the disk."""
        self.store.begin("", 1, early=True)
        said = verb(self.store)
        self.store.commit()
        return said

    def sweep(self) -> None:
        """What jobs wait for from before."""
        names: dict[str, int] = {}
        while page := self.store.waiting(max(names, default="")):
            names.update(page)
        self.do(self.gate.taken(Inventory(0, waiting=names)))

    def end(self, worker: str, job: Job) -> None:
        outcome = Outcome(job.id, job.attempt, Result.SUCCEEDED, exit_code=0, started=0, finished=1_000_000)
        self.do(self.gate.ended(outcome, worker))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fetch(wanted, known, most):
                    found = self.store.fetch(wanted, known, most)
                    self.do(self.gate.fetched(found.jobs, found.rest))
                case Start(job, worker):
                    self.change(lambda store, job=job: store.start(job.id, job.attempt, here("{}"), job.queue))  # type: ignore[misc]
                    self.gate.attempts.started(job.id)
                    self.busy.append((worker, job))
                case Finish(job, outcome, verdict):
                    if job.id < 2**40:
                        ended = self.change(lambda store: store.finish(outcome, verdict))
                        if ended.came is not None:
                            self.do(self.gate.queued(*ended.came))
                case Park(jobs):
                    self.change(lambda store: store.park([Parking(job, *what) for job, what in jobs.items()]))
                    self.do(self.gate.parked(jobs))
                case Recall() as asked:
                    recalled = self.change(lambda store: store.recall(rooms(asked)))
                    self.do(self.gate.recalled(recalled.jobs, asked, answered(recalled)))


class FairScene(Scene):
    def policy(self) -> Policy:
        return Policy(2**20, WORKERS, fair=("default",))

    def backlog(self) -> Iterator[Queued]:
        return (Queued(Spec(command="true"), owner=str(n % USERS + 1)) for n in range(self.jobs))


class LimitedScene(Scene):
    def policy(self) -> Policy:
        return Policy(2**20, WORKERS, user_limit=1, users={str(USERS): WORKERS})

    def backlog(self) -> Iterator[Queued]:
        last = self.jobs - self.decisions - 2 * WORKERS
        return (
            Queued(Spec(command="true"), owner=str(n % (USERS - 1) + 1 if n < last else USERS))
            for n in range(self.jobs)
        )

    def running(self) -> Iterator[tuple[str, Spec]]:
        return ((str(owner), Spec()) for owner in range(1, USERS))


class SpreadScene(Scene):
    def policy(self) -> Policy:
        return Policy(2**20, WORKERS, user_limit=WORKERS // 2)

    def backlog(self) -> Iterator[Queued]:
        queues = max(1, self.jobs // 100)
        return (Queued(Spec(command="true", queue=f"q{n % queues}")) for n in range(self.jobs))


ALONE = Locks(("a",))


def waiting(n: int) -> Queued:
    """For one lock, in a line of its own."""
    return Queued(Spec(command="true", locks=ALONE, key=f"{n}"), waits=Lock("a"))


class BlockedScene(Scene):
    def backlog(self) -> Iterator[Queued]:
        last = self.jobs - self.decisions - 2 * WORKERS
        return (waiting(n) if n < last else Queued(Spec(command="true")) for n in range(self.jobs))

    def running(self) -> Iterator[tuple[str, Spec]]:
        yield "1", Spec(locks=ALONE)


class LineScene(Scene):
    def backlog(self) -> Iterator[Queued]:
        return (Queued(Spec(command="true", locks=ALONE), behind=n > 0) for n in range(self.jobs))


class HandedScene(Scene):
    def backlog(self) -> Iterator[Queued]:
        return map(waiting, range(self.jobs))


class LocksScene(Scene):
    def backlog(self) -> Iterator[Queued]:
        return (Queued(Spec(command="true", locks=Locks((f"{n}",))), waits=Lock(f"{n}")) for n in range(self.jobs))

    def running(self) -> Iterator[tuple[str, Spec]]:
        """Those that will end have a lock each. As many run with any backlog: one has all the others."""
        for n in range(self.decisions):
            yield "1", Spec(locks=Locks((f"{n}",)))
        yield "1", Spec(locks=Locks(tuple(f"{n}" for n in range(self.decisions, self.jobs))))

    def decide(self) -> None:
        """A job ends, and frees the lock for which another one waits, which starts."""
        holder = self.holders.pop(0)
        self.end(f"before {holder.id}", holder)
        if len(self.busy) == WORKERS:
            worker, job = self.busy.pop(0)
            self.end(worker, job)
            self.do(self.gate.worker_idle(worker))
        else:
            self.at_once += 1
        assert len(self.busy) == self.at_once, "who waited for it has started"


class ReadersScene(Scene):
    workers = 1

    def backlog(self) -> Iterator[Queued]:
        shared = Locks((), ("a",))
        return (Queued(Spec(command="true", locks=shared, key=f"{n}"), waits=Lock("a")) for n in range(self.jobs))

    def decide(self) -> None:
        spec = Spec(command="true", locks=ALONE, priority=100)
        added = self.change(
            lambda store: store.add([Addition(claimed(f"c{self.uptime}"), 0, [spec], "x.yaml", "1", 1)])
        )
        self.do(self.gate.offered(added.fresh))
        super().decide()
        assert self.busy[0][1].spec == spec, "who locks it alone comes first"
        super().decide()


class KeysScene(Scene):
    def backlog(self) -> Iterator[Queued]:
        keys = self.jobs // PER_KEY
        return (Queued(Spec(command="true", key=f"{n % keys}"), behind=n >= keys) for n in range(self.jobs))


class AddingScene(KeysScene):
    """The keys of new jobs are the same number of all, whatever there are."""

    how: OnConflict
    keys = 50

    def decide(self) -> None:
        self.uptime += 1
        key = self.uptime % self.keys * (self.jobs // PER_KEY // self.keys) + self.jobs // PER_KEY // self.keys - 1
        spec = Spec(command="true", key=f"{key}", on_conflict=self.how)
        self.change(lambda store: store.add([Addition(claimed(f"c{self.uptime}"), 0, [spec], "x.yaml", "1", 1)]))


def adding(kind: OnConflict) -> type[Scene]:
    return type("OneAdded", (AddingScene,), {"how": kind})


CASES: dict[str, type[Scene]] = {
    "free": Scene,
    "fair": FairScene,
    "limited": LimitedScene,
    "spread": SpreadScene,
    "blocked": BlockedScene,
    "line": LineScene,
    "handed": HandedScene,
    "locks": LocksScene,
    "readers": ReadersScene,
    "keys": KeysScene,
    **{str(how): adding(how) for how in OnConflict},
}


def costs(case: type[Scene], backlogs: list[int], decisions: int) -> list[float]:
    """Microseconds of one decision with each backlog: the least of some rounds."""
    with tempfile.TemporaryDirectory() as directory:
        scenes = []
        for number, jobs in enumerate(backlogs):
            (own := Path(directory) / f"{number}").mkdir()
            scenes.append(case(own, jobs, decisions))
        took: list[list[float]] = [[] for _ in scenes]
        for _ in range(ROUNDS):
            for scene, mine in zip(scenes, took, strict=True):
                begin = time.process_time()
                for _ in range(decisions // ROUNDS):
                    scene.decide()
                mine.append((time.process_time() - begin) / (decisions // ROUNDS) * 1e6)
        for scene in scenes:
            scene.store.close()
    return [min(mine) for mine in took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--decisions", type=int, default=500)
    options = parser.parse_args()
    for name in options.case:
        took = costs(CASES[name], options.jobs, options.decisions)
        for jobs, mine in zip(options.jobs, took, strict=True):
            print(f"{name:10} {jobs:>9,} queued: {mine:7.0f} us of CPU, {mine / took[0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
