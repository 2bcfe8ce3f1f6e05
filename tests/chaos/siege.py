"""A gate under attack, and what came of it: jobs that leave a record, the daemon tended as systemd would, the audit.

Everything lies below a directory of the trial's own. ``disks`` gives some of the gate's directories a small file
system each; the record is kept where no attack reaches it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from taskgated.ctl.client import Client, Unreachable
from tests import REPOSITORY
from tests.chaos import auditor
from tests.chaos.disks import Disk
from tests.chaos.leftovers import leftovers
from tests.chaos.processes import threads, traced
from tests.chaos.table import Row
from tests.env.gate import OVER, GateEnv, python_for
from tests.env.until import until

T = TypeVar("T")
LIMIT = 2
PATIENCE = 60.0
"""Seconds for anything to happen: far more than it takes, on a host that has much else to do."""
ANSWER = 3.0
"""Seconds for an answer of the daemon."""
RESTART, BURST = 1.0, 10
"""``RestartSec=`` and ``StartLimitBurst=`` of the unit; no trial lasts as long as its ``StartLimitIntervalSec=``."""
WATCHDOG = 30.0
"""Seconds that the manager waits for a ping: ``WatchdogSec=`` of the unit."""
RECORD = Path(__file__).with_name("record.py").relative_to(REPOSITORY)
GOOD = ("succeeded",)


class Siege:
    """``with Siege("full disk: store", disks=["state"]) as siege: ...; return siege.audit(seconds)``."""

    def __init__(
        self,
        attack: str,
        config: str = "",
        *,
        disks: Iterable[str] = (),
        disk: type[Disk] = Disk,
        inodes: int = 2048,
        user: int | None = None,
        prefix: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        may_end: Iterable[int] = (),
    ) -> None:
        self.attack = attack
        self.root = Path(tempfile.mkdtemp(prefix="taskgate-siege-"))
        self.root.chmod(0o755)
        self.env = GateEnv(self.root / "gate", f"workers: {LIMIT}\nstop_timeout: 100ms\n{config}")
        self.disks = {p: disk(self.env.root / p, self.root / f"{p}.image", inodes=inodes) for p in disks}
        self.names: list[str] = []
        self.ends: list[int] = []  # exit statuses of daemons that ended by themselves
        self.notes: list[str] = []
        """What else went wrong; all of them make the row unclean."""
        self._said = 0  # how much it had said when the attack began
        self._may_end = frozenset(may_end)
        self.python = sys.executable if user is None else python_for(user)
        self._user = user
        self._prefix = list(prefix)
        self._environ = dict(env or {})
        # The checkout may be where another user cannot look.
        self._code = REPOSITORY if user is None else self.root / "code"
        self._stack = ExitStack()

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Siege:
        try:
            for disk in self.disks.values():
                self._stack.enter_context(disk)
            if self._user is not None:
                assert self.python, "no Python here is for all users and has what the daemon needs"
                shutil.copytree(REPOSITORY / "taskgated", self._code / "taskgated")
                (self._code / RECORD).parent.mkdir(parents=True)
                shutil.copy(REPOSITORY / RECORD, self._code / RECORD)
                for path in (self.env.root, *self.env.root.rglob("*")):
                    os.chown(path, self._user, self._user)
            self.launch()
        except BaseException:
            self._stack.close()
            shutil.rmtree(self.root)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self.env.clean_up()  # of a trial that failed half-way nothing is left either
        except AssertionError:
            if error is None:
                raise
        finally:
            self._stack.close()
            shutil.rmtree(self.root, ignore_errors=True)

    def launch(self) -> None:
        with open(self.env.root / "daemon.log", "ab") as log:
            self.env.process = subprocess.Popen(
                [*self._prefix, self.python, "-m", "taskgated", "--root", str(self.env.root)],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(self._code), **self._environ},
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )

    @property
    def pid(self) -> int:
        assert self.env.process is not None
        return self.env.process.pid

    def tend(self) -> None:
        """As systemd does with ``Restart=on-failure``: a daemon that ended is started again, but not for ever."""
        assert self.env.process is not None
        status = self.env.process.poll()
        if status is None:
            return
        self.ends.append(status)
        if status not in self._may_end:
            self.notes.append(f"the daemon ended with status {status}: {self.env.log()[-1000:]}")
        if len(self.ends) == BURST:
            self.notes.append(f"the daemon ended {BURST} times: systemd would not start it again")
        time.sleep(RESTART)
        self.launch()

    def wait(self, what: Callable[[], T], description: str, timeout: float | None = None) -> T:
        """Until ``what`` returns something true, while the daemon is tended."""

        def tended() -> T:
            if not (last := what()):
                self.tend()
            return last

        try:
            return until(tended, description, PATIENCE if timeout is None else timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.env.log()[-4000:]}") from None

    @contextmanager
    def injected(self, calls: str, what: str, path: Path | None = None) -> Iterator[Path]:
        """The daemon, with all its threads, under strace(1), which does that to these system calls (of that path);
        its log."""
        log = self.root / "strace.log"
        command = ["strace", "-f", "-q", "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
        command += ["-P", str(path)] if path else []
        tracer = subprocess.Popen([*command, "-p", str(self.pid)], stderr=subprocess.DEVNULL)
        try:
            self.wait(lambda: all(map(traced, threads(self.pid))), "strace has it")
            yield log
        finally:
            tracer.terminate()  # and so it lets go
            tracer.wait(30)

    # -- what it says ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Empty when the daemon does not answer."""
        try:
            with Client(self.env.layout.control_socket) as client:
                client._sock.settimeout(ANSWER)
                return client.call("Status")
        except Unreachable:
            return {}

    def mark(self) -> None:
        """The attack begins: what was said until now is no answer to it."""
        self._said = len(self.env.log())

    def log(self) -> str:
        """What the daemon and its workers have said since ``mark``."""
        return self.env.log()[self._said :]

    def said(self, *words: str, status: bool = True, within: float | None = None) -> None:
        """Wait until the journal, and ``taskgatectl status``, say what is wrong: one of these."""

        def told() -> bool:
            if not any(word in self.log() for word in words):
                return False
            return not status or any(word in " ".join(self.status().get("problems", ())) for word in words)

        self.wait(told, f"the daemon says {' or '.join(words)}; it says {self.status().get('problems')}", within)

    def well(self) -> None:
        """Wait until the daemon has nothing to complain of."""
        self.wait(lambda: self.status().get("ready"), "the gate is ready")

    # -- jobs ------------------------------------------------------------------------------------

    def spec(self, name: str, seconds: float, *, script: bool = False, output: int = 0, **keys: Any) -> str:
        """``script``: from a private copy, in the store's directory. ``output``: it writes so many lines of 1 KiB."""
        command = [self.python, str(self._code / RECORD), str(self.env.scratch), name, str(seconds), str(LIMIT)]
        if script or output:
            talk = f"yes {'x' * 1023} | head -n {output}\n" if output else ""
            text = f"{talk}exec {shlex.join(command)}"
            return json.dumps(
                {"name": name, **({"script": f"#!/bin/sh\n{text}"} if script else {"command": text}), **keys}
            )
        return json.dumps({"name": name, "command": command, **keys})

    def prepare(self, *names: str, seconds: float = 0.1, queue: str = "", **keys: Any) -> None:
        """Write the files beside the spool, on its disk."""
        for name in names:
            (self.env.layout.spool / queue / f".{name}").write_text(self.spec(name, seconds, **keys))

    def release(self, *names: str, queue: str = "") -> None:
        """Rename prepared files in."""
        directory = self.env.layout.spool / queue
        for name in names:
            os.rename(directory / f".{name}", directory / f"{name}.json")
            self.names.append(name)

    def drop(self, *names: str, seconds: float = 0.1, queue: str = "", **keys: Any) -> None:
        self.prepare(*names, seconds=seconds, queue=queue, **keys)
        self.release(*names, queue=queue)

    def lines(self, word: str) -> set[str]:
        """The names of jobs whose record has that word."""
        return {line.name for line in auditor.read(self.env.scratch) if line.word == word}

    def until_ended(self, *names: str, within: float | None = None) -> None:
        self.wait(lambda: set(names) <= self.lines("end"), f"{' '.join(names)} ended", within)

    def until_running(self, *names: str) -> None:
        self.wait(lambda: set(names) <= self.lines("start"), f"{' '.join(names)} started")

    def in_spool(self, *names: str) -> bool:
        return all((self.env.layout.spool / f"{name}.json").exists() for name in names)

    # -- the end ---------------------------------------------------------------------------------

    def audit(self, since: float, *, again: Iterable[str] = (), failed: Iterable[str] = ()) -> Row:
        """Wait until all jobs are over, stop the daemon, and look. ``since``: when the attack ended (monotonic).
        ``again``: jobs that an uncertain end excuses, if they ran twice; ``failed``: that shall not succeed."""
        self.until_ended(*set(self.names) - {"across"})
        seconds = time.monotonic() - since
        self.until_ended(*self.names)
        self.well()
        self.wait(lambda: sum(self.status()["counts"].get(s, 0) for s in OVER) >= len(self.names), "all are over")
        excused = set(again)
        for job in self.env.jobs():
            good = job["state"] in GOOD or job["name"] in set(failed)
            if not good or (job["attempt"] > 1 and job["name"] not in excused):
                self.notes.append(f"{job['name']}: {job['state']} after attempt {job['attempt']}: {job['reason']}")
        if status := self.env.stop():
            self.notes.append(f"the daemon stopped with status {status}")
        left = self.left()
        verdict = auditor.judge(auditor.read(self.env.scratch), self.names, LIMIT)
        if unexcused := set(verdict.again) - excused:
            self.notes.append(f"ran again: {' '.join(sorted(unexcused))}")
        if verdict.unknown:
            self.notes.append(f"ran, and nobody knows why: {' '.join(verdict.unknown)}")
        if verdict.gaps:
            self.notes.append(f"attempts out of order: {' '.join(verdict.gaps)}")
        if left:
            self.notes.append(f"left: {' '.join(left)}")
        return Row(
            self.attack,
            1,
            len(verdict.lost),
            len(verdict.twice),
            len(verdict.over),
            len(left),
            seconds,
            tuple(self.notes),
        )

    def left(self) -> list[str]:
        """What nobody cleans up, processes as well."""
        end = time.monotonic() + 10
        while (processes := self.env.processes()) and time.monotonic() < end:
            time.sleep(0.05)
        return leftovers(self.env.layout) + [f"process {pid}" for pid in processes]


class Manager:
    """As much of a service manager as listens for pings. A context manager."""

    def __init__(self) -> None:
        self._address = f"\0taskgate-trial-{os.getpid()}-{id(self)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._pings: list[float] = []
        self._thread = threading.Thread(target=self._listen)
        usec = str(int(WATCHDOG * 1e6))
        self.environ = {"NOTIFY_SOCKET": self._address.replace("\0", "@"), "WATCHDOG_USEC": usec}

    def __enter__(self) -> Manager:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._address)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(65536):
            if b"WATCHDOG=1" in message:
                self._pings.append(time.monotonic())

    def silence(self, since: float) -> float:
        """The longest time without a ping, from then until now."""
        heard = [since, *(at for at in self._pings if at > since), time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(heard))


def tried(name: str, trial: Callable[[], Row]) -> Row:
    """A trial that breaks off is a row as well, and not a clean one: it must not take the others with it."""
    try:
        return trial()
    except Exception as error:
        return Row(name, 1, notes=(f"{type(error).__name__}: {error}",))


def repeated(name: str, trial: Callable[[], Row], times: int) -> Row:
    row = tried(name, trial)
    for _ in range(times - 1):
        row += tried(name, trial)
    return row
