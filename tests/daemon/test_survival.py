"""Running jobs survive the daemon: a stop that leaves them, a restart, and what the next daemon finds of them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskgated.host import systemd
from taskgated.host.clock import boot_id
from taskgated.host.processes import ProcessId, start_time
from tests.env import gate as gate_env
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def drop_waiting(gate: GateEnv, name: str) -> Path:
    """A job that runs until a file appears; returns the file."""
    go = gate.scratch / f"{name}.go"
    record = gate.scratch / name
    script = f"echo start >>{record}; until test -e {go}; do sleep 0.05; done; echo end >>{record}"
    gate.drop(f"{name}.yaml", json.dumps({"name": name, "command": script}))
    until(lambda: gate.lines(name), f"{name} runs")
    return go


class TestStop:
    def test_leave(self, make_gate: MakeGate) -> None:
        """The daemon goes at once; the job ends while nobody is there; the next daemon hears of it."""
        gate = make_gate("workers: 2\non_stop: leave\n")
        go = drop_waiting(gate, "left")
        drop_waiting(gate, "longer")
        assert gate.stop() == 0
        assert gate.lines("left") == ["start"]
        go.touch()
        until(lambda: gate.lines("left") == ["start", "end"], "it ends by itself")
        until(lambda: list(gate.layout.outcomes.glob("*.json")), "its outcome is kept")
        gate.start()
        job = gate.job("left")
        assert job and (job["state"], job["attempt"]) == ("succeeded", 1)
        longer = gate.job("longer")
        assert longer and (longer["state"], longer["attempt"]) == ("running", 1)
        (gate.scratch / "longer.go").touch()
        assert [j["attempt"] for j in gate.until_over(2)] == [1, 1]
        assert not list(gate.layout.outcomes.iterdir())

    def test_the_limit_holds_over_it(self, make_gate: MakeGate) -> None:
        """What runs from before is counted, though new workers are there."""
        gate = make_gate("workers: 2\non_stop: leave\n")
        gos = [drop_waiting(gate, "one"), drop_waiting(gate, "two")]
        gate.stop()
        gate.start()
        gate.drop("three.yaml", "name: three\ncommand: 'true'\n")
        until(lambda: gate.job("three"), "it is taken in")
        until(lambda: sum(w["state"] == "idle" for w in gate.status()["workers"]) == 2, "two new workers are idle")
        three = gate.job("three")
        assert three and three["state"] == "queued"
        kinds = [reason["kind"] for reason in gate.call("Show", id=three["id"])["waits_for"]]
        assert kinds == ["limit"]
        for go in gos:
            go.touch()
        assert {job["state"] for job in gate.until_over(3)} == {"succeeded"}

    def test_wait(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\non_stop: wait\nstop_timeout: 100ms\n")
        go = drop_waiting(gate, "waited")
        gate.signal(signal.SIGTERM)
        until(lambda: "stopping" in gate.status().get("text", ""), "it is stopping")
        with pytest.raises(subprocess.TimeoutExpired):
            gate.wait(1.0)
        go.touch()
        assert gate.wait() == 0
        assert gate.lines("waited") == ["start", "end"]

    def test_requeue(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nstop_timeout: 100ms\n")
        go = drop_waiting(gate, "again")
        assert gate.stop() == 0
        go.touch()
        gate.start()
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)

    def test_what_may_not_run_twice_is_not_put_back_half_way(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nstop_timeout: 100ms\n")
        command = f"trap '' TERM; echo once >>{gate.scratch}/ran; sleep 60; sleep 60"
        spec = {"name": "once", "command": command, "interrupted": "fail", "kill_after": "100ms"}
        gate.drop("once.json", json.dumps(spec))
        until(lambda: gate.lines("ran"), "it runs")
        gate.drop("next.json", json.dumps({"name": "next", "command": "true", "interrupted": "fail"}))
        until(lambda: gate.job("next"), "it is taken in")
        assert gate.stop() == 0
        gate.start()
        once, other = gate.until_over(2)
        assert (once["state"], once["attempt"]) == ("failed", 1)
        assert once["reason"] == "interrupted, and its policy is to fail"
        assert (other["state"], other["attempt"]) == ("succeeded", 1)
        assert gate.lines("ran") == ["once"]

    def test_starts_under_way_are_not_left_half_done(self, make_gate: MakeGate) -> None:
        """Stopped in the middle of many short jobs, again and again: no attempt is counted as lost."""
        gate = make_gate("workers: 2\non_stop: leave\n")
        gate.drop("many.tasks", "true\n" * 400)
        for _ in range(4):
            until(lambda: gate.status()["counts"].get("running"), "some run")
            assert gate.stop() == 0
            gate.start()
        jobs = gate.until_over(400)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}


class TestManager:
    """Whether it is a restart is asked of systemd; the lab asks the real one."""

    def answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> bool:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
        monkeypatch.setattr(systemd, "_own_unit", lambda: ("taskgated.service", False))
        return systemd.Systemd().restarting()

    @pytest.mark.parametrize(
        ("script", "restarting"),
        [
            ("echo '77 taskgated.service restart running'", True),
            ("echo '77 taskgated.service stop running'", False),
            ("echo '77 other-taskgated.service restart running'", False),
            ("true", False),
            ("echo no bus >&2; exit 1", False),
        ],
    )
    def test_its_answers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, restarting: bool
    ) -> None:
        assert self.answers(tmp_path, monkeypatch, script) is restarting

    def test_one_that_hangs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(systemd, "ASKING", 0.1)
        assert not self.answers(tmp_path, monkeypatch, "exec sleep 100")

    def test_no_manager(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        assert not systemd.Systemd().restarting()


# -- what ran before, as the next daemon finds it ------------------------------------------------


def rewrite_worker(gate: GateEnv, **changes: Any) -> None:
    """Say something else of the worker of the only attempt under way, while no daemon runs."""
    with closing(sqlite3.connect(gate.layout.database)) as db, db:
        ((worker,),) = db.execute("SELECT worker FROM attempts WHERE finished IS NULL")
        db.execute(
            "UPDATE attempts SET worker = ? WHERE finished IS NULL", [json.dumps(json.loads(worker) | changes)]
        )


def attempts(gate: GateEnv, name: str) -> list[tuple[str, str]]:
    """How each attempt of a job ended, and why."""
    job = gate.job(name)
    assert job is not None
    return [(a["result"], a["message"]) for a in gate.call("Show", id=job["id"])["attempts"]]


@pytest.fixture
def stranger() -> Iterator[ProcessId]:
    """A process that has nothing to do with any gate."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        start = start_time(process.pid)
        assert start is not None
        yield ProcessId(process.pid, start, boot_id())
        process.kill()


class TestRecovery:
    @pytest.fixture
    def left(self, make_gate: MakeGate) -> GateEnv:
        """A gate that was killed with everything of it, while its only worker ran a job."""
        gate = make_gate("workers: 1\n")
        go = drop_waiting(gate, "job")
        gate.kill_all()
        go.touch()  # the next attempt will not wait
        return gate

    def test_the_host_went_down(self, left: GateEnv, stranger: ProcessId) -> None:
        """Nothing outlives a boot: whoever bears the worker's names now is somebody else."""
        rewrite_worker(left, pid=stranger.pid, start=stranger.start, boot="of yesterday")
        left.start()
        (job,) = left.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert attempts(left, "job") == [("lost", "the host went down"), ("succeeded", "")]
        assert stranger.alive()

    def test_its_pid_is_anothers_now(self, left: GateEnv, stranger: ProcessId) -> None:
        """Then the worker is dead, and that is known at once."""
        rewrite_worker(left, pid=stranger.pid, start=stranger.start - 1)
        left.start()
        (job,) = left.until_over(1, 20.0)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert attempts(left, "job") == [("lost", "its worker died"), ("succeeded", "")]
        assert stranger.alive()

    def test_a_stranger_is_waited_for_if_nothing_tells_them_apart(self, left: GateEnv, stranger: ProcessId) -> None:
        """So it is the boot and the start time alone that tell, in the tests before."""
        rewrite_worker(left, pid=stranger.pid, start=stranger.start)
        left.start()
        stays_running(left, "job", 1)
        os.kill(stranger.pid, signal.SIGKILL)
        (job,) = left.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)

    @pytest.mark.parametrize("ends", [False, True], ids=["goes-on", "dies"])
    def test_a_worker_that_does_not_answer(self, make_gate: MakeGate, ends: bool) -> None:
        """No daemon gives it up for its silence: as long as it lives its job may run. Only its death counts."""
        gate = make_gate("workers: 1\n")
        go = drop_waiting(gate, "silent")
        (worker,) = (w["pid"] for w in gate.status()["workers"] if w["job"] is not None)
        os.kill(worker, signal.SIGSTOP)
        for _ in range(2):
            gate.kill()
            gate.start()
            until(lambda: any(w["state"] == "idle" for w in gate.status()["workers"]), "a new worker is idle")
            if not gate.job("next"):
                gate.drop("next.yaml", "name: next\ncommand: 'true'\n")
                until(lambda: gate.job("next"), "it is taken in")
            stays_running(gate, "silent", 2)
            following = gate.job("next")
            assert following and following["state"] == "queued"
            kinds = [reason["kind"] for reason in gate.call("Show", id=following["id"])["waits_for"]]
            assert kinds == ["limit"]
        assert gate.lines("silent") == ["start"]
        go.touch()
        if ends:
            os.kill(worker, signal.SIGKILL)
        else:
            os.kill(worker, signal.SIGCONT)
        jobs = {job["name"]: (job["state"], job["attempt"]) for job in gate.until_over(2)}
        assert jobs == {"silent": ("succeeded", 2 if ends else 1), "next": ("succeeded", 1)}


def stays_running(gate: GateEnv, name: str, seconds: float) -> None:
    """It is in its first attempt, and remains so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = gate.job(name)
        assert job and (job["state"], job["attempt"]) == ("running", 1), job
        time.sleep(0.1)


# -- what these tests stand on -------------------------------------------------------------------


SAVES = "trap 'echo warned >>{log}; exit 0' USR1; echo began >>{log}; while :; do sleep 0.05; done"


class TestASignalAheadOfAStop:
    def drop(self, gate: GateEnv, name: str, before: str) -> Path:
        log = gate.scratch / name
        gate.drop(f"{name}.json", json.dumps({"command": SAVES.format(log=log), "warn": {"before": before}}))
        until(log.exists, f"{name} to run")
        return log

    def test_is_sent_before_the_jobs_are_ended(self, make_gate: MakeGate) -> None:
        """In time for one, and at once for the other, which wants it earlier than there is time."""
        gate = make_gate("workers: 2\nstop_timeout: 20s\n")
        soon, late = self.drop(gate, "soon", "1h"), self.drop(gate, "late", "17s")
        begun = time.monotonic()
        gate.signal(signal.SIGTERM)
        until(lambda: soon.read_text() == "began\nwarned\n", "the one")
        assert late.read_text() == "began\n" or time.monotonic() - begun >= 3
        until(lambda: late.read_text() == "began\nwarned\n", "the other")
        assert 3 <= time.monotonic() - begun < 20
        assert gate.wait() == 0

    def test_is_not_sent_by_a_stop_that_leaves_them_alone(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\non_stop: leave\n")
        log = self.drop(gate, "job", "1h")
        gate.stop()
        gate.start()
        assert log.read_text() == "began\n"
        gate.ctl("cancel", "1")
        gate.until_over(1)
        assert log.read_text() == "began\n"


class TestEnvironment:
    def test_a_daemon_that_hangs_is_not_taken_for_none(self, gate: GateEnv, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate_env, "ANSWER", 0.3)
        gate.signal(signal.SIGSTOP)
        with pytest.raises(gate_env.Hangs, match="no answer to Status"):
            gate.status()
        gate.signal(signal.SIGCONT)
        gate.kill()
        assert gate.status() == {"ready": False, "counts": {}, "workers": []}

    def test_nothing_is_left_of_a_gate_that_does_not_stop(self, make_gate: MakeGate) -> None:
        gate = make_gate()
        drop_waiting(gate, "job")
        gate.signal(signal.SIGSTOP)
        assert len(gate.processes()) >= 5  # daemon, server, two workers, a job
        with pytest.raises(AssertionError, match=r"(?s)does not stop.*left behind"):
            gate.clean_up(0.5)
        assert gate.processes() == {}

    def test_all_jobs_are_seen(self, gate: GateEnv) -> None:
        gate.drop("many.tasks", "true\n" * 1001)
        gate.until_over(1001)
        assert [job["id"] for job in gate.jobs()] == list(range(1, 1002))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_another_user_who_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate_env, "AS_USER", 0.3)
        with pytest.raises(gate_env.Hangs):
            gate_env.as_user(65534, lambda: time.sleep(100))
