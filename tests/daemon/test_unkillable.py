"""A job that has become the process of another user, as sudo(8) and su(1) make them, where no control group is: its
worker may not end it. From the drop to what operators are told, and to the place that is free at last."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env.gate import GateEnv, python_for
from tests.env.until import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another user may not end")

OWNER = 65534
# Looks every half a second, and counts an attempt as one that does not end a second after its deadline.
IMPATIENT = """#!/bin/sh
PYTHONPATH={code} exec setpriv --reuid {owner} --regid {owner} --clear-groups {python} -c '
import sys
from taskgated.daemon import health, vigil
from taskgated.__main__ import main
del sys.argv[1:3]
health.EVERY, vigil.MARGIN = 0.5, 1.0
sys.exit(main())
' "$@"
"""
BECOMES_ROOT = """
import os, sys, time
os.setuid(0)
with open(sys.argv[1] + ".new", "w") as file:
    print(os.getpid(), file=file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""


@pytest.fixture
def theirs() -> Iterator[GateEnv]:
    """A gate of an ordinary user, not below pytest's directory, which is for one user alone."""
    python = python_for(OWNER)
    if not python or not shutil.which("setpriv"):
        pytest.skip("no Python here is for all users and has what the daemon needs, or setpriv(1) is missing")
    directory = Path(tempfile.mkdtemp(prefix="unkillable-"))
    try:
        directory.chmod(0o755)
        shutil.copytree(REPOSITORY / "taskgated", directory / "taskgated", ignore=shutil.ignore_patterns("*.pyc"))
        program, foreign = directory / "impatient", directory / "foreign"
        program.write_text(IMPATIENT.format(code=directory, owner=OWNER, python=python))
        program.chmod(0o755)
        shutil.copy(os.path.realpath("/usr/bin/python3"), foreign)
        foreign.chmod(0o4755)
        if os.statvfs(foreign).f_flag & os.ST_NOSUID:
            pytest.skip("needs a place where set-user-ID programs work")
        gate = GateEnv(directory / "gate", "workers: 2\nqueues: {default: {limit: 1}}\n", str(program))
        for path in (gate.root, *gate.root.rglob("*")):
            os.chown(path, OWNER, OWNER)
        yield gate
        gate.clean_up()
    finally:
        shutil.rmtree(directory)


def slices(pid: int) -> int:
    """How often a process has gone to sleep (proc_pid_status(5))."""
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("voluntary")]
    return int(line.split()[1])


def test_it_is_told_waited_for_and_counted_until_it_ends(theirs: GateEnv) -> None:
    gate = theirs
    gate.start()
    foreign, record = gate.root.parent / "foreign", gate.scratch / "pid"
    command = [str(foreign), "-S", "-c", BECOMES_ROOT, str(record)]
    first = {"name": "stays", "command": command, "timeout": "1s", "kill_after": "100ms"}
    gate.drop("a.json", json.dumps([first, {"name": "next", "command": "true"}]))
    (line,) = until(lambda: gate.lines("pid"), "it has become another user's")
    process = int(line)
    try:
        until(lambda: "had to end, and its processes do not" in str(gate.status().get("problems")), "status says it")
        stays, waits = gate.job("stays"), gate.job("next")
        assert stays and waits and (stays["state"], waits["state"]) == ("running", "queued")
        (reason,) = gate.call("Show", id=stays["id"])["waits_for"]
        assert reason["kind"] == "unkillable" and reason["text"].startswith("it had to end, and its processes do not")
        assert "had to end" in gate.ctl("show", str(stays["id"])).stdout.decode()
        assert [reason["kind"] for reason in gate.call("Show", id=waits["id"])["waits_for"]] == ["queue_limit"]
        (worker,) = [one["pid"] for one in gate.status()["workers"] if one["job"] == stays["id"]]
        before, begun = slices(worker), time.monotonic()
        until(lambda: time.monotonic() - begun > 3, "three seconds to pass")
        # (One that tries every 20 ms goes to sleep 50 times a second. Two of these are questions of the daemon.)
        assert (slices(worker) - before) / (time.monotonic() - begun) < 10
        assert gate.job("next") == waits, "the limit counts it"
    finally:
        os.kill(process, signal.SIGKILL)
    jobs = {job["name"]: job for job in gate.until_over(2)}
    assert (jobs["stays"]["state"], jobs["stays"]["attempt"], jobs["next"]["state"]) == ("failed", 1, "succeeded")
    (attempt,) = gate.call("Show", id=jobs["stays"]["id"])["attempts"]
    assert (attempt["result"], attempt["message"].split(",")[0]) == ("timed out", "it could not be killed")
    assert f"process {process} (it is another user's)" in attempt["message"]
    until(lambda: gate.status()["ready"], "all is well again")
