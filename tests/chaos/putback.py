"""What people put where the gate has its own: a database, or all of the state, from yesterday; something else in the
place of an output."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from taskgated.attempts import outputs
from tests.chaos.table import Row
from tests.env.gate import OVER, GateEnv
from tests.env.until import until

CONFIG = "workers: 2\nstop_timeout: 0s\n"


@contextmanager
def _gate() -> Iterator[GateEnv]:
    with tempfile.TemporaryDirectory(prefix="taskgate-putback-") as directory:
        env = GateEnv(Path(directory) / "gate", CONFIG)
        try:
            env.start()
            yield env
        finally:
            env.clean_up()


def _run(env: GateEnv, rng: random.Random, what: str, number: int) -> None:
    """So many jobs, of which some say their name and some nothing."""
    says = ["echo $TASKGATE_JOB_NAME" if rng.random() < 0.5 else "true" for _ in range(number)]
    env.drop(f"{what}.yaml", "".join(f"- {{name: {what}{n}, command: '{c}'}}\n" for n, c in enumerate(says)))
    until(lambda: all(env.job(f"{what}{n}") for n in range(number)), f"{what} are taken in")
    until(lambda: all(job["state"] in OVER for job in env.jobs()), f"{what} are over")


def database(name: str, rng: random.Random) -> Row:
    """After it no job is given the id of one that there was, nor shown with another's output; and no id is left out
    where nothing was put back."""
    notes: list[str] = []
    tries = 0
    with _gate() as env, tempfile.TemporaryDirectory() as kept:
        _run(env, rng, "before", 3)
        env.stop()
        shutil.copytree(env.layout.state, f"{kept}/state", ignore=shutil.ignore_patterns("lock"))
        env.start()
        given = {job["id"]: job["name"] for job in env.jobs()}
        if sorted(given) != [1, 2, 3]:
            notes.append(f"not 1, 2, 3 are the first ids: {given}")
        for round_ in range(rng.randint(2, 3)):
            _run(env, rng, f"lost{round_}.", rng.randint(1, 5))
            given |= {job["id"]: job["name"] for job in env.jobs()}
            rng.choice((env.stop, env.kill_all))()
            for path in env.layout.state.glob("jobs.sqlite*"):
                path.unlink()
            whole = rng.random() < 0.5
            for path in Path(kept, "state").glob("*" if whole else "jobs.sqlite*"):
                if path.is_file():
                    shutil.copy(path, env.layout.state)
            env.start()
            _run(env, rng, f"new{round_}.", 3)
            for job in env.jobs():
                tries += 1
                if given.get(job["id"], job["name"]) != job["name"]:
                    notes.append(f"{job['name']} has the id of {given[job['id']]}: {job['id']}")
                said = env.ctl("logs", str(job["id"])).stdout.decode().strip()
                if said not in ("", job["name"]):
                    notes.append(f"{job['name']} is shown with {said!r}")
            given |= {job["id"]: job["name"] for job in env.jobs()}
    return Row(name, tries, notes=tuple(notes))


_ALONE = """\
for pid in $(cat {job} 2>{job}.none); do grep '^State:.[^ZX]' /proc/$pid/status >>twice; done
echo $$ >>{job}
sleep 0.5
"""


def under_work(name: str, rng: random.Random) -> Row:
    """It is put back while workers run what it does not know yet, and some of them cannot come back to say so."""
    jobs = 8
    with _gate() as env:
        env.configure("workers: 4\nqueues: {two: {limit: 2}}\n")
        env.ctl("reload")
        specs = [
            {"name": f"j{n}", "queue": "two", "cwd": str(env.scratch), "command": _ALONE.format(job=f"j{n}")}
            for n in range(jobs)
        ]
        env.drop("jobs.json", json.dumps(specs))
        until(lambda: len(env.jobs()) == jobs, "they are taken in")
        for _ in range(rng.randint(2, 4)):
            copy = env.root / "copy"
            with closing(sqlite3.connect(env.layout.database)) as db, closing(sqlite3.connect(copy)) as to:
                db.backup(to)
            some = len(_begun(env, jobs)) + rng.randint(1, 3)
            until(lambda some=some: len(_begun(env, jobs)) >= some or _idle(env), "some start")  # type: ignore[misc]
            busy = [worker["pid"] for worker in env.status()["workers"] if worker["state"] == "running"]
            for pid in rng.sample(busy, rng.randint(0, len(busy))):
                os.kill(pid, rng.choice((signal.SIGSTOP, signal.SIGKILL)))
            env.kill()
            for path in env.layout.state.glob("jobs.sqlite*"):
                path.unlink()
            copy.rename(env.layout.database)
            env.start()
        until(lambda: _idle(env), "they are over", 120)
        return Row(name, jobs, twice=len(env.lines("twice")))


def _idle(env: GateEnv) -> bool:
    return all(job["state"] in OVER for job in env.jobs())


def _begun(env: GateEnv, jobs: int) -> list[str]:
    return [pid for n in range(jobs) for pid in env.lines(f"j{n}")]


def in_the_way(name: str, rng: random.Random) -> Row:
    """Directories in the places of outputs: their jobs are remembered, and said to be; all others are forgotten."""
    with _gate() as env:
        _run(env, rng, "old", 20)
        env.stop()
        stuck = sorted(rng.sample(range(1, 21), 5))
        for job in stuck:
            output = Path(outputs.path(env.layout.log, job, 1))
            output.with_name(f"{job}.{rng.choice(['x', '1.log.5', '2.log'])}").mkdir(parents=True)
        env.configure(f"{CONFIG}retention: {{count: 0}}\n")
        env.start()
        until(lambda: [job["id"] for job in env.jobs()] == stuck, f"only those that are stuck are left: {stuck}")
        until(lambda: "cannot be removed" in env.log(), "it is told")
        told = env.log().count("cannot be removed")
        return Row(name, 20, notes=() if told == 1 else (f"told {told} times",))
