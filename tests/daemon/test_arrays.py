"""Arrays on a gate that runs: each job once, never more at once than may be, also when the daemon is killed."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = "workers: 4\non_stop: requeue\n"
COUNTS = """\
command: |
  mkdir {room}/out.$TASKGATE_ARRAY_INDEX
  ls {room} | grep -c out >> {room}/seen
  sleep 0.1
  echo "$TASKGATE_ARRAY_INDEX {{index}} $TASKGATE_ARRAY_COUNT $TASKGATE_ARRAY_ID" >> {room}/ran
  rmdir {room}/out.$TASKGATE_ARRAY_INDEX
interrupted: {interrupted}
array: {{from: 1, to: 12, at_most: 2}}
"""


def lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.parametrize("interrupted", ["fail", "rerun"])
@pytest.mark.parametrize("killed", [False, True])
def test_each_runs_once_and_no_more_than_may_run_at_once(tmp_path: Path, killed: bool, interrupted: str) -> None:
    """When the daemon is killed between the record of a start and the word to a worker, nobody can say that the job
    did not run: as its spec has it, it is run, or it has failed and says so."""
    room = tmp_path / "room"
    room.mkdir()
    gate = GateEnv(tmp_path / "gate", CONFIG)
    gate.start()
    try:
        gate.drop("a.yaml", COUNTS.format(room=room, interrupted=interrupted))
        if killed:
            until(lambda: len(lines(room / "ran")) > 3)
            gate.kill()
            gate.start()
        jobs = gate.until_over(12)
        ends = {index: (job["state"], job["result"]) for index, job in enumerate(jobs, 1)}
        lost = [index for index, end in ends.items() if end == ("failed", "lost")]
        assert len(lost) <= (2 if killed and interrupted == "fail" else 0), "those that could be on their way"
        assert all(end == ("succeeded", "succeeded") for index, end in ends.items() if index not in lost), ends
        assert sorted(lines(room / "ran")) == sorted(f"{index} {index} 12 1" for index in ends if index not in lost)
        assert set(lines(room / "seen")) <= {"1", "2"}
    finally:
        gate.stop()


def test_each_has_a_directory_and_variables_of_its_own(tmp_path: Path) -> None:
    for part in ("1 a", "2 b"):
        (tmp_path / part).mkdir()
    gate = GateEnv(tmp_path / "gate", CONFIG)
    gate.start()
    try:
        keys = (
            f"cwd: '{tmp_path}/{{index}} {{line}}'\nenv: {{A: 'x {{index}} {{line}}'}}\narray: {{lines: \"a\\nb\"}}\n"
        )
        gate.drop("a.yaml", f"command: 'echo $A > here'\n{keys}")
        gate.until_over(2)
        assert [(tmp_path / part / "here").read_text() for part in ("1 a", "2 b")] == ["x 1 a\n", "x 2 b\n"]
    finally:
        gate.stop()


def test_the_group_is_listed_shown_waited_for_and_cancelled(tmp_path: Path) -> None:
    gate = GateEnv(tmp_path / "gate", CONFIG)
    gate.start()
    try:
        gate.drop("one.yaml", "command: [sleep, '60']\n")
        until(gate.jobs)
        gate.drop("a.yaml", "name: part {index}\ncommand: [sleep, '60']\narray: {values: [7, 8, 9], at_most: 1}\n")
        until(lambda: len(gate.jobs()) == 4)
        listed = json.loads(gate.ctl("--json", "list", "--array", "2").stdout)
        assert [(job["id"], job["array"], job["name"]) for job in listed] == [
            (2, 2, "part 7"),
            (3, 2, "part 8"),
            (4, 2, "part 9"),
        ]
        shown = gate.ctl("show", "4").stdout.decode()
        assert "at most 1 job of array 2 may run at once" in shown and "index 9 of 3 jobs, at most 1 at once" in shown
        assert "queue_limit" in {reason["kind"] for reason in gate.call("Show", id=4)["waits_for"]}
        cancelled = gate.ctl("cancel", "--array", "2")
        assert b"array 2: 3 jobs are cancelled" in cancelled.stdout, cancelled
        assert gate.ctl("wait", "--array", "2").returncode != 0
        states = [job["state"] for job in gate.jobs()]
        assert states == ["running", "cancelled", "cancelled", "cancelled"]
        assert gate.call("Show", id=3)["job"]["attempt"] == gate.call("Show", id=4)["job"]["attempt"] == 0
        assert gate.ctl("cancel", "--array", "2").returncode == 1
        assert gate.ctl("cancel").returncode == gate.ctl("cancel", "1", "--array", "2").returncode == 2
        assert gate.ctl("wait").returncode == 2
        none = gate.ctl("wait", "--array", "3")
        assert none.returncode == 1, "a job that is not its first has no array of its own"
        assert b"there is no array 3" in none.stderr
        gate.ctl("cancel", "1")
        gate.until_over(4)
    finally:
        gate.stop()


@pytest.mark.parametrize("verb", ["list", "wait", "cancel"])
def test_what_is_no_array_is_said_in_the_same_words(gate: GateEnv, verb: str) -> None:
    gate.drop("a.yaml", "command: 'true'\ndelay: 1h\narray: {to: 3}\n")
    until(lambda: len(gate.jobs()) == 3)
    inside = gate.ctl(verb, "--array", "2")
    text = "taskgatectl: there is no array {}: an array is called by the id of its first job"
    assert (inside.returncode, inside.stdout) == (1, b"")
    assert inside.stderr.decode() == f"{text.format(2)}; 2 is of array 1\n"
    nothing = gate.ctl(verb, "--array", "99999")
    assert (nothing.returncode, nothing.stdout, nothing.stderr.decode()) == (1, b"", f"{text.format(99999)}\n")
    assert {job["state"] for job in gate.jobs()} == {"queued"}


def test_an_array_that_is_still_being_taken_in_is_waited_for(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\nmax_backlog: 20\n")
    until_gone = f"until [ -e {gate.scratch}/$((TASKGATE_ARRAY_INDEX > 30)) ]; do sleep 0.05; done"
    gate.drop("a.yaml", f"command: {until_gone}; exit $((TASKGATE_ARRAY_INDEX == 75))\narray: {{to: 80}}\n")
    until(lambda: len(gate.jobs()) >= 20)
    listed = gate.ctl("list", "--array", "1")
    there = len(listed.stdout.splitlines()) - 1
    assert 20 <= there < 80
    assert listed.stderr == b"taskgatectl: array 1: %d of its jobs are still to come\n" % (80 - there)
    assert gate.call("List", array=1)["coming"] == 80 - there and gate.call("List")["coming"] is None
    missing = gate.ctl("show", "1_80")
    assert missing.returncode == 1 and b"array 1 has no job with index 80; " in missing.stderr
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(gate.ctl, "wait", "--array", "1")
        (gate.scratch / "0").touch()
        gate.until_over(30)
        time.sleep(1.0)
        assert not waits.done(), "all that were there are over, and more are to come"
        (gate.scratch / "1").touch()
        done = waits.result()
    assert done.returncode == 1, done
    assert sorted(int(line.split()[0]) for line in done.stdout.splitlines()) == list(range(1, 81))
    assert gate.call("List", array=1, limit=1)["coming"] == 0


@pytest.mark.parametrize("killed", [False, True])
def test_of_an_array_that_is_cancelled_nothing_starts_any_more(
    make_gate: Callable[..., GateEnv], killed: bool
) -> None:
    """Neither of what is there, nor of what was still to come; also if the daemon is killed right behind it."""
    gate = make_gate("workers: 4\nmax_backlog: 3000\n")
    gate.drop("a.yaml", f"command: echo x >> {gate.scratch}/ran; sleep 0.2\narray: {{to: 4000}}\n")
    until(lambda: gate.call("List", array=1, limit=1)["coming"] < 2000 if gate.jobs() else False)
    if killed:
        with ThreadPoolExecutor() as pool:
            told = pool.submit(gate.ctl, "cancel", "--array", "1")
            until(lambda: gate.status()["counts"].get("cancelled"))
            gate.kill()
            told.result()
        started = attempts(gate)
        gate.start()
    else:
        done = gate.ctl("cancel", "--array", "1")
        assert done.returncode == 0, done
        told = b"still to come, and will be cancelled then" in done.stdout  # they come as places become free
        assert told or gate.call("List", array=1, limit=1)["coming"] == 0, done
        started = attempts(gate)
    gate.until_over(4000)
    assert attempts(gate) == started < 1000
    states = Counter(job["state"] for job in gate.jobs())
    assert states.keys() <= {"cancelled", "succeeded"}
    again = gate.ctl("cancel", "--array", "1")
    assert (again.returncode, again.stdout) == (1, b"array 1: 0 jobs are cancelled, or told to end\n")
    assert gate.log().count("job 4000: cancelled before it started") == 1, "each end is told, once"
    assert gate.ctl("wait", "--array", "1").returncode != 0


def attempts(gate: GateEnv) -> int:
    """How many were started, by what the database has of it."""
    with closing(sqlite3.connect(gate.layout.database)) as db:
        (number,) = db.execute("SELECT count(*) FROM attempts").fetchone()
    return int(number)
