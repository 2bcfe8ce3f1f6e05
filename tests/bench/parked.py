"""What a backlog of parked jobs costs in memory: resident bytes of a real daemon, by how many there are.

    python -m tests.bench.parked [--jobs 1000 100000 1000000] [--case lock each]

A job that runs holds what all of them wait for, from before the daemon was killed; they are written into the database
then, and the daemon is started again. It runs some hundred other jobs meanwhile. That of the smallest backlog is 1.
The cases:

- ``lock``: all wait for one lock, each in a line of its own.
- ``each``: each waits for something else. Some for a token, or for one of the locks that the one job holds; some
  behind a job with their key, or for a place in their array; some for another job; and some for what they require.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from taskgated.core.job import Element, Locks, Requires, Spec
from taskgated.core.named import Lock, Tokens
from tests.bench.harness import Gate
from tests.store.sqlite.backlog import Queued, fill

LOCKS = 64
"""Locks that one job may have."""
OTHERS = 300
ME = pwd.getpwuid(os.getuid()).pw_name
CONFIG = "workers: 3\nmax_backlog: 2000000\ntokens: {yarn: 1}\n"


def lock(jobs: int) -> Iterator[Queued]:
    for n in range(jobs):
        yield Queued(Spec(command="true", locks=Locks(("lock0",)), key=f"{n}"), ME, waits=Lock("lock0"))


def each(jobs: int) -> Iterator[Queued]:
    """Each piece by itself, so that the heads of keys and arrays, which wait for a token, come before the others."""
    me, yarn, piece = ME, {"yarn": 1}, jobs // 6
    for n in range(piece):
        yield Queued(Spec(command="true", tokens=yarn, key=f"token{n}"), me, waits=Tokens("yarn"))
    for n in range(piece):
        held = f"lock{n % LOCKS}"
        yield Queued(Spec(command="true", locks=Locks((held,)), key=f"lock{n}"), me, waits=Lock(held))
    for n in range(piece):
        one = Spec(command="true", tokens=yarn, key=f"key{n // 2}")
        yield Queued(one, me, behind=True) if n % 2 else Queued(one, me, waits=Tokens("yarn"))
    for n in range(piece):
        one = Spec(command="true", tokens=yarn, array=Element(n % 2, n % 2, 2, 1))
        array = 10**9 + n // 2
        yield Queued(one, me, behind=True, array=array) if n % 2 else Queued(one, me, Tokens("yarn"), array=array)
    for _ in range(piece):
        yield Queued(Spec(command="true"), me, after=1)
    for _ in range(jobs - 5 * piece):
        yield Queued(Spec(command="true", requires=Requires(command=("/bin/false",))), me, looks=True)


CASES = {"lock": lock, "each": each}


def peak(pid: int) -> int:
    """The most bytes that were resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure(case: str, jobs: int) -> tuple[int, int]:
    """Resident bytes when all is done, and the most before that."""
    with Gate(CONFIG) as running:
        held = [f"lock{n}" for n in range(LOCKS)]
        holder = {"command": "sleep 1000000", "tokens": {"yarn": 1}, "locks": {"exclusive": held}}
        (running.root / "holder.json").write_text(json.dumps(holder))
        os.rename(running.root / "holder.json", running.spool / "holder.json")
        running.wait_for(lambda counts: counts.get("running", 0) == 1, 60)
        running.kill()
        fill(running.root / "state" / "jobs.sqlite", CASES[case](jobs))
        running.start(600)
        for _ in range(3):
            running.drop_and_wait(OTHERS // 3)
        running.wait_for(lambda counts: counts.get("running", 0) == 1, 60)
        return running.memory(), peak(running.process.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    options = parser.parse_args()
    for name in options.case:
        first: tuple[int, int] | None = None
        for jobs in options.jobs:
            end, most = measure(name, jobs)
            first = first or (end, most)
            ratios = f"{end / first[0]:.2f}; at most {most / 1e6:.1f} MB, {most / first[1]:.2f}"
            print(f"{name:6} {jobs:>9,} parked: {end / 1e6:6.1f} MB, {ratios}", flush=True)


if __name__ == "__main__":
    main()
