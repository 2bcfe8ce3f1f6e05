"""Drives the daemon as a real process, the way its users do: by files, signals and the control socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from taskgated.ctl.client import Client, Unreachable
from taskgated.paths import Layout

REPOSITORY = Path(__file__).resolve().parents[1]
OVER = ("succeeded", "failed", "cancelled")
T = TypeVar("T")


def until(what: Callable[[], T], description: str, timeout: float = 30.0) -> T:
    """Wait until ``what`` returns something true, and return that; say what it last returned if it never does."""
    end = time.monotonic() + timeout
    while not (last := what()):
        if time.monotonic() > end:
            raise AssertionError(f"in {timeout} s it did not happen that {description}; last seen: {last!r}")
        time.sleep(0.02)
    return last


def as_user(uid: int, call: Callable[[], Any]) -> Any:
    """What ``call`` returns in a process of that user, or the name of what it raises."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = call()
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


class GateEnv:
    """One gate under a directory of its own."""

    def __init__(self, root: Path, config: str, python: str = sys.executable) -> None:
        self.root = root
        self.python = python
        self.layout = Layout.under(root)
        self.layout.etc.mkdir(parents=True)
        self.configure(config)
        self.process: subprocess.Popen[bytes] | None = None
        self.scratch = root / "scratch"  # where jobs of tests write what they did
        self.scratch.mkdir()

    # -- the daemon ------------------------------------------------------------------------------

    def configure(self, text: str) -> None:
        self.layout.config_file.write_text(text)

    def launch(self, env: Mapping[str, str] | None = None, *args: str) -> subprocess.Popen[bytes]:
        """Start the daemon; do not wait for it."""
        with open(self.root / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "taskgated", "--root", str(self.root), *args],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
            )
        return self.process

    def start(self, env: Mapping[str, str] | None = None) -> None:
        self.launch(env)
        until(lambda: self.status()["ready"], f"the gate is ready\n{self.log()}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """As a crash would: no chance to say anything."""
        self.signal(signal.SIGKILL)
        self.wait()

    def log(self) -> str:
        try:
            return (self.root / "daemon.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # -- its users -------------------------------------------------------------------------------

    def drop(self, name: str | bytes, content: str | bytes, queue: str = "") -> None:
        """Write beside the spool and rename in, as careful users do."""
        staged = self.root / "staged"
        staged.write_bytes(content.encode() if isinstance(content, str) else content)
        target = os.path.join(os.fsencode(self.layout.spool / queue), os.fsencode(name))
        os.rename(staged, target)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        with Client(self.layout.control_socket) as client:
            return client.call(method, **parameters)

    def status(self) -> dict[str, Any]:
        try:
            return self.call("Status")
        except Unreachable:
            return {"ready": False, "counts": {}, "workers": []}

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.call("List")["jobs"])

    def job(self, name: str) -> dict[str, Any] | None:
        return next((job for job in self.jobs() if job["name"] == name), None)

    def until_over(self, number: int, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Wait until so many jobs are over, and return all jobs."""

        def over() -> bool:
            counts = self.status()["counts"]
            return sum(counts.get(state, 0) for state in OVER) >= number

        until(over, f"{number} jobs are over, of\n{self.log()}", timeout)
        return self.jobs()

    def until_running(self, name: str) -> dict[str, Any]:
        def running() -> dict[str, Any] | None:
            job = self.job(name)
            return job if job and job["state"] == "running" else None

        job = until(running, f"{name} runs")
        assert job is not None
        return job

    def ctl(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "taskgated.ctl", "--root", str(self.root), *args]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)

    def ctl_json(self, *args: str) -> Any:
        return json.loads(self.ctl(*args, "--json").stdout)

    def lines(self, name: str) -> list[str]:
        """What jobs wrote to a file in ``scratch``."""
        try:
            return (self.scratch / name).read_text().splitlines()
        except FileNotFoundError:
            return []

    # -- processes -------------------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """Everything that belongs to this gate: daemon, server, workers, and the processes of jobs."""
        state = os.stat(self.layout.state) if self.layout.state.exists() else None
        cookie = f"TASKGATE_COOKIE={state.st_dev:x}.{state.st_ino:x}-".encode() if state else b"\0none"
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                if os.fsencode(self.root) in command or cookie in (entry / "environ").read_bytes():
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return found

    def server(self) -> int:
        """The worker server's pid: the oldest process with the workers' command line."""
        return min(pid for pid, command in self.processes().items() if "taskgated.worker" in command)

    def clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            end = time.monotonic() + 30
            while self.process.poll() is None:  # signals that come together count once, so: one after the other
                if time.monotonic() > end:
                    self.kill()
                    raise AssertionError(f"the daemon does not stop\n{self.log()}")
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(0.3)
                except subprocess.TimeoutExpired:
                    pass
        left = self.processes()
        end = time.monotonic() + 10
        while left and time.monotonic() < end:
            time.sleep(0.05)
            left = self.processes()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert not left, f"processes were left behind: {left}\n{self.log()}"
