"""With the modules that the distribution ships, which are older than those from PyPI: the same daemon works."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from tests.env.gate import GateEnv
from tests.env.until import until

PYTHON = "/usr/bin/python3"
NEEDED = "import sys, sdnotify, watchdog, yaml; sys.exit(sys.version_info < (3, 11))"


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    try:
        found = subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        pytest.skip(f"{PYTHON} has no python3-yaml, python3-watchdog and python3-sdnotify")
    return make_gate("workers: 2\nqueues: {lines: {handler: {command: [echo, '{line}']}}}\n", python=PYTHON)


def test_the_main_job(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: spec\ncommand: [echo, x]\n")
    gate.drop("b", "#!/bin/sh\nexit 3\n")
    gate.drop("c.tasks", "echo 1\necho 2\n")
    gate.drop("bad.yaml", "{")
    states = sorted(job["state"] for job in gate.until_over(4))
    assert states == ["failed", "succeeded", "succeeded", "succeeded"]
    until((gate.layout.rejected / "bad.yaml.reason").exists, "the bad one is refused")
    gate.configure("workers: 1\nqueues: {lines: {handler: {command: [echo, '{line}']}}}\n")
    gate.signal(signal.SIGHUP)
    until(lambda: len(gate.status()["workers"]) == 1, "one worker is left")
    assert gate.stop() == 0


def test_appended_lines(gate: GateEnv) -> None:
    target = gate.layout.spool / "lines" / "lines.txt"

    def append(who: int) -> None:
        for n in range(30):
            with open(target, "a") as file:
                file.write(f"{who}-{n}\n")

    threads = [threading.Thread(target=append, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = gate.until_over(90)
    lines = {Path(outputs.path(gate.layout.log, job["id"], 1)).read_text().strip() for job in jobs}
    assert lines == {f"{who}-{n}" for who in range(3) for n in range(30)}


def test_a_killed_daemon_and_a_replaced_spool(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: a\ncommand: sleep 1\n")
    gate.until_running("a")
    gate.kill()
    gate.start()
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    gate.layout.spool.rename(gate.root / "old")
    gate.layout.spool.mkdir()
    gate.drop("b.yaml", "command: 'true'\n")
    gate.until_over(2)
