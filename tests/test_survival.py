"""Running jobs survive the daemon: a stop that leaves them, a restart, an upgrade with workers of another version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gate_env import REPOSITORY, GateEnv, until
from taskgated import notify
from taskgated.wire import Message

MakeGate = Callable[..., GateEnv]
RECORDED = json.loads((Path(__file__).parent / "recorded" / "protocol-1.json").read_text())


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
        assert kinds == ["workers"]
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
        monkeypatch.setattr(notify, "_own_unit", lambda: ("taskgated.service", False))
        return notify.Systemd().restarting()

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
        monkeypatch.setattr(notify, "ASKING", 0.1)
        assert not self.answers(tmp_path, monkeypatch, "exec sleep 100")

    def test_no_manager(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        assert not notify.Systemd().restarting()


# A process of its own, for the gate makes sure that nothing is left of a worker that is gone.
OLD_WORKER = """
import json, sys, threading
from pathlib import Path
from taskgated.clock import ProcessId
from taskgated.sockets import connect
from taskgated.wire import encode
me = ProcessId.own()
known = {"PID": me.pid, "START": me.start, "BOOT": me.boot}

def listen(sock):
    rest = b""
    while data := sock.recv(65536):
        *frames, rest = (rest + data).split(b"\\0")
        for frame in frames:
            print(frame.decode(), flush=True)
    print('{"closed": {}}', flush=True)

for line in sys.stdin:
    (kind, body), = json.loads(line).items()
    if kind == "connect":
        sock = connect(Path(body["path"]))
        threading.Thread(target=listen, args=(sock,), daemon=True).start()
        continue
    sock.sendall(encode({kind: {k: known.get(v, v) if isinstance(v, str) else v for k, v in body.items()}}))
"""


class OldWorker:
    """Says what a worker of an earlier version said, from the record of it."""

    def __init__(self, gate: GateEnv) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OLD_WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        self.reconnect(gate)

    def reconnect(self, gate: GateEnv) -> None:
        self.say({"connect": {"path": str(gate.layout.worker_socket)}})

    def say(self, message: Message) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def hear(self, kind: str) -> Any:
        """Wait for the next message of that kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if kind in (message := json.loads(line)):
                return message[kind]
        raise AssertionError(f"the daemon never said {kind}")

    def leave(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def old_worker() -> Iterator[Callable[[GateEnv], OldWorker]]:
    made: list[OldWorker] = []

    def make(gate: GateEnv) -> OldWorker:
        made.append(OldWorker(gate))
        return made[-1]

    yield make
    for worker in made:
        worker.leave()


@pytest.fixture
def lonely(make_gate: MakeGate, tmp_path: Path) -> GateEnv:
    """A gate none of whose own workers ever says hello."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys, time\nif 'taskgated.worker' in ' '.join(sys.orig_argv):\n"
        "    parent = os.getppid()\n    while os.getppid() == parent: time.sleep(0.05)\n    os._exit(3)\n"
    )
    gate = make_gate("workers: 1\n", start=False)
    gate.launch({"PYTHONPATH": f"{broken}:{REPOSITORY}"})
    until(gate.layout.worker_socket.exists, "it listens")
    return gate


Make = Callable[[GateEnv], OldWorker]


def test_a_worker_of_an_earlier_version_reports_to_the_next_daemon(lonely: GateEnv, old_worker: Make) -> None:
    worker = old_worker(lonely)
    worker.say(RECORDED["idle"][0])
    lonely.drop("old.yaml", "name: old\ncommand: [echo, hi]\n")
    run = worker.hear("run")
    assert (run["job"], run["attempt"], run["spec"]["command"]) == (1, 1, ["echo", "hi"])
    lonely.kill()
    worker.hear("closed")
    lonely.start()  # the next version, with workers of its own
    job = lonely.job("old")
    assert job and (job["state"], job["attempt"]) == ("running", 1)
    worker.reconnect(lonely)
    for message in RECORDED["busy"]:
        worker.say(message)
    assert worker.hear("ack") == {"job": 1, "attempt": 1}
    (job,) = lonely.until_over(1)
    assert (job["state"], job["attempt"], job["exit_code"]) == ("succeeded", 1, 0)


def test_a_late_report_changes_nothing(gate: GateEnv, old_worker: Make) -> None:
    """An attempt that nobody counts on any more: its outcome is acknowledged, and that is all."""
    gate.drop("twice.yaml", "name: twice\ncommand: exit $TASKGATE_ATTEMPT\nretry: {attempts: 2, delay: 10ms}\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"], job["exit_code"]) == ("failed", 2, 2)
    worker = old_worker(gate)
    for message in RECORDED["busy"]:
        worker.say(message)
    assert worker.hear("stop") == {"job": 1, "attempt": 1, "grace": 0}
    assert worker.hear("ack") == {"job": 1, "attempt": 1}
    assert gate.job("twice") == job


def test_a_worker_of_a_later_protocol_is_not_misunderstood(gate: GateEnv, old_worker: Make) -> None:
    worker = old_worker(gate)
    worker.say({"hello": {**RECORDED["idle"][0]["hello"], "protocol": 99}})
    worker.hear("closed")
