"""A worker and a daemon of different versions, by the record of what the first version of the protocol is.

Today's daemon serves a worker that says what was said then, and says all that such a worker goes by; and the same for
today's worker. Whoever has to change the record has to change the protocol's number as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Any

import pytest

from taskgated.core.job import Output, Spec
from taskgated.host.clock import MICROSECONDS, boottime
from taskgated.protocol.channel import Message
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until
from tests.env.worker import Env, WorkerPeer, proof, python

RECORDED = json.loads((REPOSITORY / "tests" / "recorded" / "protocol-1.json").read_text())
WORKER, DAEMON = RECORDED["worker"], RECORDED["daemon"]
PATIENCE = 30.0


def lacks(said: Any, recorded: Any, where: str = "") -> list[str]:
    """What was recorded and is not said any more, or as another of JSON's types."""
    if isinstance(said, dict) and isinstance(recorded, dict):
        gone = [f"{where}.{key} is gone" for key in recorded if key not in said]
        both = [key for key in recorded if key in said]
        return gone + [text for key in both for text in lacks(said[key], recorded[key], f"{where}.{key}")]
    if isinstance(said, list) and isinstance(recorded, list):
        return [text for one in said for text in lacks(one, recorded[0], f"{where}[]")]
    same = type(said) is type(recorded) or (type(said), type(recorded)) == (int, float)
    return [] if same else [f"{where} is {said!r}, it was {recorded!r}"]


def test_what_is_not_said_any_more_is_found() -> None:
    said = {"job": 1, "spec": {"codes": [0, "x"], "new": 1}, "grace": 0, "done": True}
    assert lacks(said, {"job": 2, "spec": {"codes": [1]}, "grace": 0.5}) == [".spec.codes[] is 'x', it was 1"]
    assert lacks(said, {"log": "x", "spec": {"env": {}}}) == [".log is gone", ".spec.env is gone"]
    assert lacks(said, {"grace": None}) == [".grace is 0, it was None"]
    assert lacks(said, {"done": 1}) == [".done is True, it was 1"]


# -- today's daemon, a worker of then ------------------------------------------------------------

# A process of its own, for the gate makes sure that nothing is left of a worker that is gone.
OLD_WORKER = """
import json, sys, threading
from pathlib import Path
from taskgated.host.processes import ProcessId
from taskgated.protocol.sockets import connect
from taskgated.protocol.channel import encode
me = ProcessId.own()

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
    if kind == "hello":
        body |= {"pid": me.pid, "start": me.start, "boot": me.boot}
    sock.sendall(encode({kind: body}))
"""


class OldWorker:
    """Says what a worker of an earlier version said, from the record of it."""

    def __init__(self, gate: GateEnv) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OLD_WORKER],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        self._gate = gate
        self.heard: list[Message] = []
        self.reconnect()

    def reconnect(self) -> None:
        self.say(connect={"path": str(self._gate.layout.worker_socket)})

    def say(self, **message: Message) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def report(self, kind: str, run: Message) -> None:
        """That attempt ended so."""
        self.say(outcome={**WORKER["outcome"][kind], "job": run["job"], "attempt": run["attempt"]})

    def hear(self, kind: str) -> Any:
        """Wait for the next message of that kind."""
        end = time.monotonic() + PATIENCE
        while select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            assert self.process.stdout is not None
            if not (line := self.process.stdout.readline()):
                break
            self.heard.append(json.loads(line))
            if kind in self.heard[-1]:
                return self.heard[-1][kind]
        raise AssertionError(f"the daemon never said {kind}, only {self.heard}\n{self._gate.log()}")

    def leave(self) -> None:
        self.process.kill()
        self.process.communicate()


Make = Callable[[GateEnv], OldWorker]


@pytest.fixture
def old_worker() -> Iterator[Make]:
    made: list[OldWorker] = []

    def make(gate: GateEnv) -> OldWorker:
        made.append(OldWorker(gate))
        return made[-1]

    yield make
    for worker in made:
        worker.leave()


def launch_without_workers(gate: GateEnv) -> None:
    """Start its daemon; none of its own workers ever says hello."""
    broken = gate.root / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys, time\nif 'taskgated.worker' in ' '.join(sys.orig_argv):\n"
        "    parent = os.getppid()\n    while os.getppid() == parent: time.sleep(0.05)\n    os._exit(3)\n"
    )
    gate.launch({"PYTHONPATH": f"{broken}:{REPOSITORY}"})
    until(gate.layout.worker_socket.exists, "it listens")


@pytest.fixture
def lonely(make_gate: Callable[..., GateEnv], tmp_path: Path) -> GateEnv:
    """A gate none of whose own workers ever says hello."""
    queues = "{etl: {limit: 1}, files: {handler: {command: [cat, '{file}']}}}"
    gate = make_gate(f"workers: 1\nqueues: {queues}\n", start=False)
    launch_without_workers(gate)
    until((gate.layout.spool / "files").is_dir, "there is a spool")
    return gate


def test_a_worker_of_an_earlier_version_reports_to_the_next_daemon(lonely: GateEnv, old_worker: Make) -> None:
    worker = old_worker(lonely)
    worker.say(hello=WORKER["hello"]["idle"])
    lonely.drop("old.yaml", "name: old\ncommand: [echo, hi]\n")
    run = worker.hear("run")
    assert (run["job"], run["attempt"], run["spec"]["command"]) == (1, 1, ["echo", "hi"])
    lonely.kill()
    worker.hear("closed")
    lonely.start()  # the next version, with workers of its own
    job = lonely.job("old")
    assert job and (job["state"], job["attempt"]) == ("running", 1)
    worker.reconnect()
    worker.say(hello=WORKER["hello"]["busy"])
    assert lacks(worker.hear("quit"), DAEMON["quit"]["when idle"]) == []
    worker.report("succeeded", run)
    assert worker.hear("ack") == {"job": 1, "attempt": 1}
    (job,) = lonely.until_over(1)
    assert (job["state"], job["attempt"], job["exit_code"]) == ("succeeded", 1, 0)


def test_a_worker_of_an_earlier_version_is_stopped_at_a_deadline_that_it_does_not_know(
    lonely: GateEnv, old_worker: Make
) -> None:
    worker = old_worker(lonely)
    worker.say(hello=WORKER["hello"]["idle"])
    lonely.drop("old.yaml", "name: old\ncommand: [echo, hi]\ndeadline: 5s\nretry: {attempts: 9, not_on: [2]}\n")
    run = worker.hear("run")
    assert run["spec"].keys() == {"name", "command", "retry"} and run["spec"]["retry"] == {"attempts": 9}
    stop = worker.hear("stop")
    assert lacks(stop, DAEMON["stop"]["as the job says"]) == []
    assert not any("deadline" in message for message in worker.heard)
    worker.report("killed", run)
    worker.hear("ack")
    (job,) = lonely.until_over(1)
    assert (job["state"], job["attempt"], job["reason"]) == ("failed", 1, "deadline: it was not done in time")


def test_and_by_the_next_daemon_if_that_is_there_then(lonely: GateEnv, old_worker: Make) -> None:
    worker = old_worker(lonely)
    worker.say(hello=WORKER["hello"]["idle"])
    lonely.drop("old.yaml", "name: old\ncommand: [echo, hi]\ndeadline: 8s\n")
    run = worker.hear("run")
    lonely.kill()
    worker.hear("closed")
    lonely.start()
    worker.reconnect()
    worker.say(hello=WORKER["hello"]["busy"])
    worker.hear("stop")
    worker.report("killed", run)
    worker.hear("ack")
    (job,) = lonely.until_over(1)
    assert (job["state"], job["attempt"]) == ("failed", 1)


def test_one_that_knows_deadlines_is_told_by_each_daemon(lonely: GateEnv, old_worker: Make) -> None:
    """The first may have ended before it had said so."""
    worker = old_worker(lonely)
    worker.say(hello={**WORKER["hello"]["idle"], "features": ["deadlines"]})
    before = boottime()
    lonely.drop("new.yaml", "name: new\ncommand: [echo, hi]\ndeadline: 1h\n")
    run, told = worker.hear("run"), worker.hear("deadline")
    assert (told["job"], told["attempt"], told["result"]) == (run["job"], run["attempt"], "timed out")
    assert before < told["at"] - 3600 * MICROSECONDS < boottime()
    lonely.kill()
    worker.hear("closed")
    lonely.start()
    worker.reconnect()
    worker.say(hello={**WORKER["hello"]["busy"], "features": ["deadlines"]})
    assert worker.hear("deadline") == told
    worker.report("succeeded", run)
    worker.hear("ack")


def test_every_outcome_of_an_earlier_worker_is_taken(lonely: GateEnv, old_worker: Make) -> None:
    worker = old_worker(lonely)
    worker.say(hello=WORKER["hello"]["idle"])
    for kind, recorded in WORKER["outcome"].items():
        lonely.drop("a.yaml", f"name: {kind}\ncommand: 'true'\n")
        run = worker.hear("run")
        worker.report(kind, run)
        assert lacks(worker.hear("ack"), DAEMON["ack"]["of one"]) == []
        if kind == "killed":  # it is put back, and comes again
            again = worker.hear("run")
            assert (again["job"], again["attempt"]) == (run["job"], 2)
            worker.report("succeeded", again)
            worker.hear("ack")
        shown = lonely.call("Show", id=run["job"])
        assert shown["job"]["state"] == ("succeeded" if kind in ("succeeded", "killed", "cut") else "failed")
        kept = shown["attempts"][0]
        for key in recorded.keys() - {"job", "attempt", "result", "started", "finished"}:
            assert kept[key] == recorded[key], (kind, key)
        assert kept["result"] == recorded["result"]


def test_a_late_report_changes_nothing(gate: GateEnv, old_worker: Make) -> None:
    """An attempt that nobody counts on any more: its outcome is acknowledged, and that is all."""
    gate.drop("twice.yaml", "name: twice\ncommand: exit $TASKGATE_ATTEMPT\nretry: {attempts: 2, delay: 10ms}\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"], job["exit_code"]) == ("failed", 2, 2)
    worker = old_worker(gate)
    worker.say(hello=WORKER["hello"]["busy"])
    worker.say(outcome=WORKER["outcome"]["succeeded"])
    assert worker.hear("stop") == {"job": 1, "attempt": 1, "grace": 0} == DAEMON["stop"]["at once"]
    assert worker.hear("ack") == {"job": 1, "attempt": 1}
    assert gate.job("twice") == job


def test_a_worker_of_a_later_protocol_is_not_misunderstood(gate: GateEnv, old_worker: Make) -> None:
    worker = old_worker(gate)
    worker.say(hello={**WORKER["hello"]["idle"], "protocol": 99})
    worker.hear("closed")


# What makes a daemon say the runs of the record: file, queue, text.
FILES = {
    "argv": ("argv.yaml", "", "name: argv\ncommand: [echo, hi]\n"),
    "shell": ("shell.yaml", "", "name: shell\ncommand: echo hi\n"),
    "script": ("script", "", "#!/bin/sh\necho hi\n"),
    "file": ("file", "files", "hi\n"),
    "delayed": ("delayed.yaml", "", "name: delayed\ncommand: [echo, hi]\ndelay: 10ms\n"),
    "everything": (
        "everything.yaml",
        "etl",
        """
        name: everything
        command: [echo, hi]
        env: {A: b}
        cwd: /tmp
        priority: 60
        timeout: 1h
        kill_after: 5s
        retry: {attempts: 3, delay: 1s, factor: 3, max_delay: 1min, jitter: 0.5}
        success_exit_codes: [0, 3]
        not_before: 2020-01-01T00:00:00Z
        expires: 1d
        interrupted: fail
        output: {max_size: 1M}
        """,
    ),
}


def test_what_the_daemon_says_to_an_earlier_worker(lonely: GateEnv, old_worker: Make) -> None:
    assert FILES.keys() == DAEMON["run"].keys()
    worker = old_worker(lonely)
    worker.say(hello=WORKER["hello"]["idle"])
    for kind, recorded in DAEMON["run"].items():
        name, queue, text = FILES[kind]
        lonely.drop(name, text, queue)
        run = worker.hear("run")
        assert lacks(run, recorded) == [], kind
        assert run["spec"].keys() <= recorded["spec"].keys(), f"{kind}: a key that is not known makes the job fail"
        worker.report("succeeded", run)
        assert lacks(worker.hear("ack"), DAEMON["ack"]["of one"]) == []
    lonely.drop("long.yaml", "name: long\ncommand: sleep 1000\n")
    run = worker.hear("run")
    lonely.call("Cancel", id=run["job"])
    assert lacks(worker.hear("stop"), DAEMON["stop"]["as the job says"]) == []
    worker.report("killed", run)
    assert lacks(worker.hear("ack"), DAEMON["ack"]["of one"]) == []
    assert lonely.call("Show", id=run["job"])["job"]["state"] == "cancelled"


# -- today's worker, a daemon of then ------------------------------------------------------------


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Env]:
    yield from proof(tmp_path)


@pytest.fixture
def worker(env: Env) -> WorkerPeer:
    return env.worker()


def lacks_of_hello(said: Message, recorded: Message) -> list[str]:
    """Whether there is a control group depends on the host."""
    groups = {type(hello["cgroup"]) for hello in WORKER["hello"].values()}
    assert type(said["cgroup"]) in groups
    return lacks(said, {**recorded, "cgroup": said["cgroup"]})


def test_what_a_worker_says_of_itself(env: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    assert lacks_of_hello(worker.hello, WORKER["hello"]["idle"]) == []
    worker.start(Spec(command=f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"))
    worker.drop()
    back = env.accept()
    assert lacks_of_hello(back.hello, WORKER["hello"]["busy"]) == []
    (tmp_path / "go").touch()
    back.outcome()


# Some of both kinds of time, for none is not said.
BUSY = python("import os\nwhile min(os.times()[:2]) < 0.05: sum(range(999)); os.listdir('/')\nprint('ok')")
ENDS = {
    "succeeded": Spec(command=BUSY).to_json(),
    "failed": {"command": "exit 3"},
    "crashed": {"command": "ulimit -c 0; kill -SEGV $$"},
    "timed out": {"command": "sleep 1000", "timeout": 0.1},
    "killed": {"command": "sleep 1000"},
    "not started": {"command": ["/nothing/is/here"]},
    "not understood": {"command": "true", "from": "the future"},
    "cut": Spec(command="head -c 300000 /dev/zero", output=Output(max_size=65536)).to_json(),
}


@pytest.mark.parametrize("kind", WORKER["outcome"])
def test_what_a_worker_says_of_an_end(env: Env, worker: WorkerPeer, kind: str) -> None:
    worker.say(run={"job": 1, "attempt": 1, "spec": ENDS[kind], "log": str(env.log())})
    if kind == "killed":
        worker.say(stop=DAEMON["stop"]["at once"])
    outcome = worker.expect("outcome")
    worker.say(ack=DAEMON["ack"]["of one"])
    recorded = WORKER["outcome"][kind]
    assert lacks(outcome, recorded) == []
    for key in recorded.keys() & {"job", "attempt", "result", "exit_code"}:
        assert outcome[key] == recorded[key]


@pytest.mark.parametrize("kind", DAEMON["run"])
def test_a_worker_obeys_an_earlier_daemon(env: Env, worker: WorkerPeer, kind: str) -> None:
    """Run, and leave when the outcome is acknowledged, but not before."""
    worker.say(run={**DAEMON["run"][kind], "log": str(env.log())})
    outcome = worker.expect("outcome")
    assert (outcome["job"], outcome["attempt"], outcome["result"], outcome["exit_code"]) == (1, 1, "succeeded", 0)
    assert env.output() == (Path("/etc/passwd").read_bytes() if kind == "file" else b"hi\n")
    worker.say(quit=DAEMON["quit"]["when idle"])
    time.sleep(0.2)
    assert worker.id.alive()
    worker.say(ack=DAEMON["ack"]["of one"])
    assert env.server.expect("exited")["status"] == 0
    assert not env.layout.outcomes.exists() or list(env.layout.outcomes.iterdir()) == []


@pytest.mark.parametrize("kind", DAEMON["stop"])
def test_a_worker_stops_for_an_earlier_daemon(env: Env, worker: WorkerPeer, tmp_path: Path, kind: str) -> None:
    ready = tmp_path / "ready"
    stubborn = f"trap '' TERM; touch {ready}; while :; do sleep 1000; done"
    worker.start(Spec(command=stubborn, kill_after=0.2))
    until(ready.exists, "the job runs")
    worker.say(stop=DAEMON["stop"][kind])
    outcome = worker.expect("outcome")
    assert (outcome["result"], outcome["signal"]) == ("killed", 9)
    worker.say(ack=DAEMON["ack"]["of one"])
