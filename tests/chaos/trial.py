"""What trials share: a gate of their own with jobs of every format, and the judgement of what an attack did to it.

A trial drops its load, attacks, has the gate run normally again, and ``finish`` says what came of it, as a row of the
table: the auditor's verdict over the record, what the store says beside it, and what was left behind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from taskgated.errors import TaskgateError
from tests import REPOSITORY
from tests.chaos import auditor
from tests.chaos.leftovers import leftovers, missing
from tests.chaos.load import WORKERS, Load, every_format
from tests.chaos.processes import signal_to, traced
from tests.chaos.table import Row
from tests.env.gate import OVER, GateEnv
from tests.env.until import until

PATIENCE = 90.0
"""Seconds for all jobs to be over, on a busy machine."""
_NAME = re.compile(r"\bjob-\d+\b")


@dataclass(slots=True)
class Findings:
    """What is wrong, as it is found."""

    lost: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Trial:
    """One gate under a temporary directory, which is removed at the end, with all that is left of it."""

    def __init__(self, make: Callable[[Path], Load] = every_format) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="trial-"))
        self.record = self.directory / "record"
        self.record.mkdir()
        self.load = make(self.record)
        self.gate = GateEnv(self.directory / "gate", self.load.config)
        self.attacked = 0.0  # when the attack was over (wall clock), 0 while there was none
        self.poisoned: set[str] = set()  # jobs that the gate gave up, with good reason
        self.starts = 0  # of the daemon
        self._waiting = list(self.load.files)
        self._tracers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracer in self._tracers:
            tracer.kill()
            tracer.wait()
        if (process := self.gate.process) is not None and process.poll() is None:
            process.kill()
            process.wait()
        self.gate.kill_all()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- the load --------------------------------------------------------------------------------

    def drop(self) -> None:
        """Drop what has a directory to be dropped into by now, as long as the daemon lives."""
        while self._waiting and self.alive:
            queue, name, content = self._waiting[0]
            if not (self.gate.layout.spool / queue).is_dir():
                return
            self.gate.drop(name, content, queue)
            del self._waiting[0]

    def drop_all(self) -> None:
        """Drop everything, waiting for the directories; returns early when the daemon dies."""

        def dropped() -> bool:
            self.drop()
            return not self._waiting or not self.alive

        until(dropped, "there is a spool to drop files into", PATIENCE)

    @property
    def expected(self) -> set[str]:
        """The names of all jobs: whatever is dropped must run, whether it was accepted before the attack or not."""
        return set(self.load.states)

    def all_over(self) -> bool:
        counts = self.gate.status()["counts"]
        return not self._waiting and sum(counts.get(state, 0) for state in OVER) >= len(self.load.states)

    def until_over(self) -> None:
        """Wait until all jobs are over, or the daemon is dead."""
        until(lambda: not self.alive or self.all_over(), "all jobs are over", PATIENCE)

    # -- processes -------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the daemon lives."""
        return self.gate.process is not None and self.gate.process.poll() is None

    def worker(self) -> int:
        """The pid of a worker."""
        found = until(lambda: self.gate.status()["workers"], "there is a worker")
        return int(found[0]["pid"])

    def running(self) -> list[int]:
        """The pids of the workers that have a job."""
        return [worker["pid"] for worker in self.gate.status()["workers"] if worker["job"] is not None]

    def workers(self) -> list[int]:
        """The pids of all workers that live, also of those that no daemon knows."""
        return [pid for pid, command in self.gate.processes().items() if "taskgated.worker" in command]

    def start(self, tracer: Sequence[str] = ()) -> None:
        """Start the daemon, under a tracer that lets it be our child; do not wait for it."""
        self.starts += 1
        command = [*tracer, self.gate.python, "-m", "taskgated", "--root", str(self.gate.root)]
        with open(self.gate.root / "daemon.log", "ab") as log:
            self.gate.process = subprocess.Popen(
                command, stderr=log, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
            )

    def until_ready(self) -> bool:
        """Wait until the daemon serves; False if it died instead."""
        until(lambda: not self.alive or self.gate.status()["ready"], "the gate is ready", PATIENCE)
        return self.alive

    def attach(self, pids: Sequence[int], *options: str) -> None:
        """Trace these threads, and no others; they are traced when this returns. A thread that has gone is no error:
        who is to be attacked may be dead already."""
        targets = [word for pid in pids for word in ("-p", str(pid))]
        tracer = subprocess.Popen(["strace", *options, *targets], stderr=subprocess.DEVNULL)
        self._tracers.append(tracer)
        until(lambda: all(traced(pid) for pid in pids) or tracer.poll() is not None, "the tracer is attached")

    def detach(self) -> None:
        """Let all go that is traced, and wait until the tracers have written what they saw."""

        def tracers() -> list[int]:
            for tracer in self._tracers:
                tracer.poll()
            return [pid for pid, command in self.gate.processes().items() if command.startswith("strace ")]

        for pid in tracers():
            signal_to(pid, signal.SIGINT)
        try:
            until(lambda: not tracers(), "the tracers are gone")
        except AssertionError:  # seldom, one waits for a thread that is no more; whoever it traces goes on without it
            for pid in tracers():
                signal_to(pid, signal.SIGKILL)
            until(lambda: not tracers(), "the tracers are dead")
        self._tracers.clear()

    def end(self) -> None:
        """Stop the daemon, if it still lives."""
        if self.alive:
            self.gate.signal(signal.SIGTERM)
        self.gate.wait()

    def pause(self, seconds: float) -> None:
        """Let the gate be for a while, as part of the load; nothing is waited for, except that it ends early."""
        assert self.gate.process is not None
        try:
            self.gate.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    # -- the judgement ---------------------------------------------------------------------------

    def finish(self, attack: str, *, kills: int = 0, poison: int = 0) -> Row:
        """Run normally until everything is over, stop, and judge. ``kills``: how many workers were killed, each of
        which may have taken an attempt with it. ``poison``: a job that lost so many attempts may fail, unheard."""
        found = Findings()
        resumed = 0.0
        try:
            self.detach()
            if not self.alive:
                self.start()
            self.until_ready()
            ready_at = time.time()
            self.drop_all()
            self.until_over()
            until(lambda: not self.alive or not self._in_spool(), "every file is gone from the spool")
            if self.alive:
                self._ask(found, kills, poison)
            else:
                found.notes.append("the daemon ended by itself")
            resumed = self._resumed(ready_at)
            self._settle()
            self._stop(found)
        except (AssertionError, TaskgateError, OSError, subprocess.SubprocessError) as error:
            found.notes.append(str(error).splitlines()[0])
        self._audit(found)
        row = Row(
            attack,
            1,
            len(found.lost),
            len(found.twice),
            len(found.over),
            len(found.left),
            resumed,
            tuple(found.notes),
        )
        if not row.clean:
            self._explain(attack, found)
        return row

    def failed(self, attack: str, error: Exception) -> Row:
        """What did not happen that should have: a row that is not clean."""
        self._explain(attack, error)
        return Row(attack, 1, notes=(repr(error).splitlines()[0],))

    def _explain(self, attack: str, what: object) -> None:
        """For whoever has to find out why: what the gate said, and who was there."""
        log = "\n".join(self.gate.log().splitlines()[-40:])
        sys.stderr.write(f"{attack}: {what}\n{log}\nprocesses: {self.gate.processes()}\n")

    def _resumed(self, ready_at: float) -> float:
        """How long after the attack jobs ran again, or could have run."""
        if not self.attacked:
            return 0.0
        starts = (line.at / 1e9 for line in auditor.read(self.record) if line.word == "start")
        return max(
            0.0, next((at for at in starts if at >= self.attacked), max(ready_at, self.attacked)) - self.attacked
        )

    def _audit(self, found: Findings) -> None:
        lines = auditor.read(self.record)
        verdict = auditor.judge(lines, self.expected - self.poisoned, WORKERS)
        found.lost |= set(verdict.lost)
        found.twice |= set(verdict.twice)
        found.over |= set(verdict.over)
        for names in self.load.limited.values():
            found.over |= set(auditor.judge([line for line in lines if line.name in names], (), 1).over)
        if verdict.gaps:
            found.notes.append(f"numbers of attempts did not grow: {', '.join(verdict.gaps)}")
        if unknown := set(verdict.unknown) - self.poisoned:
            found.notes.append(f"ran, and nobody knows why: {', '.join(sorted(unknown))}")

    def _ask(self, found: Findings, kills: int, poison: int) -> None:
        """Whether the store agrees with the record: one job for each name, in its state, its attempts counted from 1,
        and no more ends than attempts whose end was uncertain can excuse. Such a one must have begun: when the daemon
        dies between writing a start down and telling the worker, that attempt is lost, but nothing has run. So each
        worker that was killed excuses one attempt, each daemon as many as there are workers, which never began."""
        lines = auditor.read(self.record)
        ends = auditor.ends(lines)
        begun = {(line.name, line.attempt) for line in lines if line.word == "start"}
        jobs = {}
        seen: Counter[str] = Counter()
        poisoned = set()
        uncertain = unheard = 0
        for job in self.gate.jobs():
            shown = self.gate.call("Show", id=job["id"])
            name = name_of(shown)
            seen[name] += 1
            jobs[name] = job
            attempts = shown["attempts"]
            numbers = [attempt["number"] for attempt in attempts]
            if numbers != list(range(1, job["attempt"] + 1)):
                found.notes.append(f"{name}: attempts {numbers} of {job['attempt']}")
            away = [attempt["number"] for attempt in attempts if attempt["result"] == "lost"]
            lost = sum((name, number) in begun for number in away)
            uncertain += lost
            unheard += len(away)
            if poison and len(away) >= poison and job["state"] == "failed":
                poisoned.add(name)
            elif not self.load.ends[name] <= ends[name] <= self.load.ends[name] + lost:
                found.notes.append(f"{name}: {ends[name]} attempts came to their end, {lost} were lost")
        for name, state in self.load.states.items():
            if seen[name] != 1:
                found.notes.append(f"{name} is {seen[name]} jobs")
            elif name in poisoned:
                self.poisoned.add(name)
            elif jobs[name]["state"] != state:
                found.notes.append(f"{name} is {jobs[name]['state']}: {jobs[name]['reason']}")
        if uncertain > kills:
            found.notes.append(f"{uncertain} attempts were lost that had begun, {kills} workers were killed")
        if unheard > kills + WORKERS * (self.starts - 1):
            found.notes.append(f"{unheard} attempts were lost, with {kills} workers and {self.starts - 1} daemons")

    def _settle(self) -> None:
        """Give workers that kept outcomes the time to find the daemon, which they look for every second; what is
        there when nobody comes for it any more is found as left behind."""
        try:
            until(lambda: not self.alive or not os.listdir(self.gate.layout.outcomes), "outcomes are fetched", 10)
        except AssertionError:
            pass

    def _in_spool(self) -> list[str]:
        """Files that nobody has taken yet."""
        spool = self.gate.layout.spool
        return [str(spool / queue / name) for queue, name, _ in self.load.files if (spool / queue / name).exists()]

    def _stop(self, found: Findings) -> None:
        """Stop cleanly, and look what is left behind."""
        if (status := self.gate.stop()) != 0:
            found.notes.append(f"it stopped with exit status {status}")
        if absent := missing(self.gate.layout, self.load.refused):
            found.notes.append(f"not in rejected/: {', '.join(absent)}")
        left = leftovers(self.gate.layout, self.load.refused)
        try:
            until(lambda: not self.gate.processes(), "no process is left", 20)
        except AssertionError:
            left += [f"process {pid}: {command}" for pid, command in self.gate.processes().items()]
        found.left += left


def name_of(shown: dict[str, Any]) -> str:
    """The name that a job bears in the record, from what the gate says of it."""
    match = _NAME.search(json.dumps(shown["spec"]))
    return match[0] if match else f"?{shown['job']['id']}"
