"""Processes that do not answer, cannot be looked into, or outlive all that could know of them: none is lost sight of.

The trials of ``resources`` that are about processes.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import time
from contextlib import ExitStack

from taskgated.daemon.health import EVERY
from taskgated.daemon.vigil import PATIENCE
from tests.chaos.processes import signal_to
from tests.chaos.siege import Siege
from tests.chaos.table import Row

USER = 64_323
"""A user that nobody is, so that no control group can be made, and no other's environment can be read."""
NOTICED = PATIENCE + 2 * EVERY + 20.0
"""Seconds in which a worker that does not answer is named, or replaced; the last twenty are for a busy host."""


def _begin(siege: Siege) -> None:
    siege.well()
    siege.drop("before0", "before1")
    siege.until_ended("before0", "before1")


def _of_the_gate(siege: Siege) -> list[int]:
    """Daemon, worker server and workers."""
    return [pid for pid, command in siege.env.processes().items() if " -m taskgated" in command]


def hidden(name: str, rng: random.Random) -> Row:
    """All of the gate is killed at once. What its jobs run may be executed and not read, so that a gate which is not
    root's sees no environment of it; half of it has none besides. It is found before its jobs run again."""
    with Siege(name, user=USER, may_end=[-signal.SIGKILL]) as siege:
        _begin(siege)
        interpreter = siege.root / "unreadable"
        shutil.copy(os.path.realpath("/usr/bin/python3"), interpreter)
        interpreter.chmod(0o711)
        names = ["hidden0", "hidden1"]
        for number, job in enumerate(names):
            spec = json.loads(siege.spec(job, 10))
            bare = "env -i TASKGATE_ATTEMPT=$TASKGATE_ATTEMPT " if number else ""
            spec["command"] = f"exec {bare}{shlex.join([str(interpreter), *spec['command'][1:]])}"
            (siege.env.layout.spool / f".{job}").write_text(json.dumps(spec))
        siege.release(*names)
        siege.until_running(*names)
        siege.mark()
        everybody = _of_the_gate(siege)
        rng.shuffle(everybody)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everybody:
                signal_to(pid, number)
        return siege.audit(time.monotonic(), again=names)


def stopped(name: str, rng: random.Random) -> Row:
    """Every worker is stopped. A busy one is named, and goes on when it may; idle ones are replaced, and what they
    were given meanwhile runs on others."""
    with Siege(name) as siege, ExitStack() as stack:
        _begin(siege)
        siege.drop("across", seconds=1)
        siege.until_running("across")
        siege.mark()
        workers = {worker["pid"]: worker["job"] for worker in siege.status()["workers"]}
        busy = next(pid for pid, job in workers.items() if job is not None)
        for pid in workers:
            stack.callback(signal_to, pid, signal.SIGCONT)
            os.kill(pid, signal.SIGSTOP)
        siege.drop("during0", "during1")
        siege.said(f"worker {busy} does not answer (it is stopped)", within=NOTICED)
        siege.until_ended("during0", "during1", within=NOTICED)
        if siege.status()["ready"]:
            siege.notes.append("a worker is stopped, and it says that all is well")
        os.kill(busy, signal.SIGCONT)
        since = time.monotonic()
        siege.drop("after0")
        return siege.audit(since, again=("during0", "during1"))


def frozen_service(name: str, rng: random.Random) -> Row:
    """All of the service is stopped for longer than anybody is waited for, and goes on: nobody was late by that."""
    with Siege(name) as siege:
        _begin(siege)
        siege.drop("across", seconds=1)
        siege.until_running("across")
        siege.mark()
        everybody = sorted(siege.env.processes())
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        try:
            end = time.monotonic() + PATIENCE + EVERY
            while time.monotonic() < end:
                time.sleep(0.5)
        finally:
            for pid in rng.sample(everybody, len(everybody)):
                os.kill(pid, signal.SIGCONT)
        since = time.monotonic()
        row = siege.audit(since)
        if "does not answer" in siege.log() or "died" in siege.log():
            row += Row(name, 0, notes=(f"somebody was taken for dead: {siege.log()[-1000:]}",))
        return row


TRIALS = {
    "unreadable survivors: everything killed": hidden,
    "stopped: all workers": stopped,
    "stopped: all of the service": frozen_service,
}
