"""The installed gate in a machine, as its users and its administrator see it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.env.until import until
from tests.system.machine import UNIT, Machine

SPOOL = "/var/spool/taskgate"
OVER = ("succeeded", "failed", "cancelled")
RECORD = "/var/tmp/record"
"""Where jobs of tests write that they started and ended; the truth about them, whatever the gate says."""


class Gate:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # -- installation ----------------------------------------------------------------------------

    def users(self) -> None:
        """alice and bob may drop, eve may not."""
        for name in ("alice", "bob", "eve"):
            self.machine.run("useradd", "--create-home", name)
        self.machine.sh(f"mkdir -p {RECORD} && chmod 1777 {RECORD}")

    def install(self, deb: Path, *options: str) -> str:
        """As an administrator does: apt with the file's path. Nothing is downloaded."""
        shutil.copy(deb, self.machine.root / "root" / deb.name)
        env = "DEBIAN_FRONTEND=noninteractive"
        return self.machine.run("env", env, "apt-get", "install", "-y", *options, f"/root/{deb.name}")

    def members(self) -> None:
        for name in ("alice", "bob"):
            self.machine.run("usermod", "-aG", "taskgate", name)

    def configure(self, text: str, *, reload: bool = True) -> None:
        """Over the packaged configuration: a stop in these tests waits two seconds for jobs."""
        self.machine.write("/etc/taskgate/conf.d/a-lab.yaml", "stop_timeout: 2s\nworkers: 2\n")
        self.machine.write("/etc/taskgate/conf.d/b-test.yaml", text)
        if reload and self.active():
            self.machine.run("systemctl", "reload", UNIT)

    # -- what it says ----------------------------------------------------------------------------

    def active(self) -> bool:
        return self.machine.property("ActiveState") == "active"

    def ctl(self, *args: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        return self.machine.try_("taskgatectl", *args, user=user)

    def status(self) -> dict[str, Any]:
        done = self.ctl("--json", "status")
        try:
            reply: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return {"ready": False, "counts": {}, "said": done.stdout}
        return reply

    def jobs(self) -> list[dict[str, Any]]:
        """All of them; none while no daemon answers."""
        done = self.ctl("--json", "list")
        found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
        return found

    def job(self, name: str) -> dict[str, Any]:
        """The newest of that name; empty if there is none."""
        return next((job for job in reversed(self.jobs()) if job["name"] == name), {})

    def make_ready(self) -> None:
        if not self.active():
            self.machine.run("systemctl", "reset-failed", UNIT, check=False)
            self.machine.run("systemctl", "start", UNIT)
        until(lambda: self.status()["ready"], "the gate is ready")

    def until_state(self, name: str, *states: str, timeout: float = 60.0) -> dict[str, Any]:
        def there() -> dict[str, Any]:
            job = self.job(name)
            return job if job.get("state") in states else {}

        return until(there, f"{name} is {' or '.join(states)}; jobs: {self.jobs()[-5:]}", timeout)

    # -- what its users do -----------------------------------------------------------------------

    def drop(self, name: str, text: str, user: str = "root", queue: str = "", check: bool = True) -> str:
        """Write it in place, as ``echo ... > SPOOL/name`` does; returns what was said."""
        where = f"{SPOOL}/{queue}/{name}".replace("//", "/")
        done = self.machine.try_("/bin/sh", "-c", 'cat >"$0"', where, user=user, input=text)
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def recorded(self, name: str, seconds: float, more: str = "") -> str:
        """A spec whose job writes down its start and its end, and says so if it is not alone."""
        return self._recorded(name, f"sleep {seconds}", more)

    def waiting(self, name: str, more: str = "") -> str:
        """The same; such a job runs until it is told to ``go``, however slow the machine is."""
        return self._recorded(name, f"until [ -e {RECORD}/{name}.go ]; do sleep 0.1; done", more)

    def _recorded(self, name: str, work: str, more: str) -> str:
        script = (
            f'flock -n 9 || {{ echo "TWICE" >>{RECORD}/{name}; exit 1; }}\n'
            f'echo "start $TASKGATE_ATTEMPT" >>{RECORD}/{name}; {work}; echo end >>{RECORD}/{name}'
        )
        command = json.dumps(["/bin/sh", "-c", f"({script}) 9>{RECORD}/{name}.lock"])
        return f"name: {name}\ncommand: {command}\n{more}"

    def go(self, *names: str) -> None:
        for name in names:
            self.machine.write(f"{RECORD}/{name}.go", "")

    def record(self, name: str) -> list[str]:
        return self.machine.read(f"{RECORD}/{name}").splitlines()

    def until_begun(self, name: str, attempt: int = 1) -> dict[str, Any]:
        """Until the job itself says that it is in that attempt; a job that is running may not have got so far."""
        until(lambda: self.record(name)[-1:] == [f"start {attempt}"], f"attempt {attempt} of {name} has begun")
        return self.until_state(name, "running")

    def still_runs(self, name: str, attempt: int = 1) -> bool:
        """Whether it is in that attempt, as the gate says and as it says itself."""
        job = self.job(name)
        return (job.get("state"), job.get("attempt")) == ("running", attempt) and (
            self.record(name) == [f"start {number}" for number in range(1, attempt + 1)]
        )

    def cancel_all(self) -> None:
        """What a test that failed has left running or waiting must not be in the way of the next one."""
        for job in self.jobs():
            if job["state"] not in OVER:
                self.ctl("cancel", str(job["id"]))

    # -- processes -------------------------------------------------------------------------------

    def daemon(self) -> int:
        return int(self.machine.property("MainPID"))

    def pids(self, pattern: str) -> list[int]:
        """Processes of the service's user by their command line, as seen inside."""
        out = self.machine.run("pgrep", "-u", "taskgate", "-f", pattern, check=False)
        return [int(line) for line in out.split() if line.isdigit()]

    def worker_of(self, job: dict[str, Any]) -> int:
        return next(int(worker["pid"]) for worker in self.status()["workers"] if worker["job"] == job["id"])

    def server(self) -> int:
        """The worker server's pid; 0 while there is none."""
        workers = {worker["pid"] for worker in self.status().get("workers", ())}
        return next((pid for pid in self.pids("taskgated.worker") if pid not in workers), 0)

    def leftovers(self) -> list[str]:
        """What should not be there after a test: failed units, and processes of the service outside of it."""
        failed = self.machine.run("systemctl", "--failed", "--plain", "--no-legend", check=False).splitlines()
        out = self.machine.run("ps", "-u", "taskgate", "-o", "pid=,cgroup:200=,args=", check=False)
        stray = [line for line in out.splitlines() if not re.search(rf"/{re.escape(UNIT)}\b", line)]
        return failed + [line for line in stray if line.strip()]
