"""Workers that do not answer, and attempts that do not end: named, counted, and ended when that is right."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskgated.host import processes
from tests.env.gate import GateEnv
from tests.env.hung_mount import hung_mount
from tests.env.until import until
from tests.protocol.test_protocol import WORKER, OldWorker, launch_without_workers

MakeGate = Callable[..., GateEnv]
QUICK = 4.0
"""Seconds of patience with a worker, instead of thirty."""
# Looks every half a second; the worker server is given all the time in the world.
IMPATIENT = f"""#!/bin/sh
exec {sys.executable} -c '
import sys
from taskgated.daemon import health, supervise, vigil
from taskgated.__main__ import main
del sys.argv[1:3]
health.EVERY, supervise.PATIENCE, vigil.PATIENCE, vigil.MARGIN = 0.5, 1000, {QUICK}, {QUICK}
sys.exit(main())
' "$@"
"""


@pytest.fixture
def make_impatient(make_gate: MakeGate, tmp_path: Path) -> MakeGate:
    """Makes gates whose daemons lose patience soon."""
    program = tmp_path / "impatient"
    program.write_text(IMPATIENT)
    program.chmod(0o755)

    def make(config: str = "workers: 1\nstop_timeout: 100ms\n", **options: Any) -> GateEnv:
        return make_gate(config, python=str(program), **options)

    return make


def workers(gate: GateEnv) -> list[int]:
    return [worker["pid"] for worker in gate.status()["workers"] if worker["state"] != "leaving"]


def problems(gate: GateEnv) -> str:
    return "; ".join(gate.status().get("problems", ()))


def run(gate: GateEnv, name: str, command: str = "exec sleep 1000", **keys: Any) -> tuple[int, int]:
    """Have a job run; the pids of its worker and of its main process."""
    record = gate.scratch / name
    gate.drop(f"{name}.json", json.dumps({"name": name, "command": f"echo $$ >>{record}; {command}", **keys}))
    until(lambda: gate.lines(name), f"{name} runs")
    job = gate.job(name)
    assert job
    worker = next(worker["pid"] for worker in gate.status()["workers"] if worker["job"] == job["id"])
    return worker, int(gate.lines(name)[0])


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def gone(*pids: int) -> bool:
    return not any(processes.look(pid) for pid in pids)


class TestAStoppedWorker:
    def test_is_named_and_its_job_can_be_cancelled(self, make_impatient: MakeGate) -> None:
        gate = make_impatient("workers: 1\nqueues: {default: {limit: 1}}\n")
        worker, process = run(gate, "stays", kill_after="200ms")
        with stopped(worker):
            until(lambda: "does not answer (it is stopped), job 1 is on it" in problems(gate), "it is named")
            assert not gate.status()["ready"]
            gate.drop("next.json", json.dumps({"command": "true", "name": "next"}))
            until(lambda: gate.job("next"), "another is there")
            assert not gone(worker, process), "nobody ends a busy worker because it is slow"
            assert (gate.job("next") or {})["state"] == "queued"
            gate.call("Cancel", id=1)
            until(lambda: gone(worker, process), "they are gone")
        until(lambda: (gate.job("stays") or {})["state"] == "cancelled", "it is cancelled")
        until(lambda: (gate.job("next") or {})["state"] == "succeeded", "there is room again")
        until(lambda: gate.status()["ready"], "all is well again")
        until(lambda: "it is ended" in gate.log(), "that is said")

    def test_does_not_keep_its_job_from_timing_out(self, make_impatient: MakeGate) -> None:
        gate = make_impatient()
        worker, process = run(gate, "late", timeout="1s", kill_after="100ms")
        with stopped(worker):
            until(lambda: gone(worker, process), "they are gone")
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("failed", 1)
        (attempt,) = gate.call("Show", id=1)["attempts"]
        assert attempt["result"] == "timed out"

    def test_does_not_keep_the_daemon_from_stopping(self, make_impatient: MakeGate) -> None:
        """And the job is put back, as if it had been told to end."""
        gate = make_impatient()
        worker, process = run(gate, "stays", kill_after="100ms")
        with stopped(worker):
            assert gate.stop() == 0
            assert gone(worker, process)
        gate.start()
        until(lambda: len(gate.lines("stays")) == 2, "it runs again")
        job = gate.job("stays")
        assert job and job["attempt"] == 2
        gate.call("Cancel", id=1)
        gate.until_over(1)

    def test_goes_on_when_it_was_only_slow(self, make_impatient: MakeGate) -> None:
        gate = make_impatient()
        worker, _ = run(gate, "slow", f"until test -e {gate.scratch}/go; do sleep 0.05; done", timeout="100s")
        with stopped(worker):
            until(lambda: "does not answer" in problems(gate), "it is named")
        until(lambda: gate.status()["ready"], "it is well again")
        (gate.scratch / "go").touch()
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 1)
        assert workers(gate) == [worker]

    def test_that_is_idle_is_replaced(self, make_impatient: MakeGate) -> None:
        """Also when it has been given a job meanwhile: that runs on another, and was not interrupted."""
        gate = make_impatient()
        (worker,) = workers(gate)
        with stopped(worker):
            gate.drop("job.json", json.dumps({"name": "job", "command": "true", "interrupted": "fail"}))
            (job,) = gate.until_over(1)
            assert job["state"] == "succeeded"
            assert gone(worker)
        assert workers(gate) != [worker]

    def test_of_an_earlier_daemon(self, make_impatient: MakeGate) -> None:
        """It does not come back: named, and ended when its job is cancelled."""
        gate = make_impatient()
        worker, process = run(gate, "stays", kill_after="100ms")
        with stopped(worker):
            gate.kill()
            gate.launch()
            until(lambda: "has not come back (it is stopped), job 1 is on it" in problems(gate), "it is named")
            assert not gone(worker, process)
            gate.call("Cancel", id=1)
            until(lambda: gone(worker, process), "they are gone")
        (job,) = gate.until_over(1)
        assert job["state"] == "cancelled"


class TestNobodyIsStuck:
    def test_when_everything_was_stopped(self, make_impatient: MakeGate) -> None:
        """As by a suspended host, or systemctl freeze: nobody has had time to answer."""
        gate = make_impatient("workers: 2\n")
        _, process = run(gate, "stays", timeout="100s")
        before = sorted(workers(gate))
        with stopped(*gate.processes()):
            end = time.monotonic() + 2 * QUICK
            while time.monotonic() < end:
                assert gate.process and processes.look(gate.process.pid)
                time.sleep(0.1)
        gate.call("Status")
        end = time.monotonic() + QUICK
        while time.monotonic() < end:
            assert problems(gate) == ""
            time.sleep(0.1)
        assert sorted(workers(gate)) == before and not gone(process)
        gate.call("Cancel", id=1)
        gate.until_over(1)

    def test_when_a_job_is_stopped(self, make_impatient: MakeGate) -> None:
        gate = make_impatient()
        worker, process = run(gate, "stays", kill_after="100ms")
        with stopped(process):
            end = time.monotonic() + 2 * QUICK
            while time.monotonic() < end:
                assert problems(gate) == ""
                time.sleep(0.1)
            gate.call("Cancel", id=1)
            gate.until_over(1)
        assert workers(gate) == [worker]


class TestAHungFileSystem:
    """The program is on a file system that does not answer: exec(2) does not return, nor the vfork(2) before it."""

    def test_that_a_job_waits_for(self, make_impatient: MakeGate, tmp_path: Path) -> None:
        """Its worker is well, and cannot kill it: that is said, and one signal is enough to stop the daemon."""
        gate = make_impatient()
        with hung_mount(tmp_path / "hangs") as mount:
            worker, process = run(gate, "waits", f"exec ls {mount}/x", timeout="1s", kill_after="100ms")
            until(lambda: "job 1 had to end, and its processes do not" in problems(gate), "it is said")
            (reason,) = gate.call("Show", id=1)["waits_for"]
            assert reason["kind"] == "unkillable" and reason["text"].startswith("it had to end, and its processes do")
            assert workers(gate) == [worker] and not gone(process)
            gate.signal(signal.SIGTERM)
            assert gate.wait(60) == 0
            assert not gone(process)
            gate.launch()
            until(lambda: gate.status().get("workers"), "the next daemon is there")
            assert (gate.job("waits") or {})["state"] == "running"
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("failed", 1)
        (attempt,) = gate.call("Show", id=1)["attempts"]
        assert "it could not be killed, and ended " in attempt["message"]
        assert f"process {process} (it waits for a device or a file system)" in attempt["message"]

    def test_is_named_and_counted(self, make_impatient: MakeGate, tmp_path: Path) -> None:
        gate = make_impatient("workers: 1\nqueues: {default: {limit: 1}}\nstop_timeout: 100ms\n")
        with hung_mount(tmp_path / "hangs") as mount:
            (worker,) = workers(gate)
            spec = {"name": "hangs", "command": [f"{mount}/program"], "timeout": "1s", "kill_after": "100ms"}
            gate.drop("hangs.json", json.dumps(spec))
            gate.drop("next.json", json.dumps({"name": "next", "command": "true"}))
            until(lambda: gone(worker), "its worker is ended")
            until(lambda: "cannot be killed: process" in problems(gate), "what is left is named", 60)
            assert "it waits for a device or a file system" in problems(gate)
            assert (gate.job("hangs") or {})["state"] == "running"
            assert (gate.job("next") or {})["state"] == "queued", "it counts"
            begin = time.monotonic()
            for _ in range(3):
                gate.signal(signal.SIGTERM)
                until(lambda: not gate.status()["ready"], "it stops")
            assert gate.wait(60) == 0
            assert time.monotonic() - begin < 60
            gate.launch()
            until(lambda: gate.status().get("workers"), "the next daemon is there")
            assert (gate.job("hangs") or {})["state"] == "running"
        gate.until_over(2)
        until(lambda: gate.status()["ready"], "all is well again")


def test_a_worker_of_an_earlier_version(make_impatient: MakeGate) -> None:
    """It is not asked what it does not know, and is ended when it has not ended its attempt long after it should."""
    gate = make_impatient("workers: 1\n", start=False)
    launch_without_workers(gate)
    worker = OldWorker(gate)
    try:
        worker.say(hello=WORKER["hello"]["idle"])
        gate.drop("stays.json", json.dumps({"name": "stays", "command": "true", "kill_after": "100ms"}))
        worker.hear("run")
        end = time.monotonic() + 2 * QUICK
        while time.monotonic() < end:
            assert gate.status()["workers"] and worker.process.poll() is None
            time.sleep(0.1)
        gate.call("Cancel", id=1)
        assert worker.hear("stop")["job"] == 1
        worker.hear("closed")
        assert [kind for message in worker.heard for kind in message] == ["run", "stop", "closed"]
        until(lambda: "it is ended" in gate.log(), "that is said")
        assert (gate.job("stays") or {})["state"] == "running", "until somebody has seen to it that nothing is left"
    finally:
        worker.leave()
