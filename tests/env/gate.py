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

from taskgated.core.owner import Owner
from taskgated.ctl.client import Client, Unreachable
from taskgated.host.identity import user_name
from taskgated.host.paths import Layout
from tests import REPOSITORY
from tests.env.until import until

OVER = ("succeeded", "failed", "cancelled")
ANSWER = 30.0
"""Seconds for an answer of the daemon; it takes some milliseconds, more on a busy machine."""
AS_USER = 4 * ANSWER
"""Seconds for what is done as another user, which may be to ask the daemon several things."""
ME = Owner(user_name(os.getuid()), os.getuid()).words
"""Who runs the tests, as people read it."""
T = TypeVar("T")


class Hangs(AssertionError):
    """Somebody is there and does not answer. Not the same as nobody: what waits for that must not see it here."""


def as_user(uid: int, call: Callable[[], Any]) -> Any:
    """What ``call`` returns in a process of that user, or the name of what it raises; within ``AS_USER`` seconds."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, AS_USER)
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
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) == -signal.SIGALRM:
        raise Hangs(f"what user {uid} was to do is not over after {AS_USER} s")
    return json.loads(answer)


def python_for(user: int) -> str:
    """An interpreter that has what the gate needs, where that user can run it; "" if there is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        command = [candidate, "-c", "import yaml, watchdog, sdnotify, sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            done = subprocess.run(
                command, user=user, group=user, extra_groups=[], cwd="/", capture_output=True, check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return ""


class GateEnv:
    """One gate under a directory of its own."""

    def __init__(self, root: Path, config: str, python: str = sys.executable, module: str = "taskgated") -> None:
        self.root = root
        self.module = module
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
                [self.python, "-m", self.module, "--root", str(self.root), *args],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
            )
        return self.process

    def start(self, env: Mapping[str, str] | None = None) -> None:
        self.launch(env)
        self._until(lambda: self.status()["ready"], "the gate is ready")

    def _until(self, what: Callable[[], T], description: str, timeout: float = 30.0) -> T:
        """Says what the daemon has said until then, if it does not happen; does not wait for one that is dead."""

        def alive() -> T:
            if not (last := what()) and self.process is not None:
                assert self.process.poll() is None, f"the daemon ended, status {self.process.returncode}"
            return last

        try:
            return until(alive, description, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

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
        """Raises ``Unreachable`` when no daemon is there, ``Hangs`` when one is that does not answer."""
        with Client(self.layout.control_socket) as client:
            client._sock.settimeout(ANSWER)
            try:
                return client.call(method, **parameters)
            except Unreachable as error:
                if isinstance(error.__context__, TimeoutError):
                    raise Hangs(f"no answer to {method} in {ANSWER} s\n{self.log()}") from None
                raise

    def status(self) -> dict[str, Any]:
        """Also while no daemon is there."""
        try:
            return self.call("Status")
        except Unreachable:
            return {"ready": False, "counts": {}, "workers": []}

    def jobs(self, after: int = 0) -> list[dict[str, Any]]:
        """All of them, or those that came after this one; the oldest first."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next": after}
        while page["next"] is not None:
            page = self.call("List", after=page["next"])
            found += page["jobs"]
        return found

    def job(self, name: str) -> dict[str, Any] | None:
        return next((job for job in self.jobs() if job["name"] == name), None)

    def until_over(self, number: int, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Wait until so many jobs are over, and return all jobs."""

        def over() -> bool:
            counts = self.status()["counts"]
            return sum(counts.get(state, 0) for state in OVER) >= number

        self._until(over, f"{number} jobs are over", timeout)
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

    def kill_all(self) -> None:
        """As a power cut would, processes of jobs included. Nobody can tell of the others: all are stopped first.
        Again and again, for one of them may be forking."""
        end = time.monotonic() + 30
        while left := self.processes():
            assert time.monotonic() < end, f"it cannot be killed: {left}"
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in left:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
            time.sleep(0.01)
        if self.process is not None:
            self.process.wait(30)

    def clean_up(self, patience: float = 30.0) -> None:
        """Stop it. What is there afterwards is killed first, and then complained of."""
        wrong = [] if self._stops(patience) else ["the daemon does not stop"]
        left = self.processes()
        end = time.monotonic() + (0 if wrong else 10)
        while left and time.monotonic() < end:
            time.sleep(0.05)
            left = self.processes()
        if left:
            wrong.append(f"processes were left behind: {left}")
        try:
            self.kill_all()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            wrong.append(str(error))
        assert not wrong, "\n".join((*wrong, self.log()))

    def _stops(self, patience: float) -> bool:
        end = time.monotonic() + patience
        while self.process is not None and self.process.poll() is None:
            if time.monotonic() > end:
                return False
            self.process.send_signal(signal.SIGTERM)
            try:  # signals that come together count once, so: one after the other
                self.process.wait(0.3)
            except subprocess.TimeoutExpired:
                pass
        return True
