"""Whoever waits for a job hears its end: over restarts and crashes of the daemon, retries, outputs that are cut."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

SUBMIT = REPOSITORY / "etc" / "examples" / "submit-and-wait"
MakeGate = Callable[..., GateEnv]


class Follower:
    """A ``taskgatectl`` that goes on while the test does something."""

    def __init__(self, gate: GateEnv, *args: str) -> None:
        self._out, self._err = gate.root / "follower.out", gate.root / "follower.err"
        command = [sys.executable, "-m", "taskgated.ctl", "--root", str(gate.root), *args]
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
            )

    @property
    def out(self) -> bytes:
        return self._out.read_bytes()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until_connected(self) -> None:
        def connected() -> bool:
            fds = f"/proc/{self.process.pid}/fd"
            try:
                return any(os.readlink(f"{fds}/{fd}").startswith("socket:") for fd in os.listdir(fds))
            except FileNotFoundError:  # it opens and closes files as it starts
                return False

        until(connected, "it is connected")

    def end(self) -> int:
        return self.process.wait(60)


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    made: list[Follower] = []

    def follow(gate: GateEnv, *args: str) -> Follower:
        made.append(Follower(gate, *args))
        made[-1].until_connected()
        return made[-1]

    yield follow
    for follower in made:
        follower.process.kill()
        follower.process.wait()


def until_there(path: Path) -> str:
    """What a job says to wait for that file."""
    return f"until test -e {path}; do sleep 0.02; done"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_wait_goes_on_when_the_daemon_comes_back(
    make_gate: MakeGate, follow: Callable[..., Follower], end: str
) -> None:
    gate = make_gate(f"workers: 2\non_stop: {'leave' if end == 'stop' else 'requeue'}\n")
    go = gate.scratch / "go"
    gate.drop("a.yaml", f"- {{name: a, command: 'true'}}\n- {{name: b, command: '{until_there(go)}; exit 7'}}\n")
    gate.until_running("b")
    gate.until_over(1)
    waits = follow(gate, "wait", "1", "2")
    until(lambda: waits.out, "it tells of the first")
    for _ in range(2):
        getattr(gate, end)()
        until(lambda: "trying again" in waits.err, "it says that it goes on")
        gate.start()
        until(lambda: "the daemon answers again" in waits.err, "and that it can")
    go.touch()
    assert waits.end() == 7
    assert [line.split()[0] for line in waits.out.splitlines()] == [b"1", b"2"], "each once"


UNREADABLE = """\
import os, sys
if "taskgated" in sys.orig_argv:
    from taskgated.errors import DiskTrouble
    from taskgated.store.sqlite.questions import SqliteQuestions
    real = SqliteQuestions.records
    def records(store, jobs):
        if os.path.exists(os.environ["UNREADABLE"]):
            raise DiskTrouble("disk I/O error")
        return real(store, jobs)
    SqliteQuestions.records = records
"""


def test_wait_goes_on_while_the_store_cannot_be_read(make_gate: MakeGate, follow: Callable[..., Follower]) -> None:
    gate = make_gate(start=False)
    hook, flag, go = gate.scratch / "hook", gate.scratch / "flag", gate.scratch / "go"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(UNREADABLE)
    gate.start({"PYTHONPATH": f"{hook}:{REPOSITORY}", "UNREADABLE": str(flag)})
    gate.drop("a.yaml", f"name: a\ncommand: '{until_there(go)}; exit 7'\n")
    gate.until_running("a")
    waits = follow(gate, "wait", "1")
    flag.touch()
    go.touch()
    until(lambda: "cannot be read: disk I/O error; trying again" in waits.err, "it says so, and goes on")
    flag.unlink()
    assert waits.end() == 7


def test_patience_has_an_end_where_that_is_wanted(gate: GateEnv, follow: Callable[..., Follower]) -> None:
    gate.drop("a.yaml", "name: a\ncommand: sleep 100\n")
    gate.until_running("a")
    waits = follow(gate, "wait", "1", "--patience", "100ms")
    follows = follow(gate, "logs", "-f", "1", "--patience", "100ms")
    gate.kill()
    assert (waits.end(), follows.end()) == (os.EX_UNAVAILABLE, os.EX_UNAVAILABLE)
    assert gate.ctl("wait", "1").returncode == os.EX_UNAVAILABLE, "who was never connected is not patient"
    gate.start()


def test_more_jobs_than_one_call_may_wait_for(gate: GateEnv) -> None:
    gate.drop("a.yaml", "".join("- command: 'true'\n" for _ in range(600)) + "- command: exit 3\n")
    until(lambda: len(gate.jobs()) == 601, "all are there")
    done = gate.ctl("wait", *map(str, range(1, 602)))
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 601)


def test_logs_follow_over_a_restart(make_gate: MakeGate, follow: Callable[..., Follower]) -> None:
    gate = make_gate("workers: 2\n")
    go = gate.scratch / "go"
    gate.drop("a.yaml", f"name: a\ncommand: 'echo one; {until_there(go)}; echo two'\n")
    gate.until_running("a")
    follower = follow(gate, "logs", "-f", "1")
    until(lambda: follower.out == b"one\n", "it is followed")
    gate.kill()
    until(lambda: "trying again" in follower.err, "it says that it goes on")
    go.touch()
    gate.start()
    assert follower.end() == 0
    assert follower.out == b"one\ntwo\n"


def test_logs_follow_from_before_the_start_over_retries(make_gate: MakeGate, follow: Callable[..., Follower]) -> None:
    gate = make_gate("workers: 1\n")
    go = gate.scratch / "go"
    gate.drop("a.yaml", f"name: a\ncommand: '{until_there(go)}'\n")
    gate.until_running("a")
    retried = "{name: b, command: 'echo $TASKGATE_ATTEMPT; exit 1', retry: {attempts: 3, delay: 1s}}"
    gate.drop("b.yaml", f"{retried}\n")
    until(lambda: gate.job("b"), "it waits for its turn")
    follower = follow(gate, "logs", "-f", "2")
    go.touch()
    assert follower.end() == 0
    assert follower.out == b"1\n2\n3\n"
    assert follower.err.splitlines() == [f"taskgatectl: attempt {n} of job 2" for n in (2, 3)]
    assert gate.ctl("logs", "-f", "2", "--attempt", "1").stdout == b"1\n", "that one alone, where it is asked for"
    assert gate.ctl("logs", "2", "--attempt", "99").stderr == b"taskgatectl: the job has no such attempt\n"


def test_logs_of_a_job_that_never_starts(gate: GateEnv, follow: Callable[..., Follower]) -> None:
    gate.drop("a.yaml", "name: a\ncommand: echo one\ndelay: 1h\n")
    until(gate.jobs, "it is there")
    assert gate.ctl("logs", "1").returncode == 0
    follower = follow(gate, "logs", "-f", "1")
    gate.ctl("cancel", "1")
    assert follower.end() == 0
    assert follower.out == b""


GAP = re.compile(rb"\n\[taskgated: ([0-9]+) bytes left out here\]\n")


def test_logs_follow_what_is_longer_than_what_is_kept(gate: GateEnv, follow: Callable[..., Follower]) -> None:
    """The end is not lost when the pieces are put together, and what is left out is said."""
    go, on = gate.scratch / "go", gate.scratch / "on"
    command = f"seq 100000 199999; {until_there(go)}; seq 200000 200099; {until_there(on)}; seq 300000 300099"
    gate.drop("a.yaml", f"name: a\ncommand: '{command}'\noutput: {{max_size: 8000}}\n")
    gate.until_running("a")
    whole = "".join(f"{n}\n" for n in (*range(100000, 200000), *range(200000, 200100), *range(300000, 300100)))
    follower = follow(gate, "logs", "-f", "1")
    until(lambda: follower.out.endswith(b"199999\n"), "it is followed to the end of the first part")
    go.touch()
    until(lambda: follower.out.endswith(b"200099\n"), "and of the second")
    on.touch()
    assert follower.end() == 0
    at = 0
    text = follower.out
    *parts, last = GAP.split(text)
    for data, omitted in zip(parts[::2], parts[1::2], strict=True):
        assert whole.encode()[at : at + len(data)] == data
        at += len(data) + int(omitted)
    assert whole.encode()[at:] == last
    assert last.endswith(b"".join(b"%d\n" % n for n in (*range(200000, 200100), *range(300000, 300100))))
    (attempt,) = gate.call("Show", id=1)["attempts"]
    assert gate.ctl("logs", "1").stdout == Path(attempt["log"]).read_bytes()


def submit(gate: GateEnv, file: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    ctl = f"{sys.executable} -m taskgated.ctl --root {gate.root}"
    settings = {"SPOOL": str(gate.layout.spool), "TASKGATECTL": ctl, "PYTHONPATH": str(REPOSITORY), **env}
    return subprocess.run(
        ["sh", str(SUBMIT), str(file)], env={**os.environ, **settings}, capture_output=True, timeout=100, check=False
    )


@pytest.mark.parametrize("name", ["a.yaml", "with a blank.yaml", 'ü "q" \\ \'x.yaml', "x" * 200 + ".yaml"])
def test_submit_and_wait_ends_as_the_job_does(gate: GateEnv, name: str) -> None:
    file = gate.root / name
    commands = {"kill -9 $$": 128 + 9, "exit 3": 3, "true": 0}
    for command, code in commands.items():
        file.write_text(f"name: some job\ncommand: '{command}'\n")
        file.chmod(0o600)
        done = submit(gate, file)
        assert (done.returncode, len(done.stdout.splitlines())) == (code, 1), done
    file.write_text("comand: true\n")
    done = submit(gate, file)
    assert (done.returncode, b"did you mean 'command'?" in done.stderr) == (65, True)


def test_submit_and_wait_of_nothing_says_how() -> None:
    done = subprocess.run(["sh", str(SUBMIT)], capture_output=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (os.EX_USAGE, b"usage: submit-and-wait FILE [QUEUE]\n")


def test_submit_and_wait_of_a_file_without_jobs_ends(gate: GateEnv) -> None:
    file = gate.root / "none.tasks"
    file.write_text("# nothing to do\n")
    assert submit(gate, file, PATIENCE="1").returncode == 66
    file = gate.root / "two.tmp"  # a name that the gate would leave alone
    file.write_text("#!/bin/sh\nexit 4\n")
    assert submit(gate, file).returncode == 4


def test_submit_and_wait_of_a_file_that_cannot_be_read_leaves_nothing(gate: GateEnv) -> None:
    before = sorted(os.listdir(gate.layout.spool))
    done = submit(gate, gate.root / "missing.yaml")
    assert done.returncode == 66 and b"missing.yaml" in done.stderr
    assert sorted(os.listdir(gate.layout.spool)) == before


def test_whoever_waits_hears_why_a_job_was_not_taken(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    gate.drop("a.yaml", "{name: a, command: 'sleep 600', key: k}\n")
    gate.until_running("a")
    file = gate.root / "b.yaml"
    file.write_text("{name: b, command: 'true', key: k, on_conflict: skip}\n")
    done = submit(gate, file)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)
    assert done.stderr == b"taskgatectl: job 2: %s\n" % (gate.job("b") or {})["reason"].encode()
    assert b"job 1" in done.stderr


def test_submit_and_wait_over_a_restart(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    file = gate.root / "a.yaml"
    file.write_text(f"name: a\ncommand: 'kill -9 {gate.process and gate.process.pid}; sleep 1; exit 5'\n")
    ctl = f"{sys.executable} -m taskgated.ctl --root {gate.root}"
    settings = {"SPOOL": str(gate.layout.spool), "TASKGATECTL": ctl, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(["sh", str(SUBMIT), str(file)], env={**os.environ, **settings}) as submitted:
        assert gate.wait() == -signal.SIGKILL
        gate.start()
        assert submitted.wait(60) == 5
