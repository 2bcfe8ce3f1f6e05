#!/usr/bin/env python3
"""What a crash of everything does to our jobs, and to those of others who do such work. On demand only:

    tests/chaos/peers.py [NAME...]

Fifty jobs, two at a time; when some have run, every process of the tool is killed (-9), its jobs included; a second
later it is started again, and watched for 40 s. Peers come from Debian (unpacked, never installed) and PyPI (in an
environment of its own), below a temporary directory that is removed at the end. One that cannot be had is left out,
and said so.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(parent) for parent in Path(__file__).resolve().parents[1:3]]

import auditor  # noqa: E402
from gate_env import GateEnv, until  # noqa: E402

RECORD = Path(__file__).resolve().with_name("record.py")
JOBS = 50
SECONDS = "0.6"
BEFORE = 6
"""So many jobs have ended when the crash comes."""
WATCHED = 40.0
Start = Callable[[bool], None]
"""Starts the tool; at the first time, with all the jobs."""


class Trial:
    """One tool and its jobs. Every process of it carries a mark in its environment, by which it is killed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = directory / "record"
        self.record.mkdir(parents=True)
        self.names = [f"job-{n}" for n in range(JOBS)]
        self.mark = f"PEERS_TRIAL={directory}"
        self.env = {**os.environ, "PEERS_TRIAL": str(directory), "TMPDIR": str(directory), "HOME": str(directory)}

    def command(self, name: str) -> list[str]:
        return [sys.executable, str(RECORD), str(self.record), name, SECONDS]

    def run(self, *command: str) -> None:
        subprocess.run(command, env=self.env, cwd=self.directory, stdout=subprocess.DEVNULL, check=True, timeout=60)

    def spawn(self, *command: str) -> None:
        log = subprocess.DEVNULL
        subprocess.Popen(command, env=self.env, cwd=self.directory, stdout=log, stderr=log, start_new_session=True)

    def ends(self) -> list[str]:
        return [line.name for line in auditor.read(self.record) if line.word == "end"]

    def in_flight(self) -> set[str]:
        return {line.name for line in auditor.read(self.record) if line.word == "start"} - set(self.ends())

    def processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (marks := (entry / "environ").read_bytes()):
                    words = marks + b"\0" + (entry / "cmdline").read_bytes()
                    if os.fsencode(self.directory) in words and int(entry.name) != os.getpid():
                        found.append(int(entry.name))
            except OSError:
                continue
        return found

    def kill(self) -> None:
        """Everything, until nothing is left."""

        def gone() -> bool:
            pids = self.processes()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return all(_dead(pid) for pid in pids)

        until(gone, "all of it is dead")

    def result(self, start: Start) -> str:
        """The whole trial; a row of the table."""
        start(True)
        until(lambda: len(self.ends()) >= BEFORE and len(self.in_flight()) == 2, "two run, and some have run", 60)
        running = self.in_flight()
        self.kill()
        time.sleep(1)  # the trial as it is described
        start(False)
        end = time.monotonic() + WATCHED
        while time.monotonic() < end and set(self.ends()) < set(self.names):
            time.sleep(0.1)
        lines = auditor.read(self.record)
        started = {line.name for line in lines if line.word == "start"}
        verdict = auditor.judge(lines, self.names, 2)
        stuck = sorted(started & set(verdict.lost))
        again = running - set(verdict.lost)
        cells = (
            len(verdict.lost),
            len(stuck),
            len(running),
            len(again),
            len(verdict.again),
        )
        return " | ".join(map(str, cells))


def _dead(pid: int) -> bool:
    try:
        return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True


# -- who takes part ------------------------------------------------------------------------------


def ours(trial: Trial) -> Start:
    gate = GateEnv(trial.directory / "gate", "workers: 2\n")

    def start(first: bool) -> None:
        gate.launch({"PEERS_TRIAL": str(trial.directory)})
        if first:
            jobs = [{"name": name, "command": trial.command(name)} for name in trial.names]
            until(gate.layout.spool.is_dir, "there is a spool")
            gate.drop("jobs.json", json.dumps(jobs))

    return start


def unpacked(trial: Trial, package: str, program: str) -> str:
    """A program of a Debian package, without installing it."""
    where = trial.directory / package
    where.mkdir()
    subprocess.run(["apt-get", "-qq", "download", package], cwd=where, check=True, capture_output=True)
    (archive,) = where.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(where)], check=True)
    return str(where / "usr/bin" / program)


def task_spooler(trial: Trial) -> Start:
    tsp = unpacked(trial, "task-spooler", "tsp")
    trial.env["TS_SOCKET"] = str(trial.directory / "socket")

    def start(first: bool) -> None:
        trial.run(tsp, "-S", "2")  # it starts its server
        if first:
            for name in trial.names:
                trial.run(tsp, "-n", *trial.command(name))

    return start


def nq(trial: Trial) -> Start:
    """It has no limit but one, so there are two queues; each job is a process that waits for those before it."""
    program = unpacked(trial, "nq", "nq")

    def start(first: bool) -> None:
        if first:
            for n, name in enumerate(trial.names):
                trial.env["NQDIR"] = str(trial.directory / f"q{n % 2}")
                trial.run(program, "-q", *trial.command(name))

    return start


HUEY = """
import subprocess
from huey import SqliteHuey
huey = SqliteHuey(filename={database!r}, fsync=True)
@huey.task()
def job(command):
    subprocess.run(command, check=True)
"""


def huey(trial: Trial) -> Start:
    environment = trial.directory / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin/python")
    subprocess.run([python, "-m", "pip", "-q", "install", "huey"], check=True, capture_output=True)
    (trial.directory / "tasks.py").write_text(HUEY.format(database=str(trial.directory / "huey.db")))
    trial.env["PYTHONPATH"] = str(trial.directory)

    def start(first: bool) -> None:
        if first:
            jobs = json.dumps([trial.command(name) for name in trial.names])
            trial.run(python, "-c", f"import tasks\nfor command in {jobs}: tasks.job(command)")
        trial.spawn(str(environment / "bin/huey_consumer"), "tasks.huey", "-w", "2", "-k", "process")

    return start


PEERS: dict[str, Callable[[Trial], Start]] = {"taskgated": ours, "task-spooler": task_spooler, "nq": nq, "huey": huey}
"""at(1) needs its daemon installed and root's crontab directories, so it takes no part."""


def main() -> int:
    wanted = sys.argv[1:] or list(PEERS)
    print(f"| of {JOBS} jobs | never ended | of these begun | in flight | of these run again | ended twice |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in wanted:
        directory = Path(tempfile.mkdtemp(prefix="peers-"))
        try:
            trial = Trial(directory)
            try:
                start = PEERS[name](trial)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"| {name} | cannot be had: {error} |", flush=True)
                continue
            try:
                print(f"| {name} | {trial.result(start)} |", flush=True)
            finally:
                trial.kill()
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
