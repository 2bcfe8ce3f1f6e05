"""One tool, fifty jobs, and the crash of everything; what came of it is a row of the table of ``peers.py``.

Programs come from Debian (unpacked, never installed) and PyPI (in an environment of its own), below the trial's
directory. It knows nothing of any tool but how to start it.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos import auditor
from tests.env.until import until

RECORD = Path(__file__).resolve().with_name("record.py")
JOBS = 50
LIMIT = 2
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
        self.directory.chmod(0o711)  # some servers must not be root's
        self.record = directory / "record"
        self.record.mkdir(parents=True)
        self.names = [f"job-{n}" for n in range(JOBS)]
        self.version = ""
        self.env = {
            **os.environ,
            "PEERS_TRIAL": str(directory),
            "TMPDIR": str(directory),
            "HOME": str(directory),
            "PYTHONPATH": str(directory),
        }

    # -- for tools -------------------------------------------------------------------------------

    def command(self, name: str) -> list[str]:
        return [sys.executable, str(RECORD), str(self.record), name, SECONDS, str(LIMIT)]

    def lines(self) -> str:
        """All jobs, a shell command on each line."""
        return "".join(shlex.join(self.command(name)) + "\n" for name in self.names)

    def run(self, *command: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            command, env=self.env, cwd=self.directory, input=stdin, stdout=subprocess.PIPE, check=True, timeout=120
        )
        return done.stdout

    def spawn(self, *command: str, user: int | None = None) -> None:
        with open(self.directory / "log", "ab") as log:
            subprocess.Popen(
                command, env=self.env, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, user=user, group=user, extra_groups=None if user is None else [],
            )  # fmt: skip

    def unpacked(self, *packages: str) -> Path:
        """What these Debian packages hold, without installing them. The first one names the version."""
        where = self.directory / "debian"
        where.mkdir(exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", *packages], cwd=where, check=True, capture_output=True)
        for archive in where.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(where)], check=True)
            name, version, _ = archive.name.split("_")
            if name == packages[0]:
                self.version = version.replace("%3a", ":").partition(":")[2] or version
                self.version = self.version.partition("-")[0].partition("+")[0]
        libraries = [str(path) for path in where.glob("usr/lib/*-linux-gnu*")]
        self.env["LD_LIBRARY_PATH"] = ":".join(libraries)
        return where / "usr"

    def environment(self, *packages: str) -> Path:
        """The programs of these packages from PyPI. The first one names the version."""
        where = self.directory / "environment"
        subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
        pip = [str(where / "bin/python"), "-m", "pip"]
        subprocess.run([*pip, "-q", "install", *packages], check=True, capture_output=True)
        shown = subprocess.run([*pip, "show", packages[0]], check=True, capture_output=True, text=True).stdout
        self.version = next(line.split()[1] for line in shown.splitlines() if line.startswith("Version:"))
        return where / "bin"

    # -- the trial -------------------------------------------------------------------------------

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

    def result(self, start: Start) -> Sequence[int]:
        """The whole trial: jobs that never ended, that of these had begun, that were in flight, that of these ran
        again, and that came to their end twice."""
        start(True)
        until(lambda: len(self.ends()) >= BEFORE and len(self.in_flight()) == LIMIT, "two run, and some have run", 60)
        running = self.in_flight()
        self.kill()
        time.sleep(1)  # the trial as it is described
        start(False)
        end = time.monotonic() + WATCHED
        while time.monotonic() < end and set(self.ends()) < set(self.names):
            time.sleep(0.1)
        lines = auditor.read(self.record)
        started = {line.name for line in lines if line.word == "start"}
        verdict = auditor.judge(lines, self.names, LIMIT)
        assert not verdict.over, f"more than {LIMIT} ran at once: {verdict.over}"
        lost = set(verdict.lost)
        return len(lost), len(lost & started), len(running), len(running - lost), len(verdict.again)


def _dead(pid: int) -> bool:
    try:
        return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True
