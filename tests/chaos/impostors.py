"""Workers that are none, and people who may not: nobody ends, repeats or learns of what is not theirs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskgated.core.fixed import INTERFACE
from taskgated.ctl.client import CallError, Client
from taskgated.host.clock import boot_id
from taskgated.host.processes import ProcessId, start_time
from taskgated.protocol.sockets import connect
from tests import REPOSITORY
from tests.chaos import auditor
from tests.chaos.hostile_clients import anything, connections, sockets, tell
from tests.chaos.stage import PATIENCE, Stage
from tests.env.gate import as_user
from tests.env.until import until

NOBODY = 65534
CODE = 7
"""What the victim ends with: nobody would guess it."""
VICTIM = f"""
import os, sys, time
directory, name = sys.argv[1:]
record = os.open(f"{{directory}}/record", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
who = f"{{name}} {{os.environ['TASKGATE_ATTEMPT']}} {{os.getpid()}}"
def say(word):
    os.write(record, f"{{word}} {{who}} {{time.time_ns()}}\\n".encode())
say("start")
while not os.path.exists(f"{{directory}}/go"):
    time.sleep(0.02)
say("end")
sys.exit({CODE})
"""
IMPOSTOR = """
import json, sys
from pathlib import Path
from taskgated.host.processes import ProcessId
from taskgated.protocol.sockets import connect
own, socks = ProcessId.own(), []
for line in sys.stdin:
    socks.append(connect(Path(sys.argv[1])))
    for message in json.loads(line):
        if isinstance(message.get("hello"), dict):
            message["hello"] = {"pid": own.pid, "start": own.start, "boot": own.boot, **message["hello"]}
        try:
            socks[-1].sendall(json.dumps(message).encode() + b"\\0")
        except OSError:
            pass
    print(flush=True)
"""


class Victim:
    """A running job that ends by itself when it is let go; its own record says how often it began and ended."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.directory = stage.directory / name
        self.directory.mkdir()
        command = json.dumps([sys.executable, "-c", VICTIM, str(self.directory), name])
        stage.drop(f"{name}.yaml", f"name: {name}\ncommand: {command}\nretry: {{attempts: 1}}\n")
        self.id: int = stage.gate.until_running(name)["id"]
        until(self.words, "it has begun", PATIENCE)

    def words(self) -> list[str]:
        return [line.word for line in auditor.read(self.directory)]

    def untouched(self) -> None:
        now = self._stage.gate.call("Show", id=self.id)["job"]
        assert (now["state"], now["attempt"]) == ("running", 1), f"somebody has changed it: {now}"
        assert self.words() == ["start"]

    def release(self) -> None:
        (self.directory / "go").touch()

    def ends(self) -> None:
        """With its own exit code, and once."""
        self.untouched()
        self.release()
        seen: dict[str, Any] = self._stage.gate.call("Wait", ids=[self.id])["jobs"][0]
        assert (seen["state"], seen["attempt"], seen["exit_code"]) == ("failed", 1, CODE), f"it ended as {seen}"
        attempts = self._stage.gate.call("Show", id=self.id)["attempts"]
        assert [(attempt["number"], attempt["exit_code"]) for attempt in attempts] == [(1, CODE)]
        assert self.words() == ["start", "end"]


@contextmanager
def victim(stage: Stage, name: str) -> Iterator[Victim]:
    """A job that must outlive what is done to it."""
    made = Victim(stage, name)
    try:
        yield made
        made.ends()
    finally:
        made.release()


@contextmanager
def impostor(stage: Stage, *said: list[dict[str, Any]]) -> Iterator[int]:
    """A process that is no worker says these messages, each list on a connection of its own, and keeps them open.
    In a process of its own, because of a worker that goes nothing is left. Its pid."""
    command = [sys.executable, "-c", IMPOSTOR, str(stage.gate.layout.worker_socket)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            for messages in said:
                process.stdin.write(json.dumps(messages) + "\n")
                process.stdin.flush()
                assert select.select([process.stdout], [], [], PATIENCE)[0], "nobody listens to an impostor"
                process.stdout.readline()
            yield process.pid
        except BrokenPipeError:
            yield process.pid  # it has been buried already
        finally:
            process.kill()
            process.communicate()


def impostors(stage: Stage) -> None:
    """They know the protocol, and nobody gave them a job."""
    server = stage.gate.server()
    with victim(stage, "victim") as job:
        _name_another(stage)
        for said in _lies(stage, job.id):
            with impostor(stage, *said) as pid:
                for _ in range(2):  # a round of the daemon's each: it has read what was said
                    job.untouched()
            until(lambda pid=pid: pid not in workers(stage), "an impostor that is dead is gone")  # type: ignore[misc]
            job.untouched()
    assert stage.gate.server() == server, "the worker server has died"
    stage.honest()
    until(lambda: len(workers(stage)) == 2, "there are workers")


def workers(stage: Stage) -> list[int]:
    """Those that stay."""
    return [worker["pid"] for worker in stage.gate.status()["workers"] if worker["state"] != "leaving"]


def _name_another(stage: Stage) -> None:
    """In the name of a worker that there is, or of a process that had our pid before us, or in another boot."""
    own, worker = ProcessId.own(), ProcessId.of(stage.gate.status()["workers"][0]["pid"])
    assert worker is not None
    for claimed in (worker, replace(own, start=own.start - 1), replace(own, boot="another")):
        with connect(stage.gate.layout.worker_socket) as sock:
            tell(sock, json.dumps({"hello": {"protocol": 1, **claimed.to_json()}}).encode() + b"\0")
            sock.settimeout(PATIENCE)
            assert sock.recv(1) == b"", f"a hello in the name of another process is taken: {claimed}"


def _lies(stage: Stage, job: int) -> list[tuple[list[dict[str, Any]], ...]]:
    """What impostors say, each on so many connections."""
    hello: dict[str, Any] = {"hello": {"protocol": 1}}

    def outcome(**what: Any) -> dict[str, Any]:
        return {"outcome": {"job": job, "attempt": 1, "result": "succeeded", "exit_code": 0, **what}}

    group = "/nowhere/taskgate-worker-"
    numbers: tuple[Any, ...] = (None, float("inf"), 10**30, [], {}, "x")
    odd: dict[str, tuple[Any, ...]] = {
        "protocol": (0, 2, "1", None, []), "running": ({}, {"job": "x", "attempt": 1}, [], 7),
        "start": numbers, "boot": numbers, "pid": numbers,
        "cgroup": (7, [], "", "\0", group, f"{group}\0", f"{group}\ud800", group + "x" * 5000),
    }  # fmt: skip
    said: list[tuple[list[dict[str, Any]], ...]] = [
        ([hello, outcome()],),
        ([outcome(), hello],),
        ([hello, outcome(attempt=0), outcome(attempt=2), outcome(job=10**9), outcome(job=1), outcome(job=2**70)],),
        ([hello], [hello], [hello, outcome()]),
        ([hello, outcome(job="x"), hello],),
        ([hello, outcome(attempt=None)],),
        ([hello, outcome(started="x", finished=[], message={}, exit_code="", signal={}, max_rss=1.5)],),
        ([{"hello": {"protocol": 1, "running": {"job": job, "attempt": 1}}}],),
        ([{"hello": {"protocol": 1, "running": {"job": job, "attempt": 1}}}, outcome(), outcome(result="lost")],),
        *(([{"hello": {"protocol": 1, word: value}}],) for word, values in odd.items() for value in values),
    ]
    for _ in range(100 if stage.everything else 10):
        field = stage.random.choice(("job", "attempt", "result", "exit_code", "signal", "started", "user", "message"))
        said.append(([hello, outcome(**{field: anything(stage.random, 1)})],))
    return said


# -- another user ------------------------------------------------------------------------------------


def strangers(stage: Stage) -> None:
    """Another user: kept out by the modes of the sockets; and, if a mistake has been made with these, by what the
    kernel says of who connects. No worker then, and of others' jobs told no more than that they are there."""
    assert os.geteuid() == 0, "not tried: only root can become somebody else"
    with victim(stage, "ours") as job:
        for path in sockets(stage):
            assert as_user(NOBODY, lambda path=path: path.is_socket()), "it is the socket that refuses"  # type: ignore[misc]
            assert as_user(NOBODY, lambda path=path: connect(path).fileno()) == "PermissionError"  # type: ignore[misc]
        assert as_user(NOBODY, lambda: Client(stage.gate.layout.control_socket)) == "Unreachable"
        modes = {path: path.stat().st_mode & 0o777 for path in sockets(stage)}
        try:
            for path in modes:
                path.chmod(0o666)
            _ask(stage, job.id)
            _own(stage)
            _crowd_out(stage)
            _pretend(stage, job)
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        job.untouched()
    stage.honest()


def ask(path: Path, method: str, **parameters: Any) -> Any:
    """The answer, or the name of the error."""
    with Client(path) as client:
        try:
            return client.call(method, **parameters)
        except CallError as error:
            return error.kind


def _ask(stage: Stage, job: int) -> None:
    """Of jobs that are another's: what everybody may know, and no more."""
    control = stage.gate.layout.control_socket

    def stranger(method: str, **parameters: Any) -> Any:
        return as_user(NOBODY, lambda: ask(control, method, **parameters))

    over = stage.gate.jobs()[0]
    assert over["state"] == "succeeded"
    assert stranger("Status")["ready"]
    known = next(one for one in stranger("List")["jobs"] if one["id"] == job)
    assert known["owner"] == 0 and not known.keys() & {"spec", "command", "env", "script"}
    for number in (job, over["id"]):
        assert stranger("Show", id=number)["spec"] is None
        for method in ("Logs", "Cancel"):
            assert stranger(method, id=number) == "PermissionDenied", f"{method} of another's job"
    assert stranger("Wait", ids=[over["id"]])["jobs"][0] == over
    assert stranger("Reload") == "PermissionDenied"
    assert stranger("Cancel", id=10**9) == "NoSuchJob"

    def quietly() -> bool:
        """Without an answer to it, too."""
        with connect(control) as sock:
            cancel = {"method": f"{INTERFACE}.Cancel", "parameters": {"id": job}, "oneway": True}
            reload = {"method": f"{INTERFACE}.Reload", "oneway": True}
            status = {"method": f"{INTERFACE}.Status"}
            tell(sock, b"".join(json.dumps(call).encode() + b"\0" for call in (cancel, reload, status)))
            return b"parameters" in sock.recv(65536)

    assert as_user(NOBODY, quietly) is True


def _own(stage: Stage) -> None:
    """With a job of their own they may do all of it: so what is refused above is refused for the owner's sake."""
    staged = stage.gate.root / "staged"
    staged.write_text("name: theirs\ncommand: echo mine; exec sleep 100\n")
    os.chown(staged, NOBODY, NOBODY)
    staged.rename(stage.gate.layout.spool / "theirs.yaml")
    job = stage.gate.until_running("theirs")["id"]
    control = stage.gate.layout.control_socket
    assert as_user(NOBODY, lambda: ask(control, "Show", id=job))["spec"]
    until(lambda: as_user(NOBODY, lambda: ask(control, "Logs", id=job))["data"], "it is shown what it says")
    assert as_user(NOBODY, lambda: ask(control, "Cancel", id=job))["job"]["id"] == job
    until(lambda: stage.gate.call("Show", id=job)["job"]["state"] == "cancelled", "it is cancelled", PATIENCE)


def _crowd_out(stage: Stage) -> None:
    """Whoever holds all connections there may be loses them to others, who are answered, and to no one else."""
    control = stage.gate.layout.control_socket
    with Client(control) as ours:
        assert ours.call("Status")["ready"]
        with crowd(control, 200):
            for _ in range(20):
                assert stage.gate.call("Status")["ready"]
            assert ours.call("Status")["ready"], "a connection was lost to a stranger"


@contextmanager
def crowd(path: Path, number: int) -> Iterator[None]:
    """Another user has so many connections."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with connections(path, number):
                os.write(writer, b".")
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert select.select([reader], [], [], PATIENCE)[0] and os.read(reader, 1), "the crowd did not come"
        yield
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _pretend(stage: Stage, job: Victim) -> None:
    """To be a worker: hung up on, whatever they say or do not say."""
    path, worker = stage.gate.layout.worker_socket, workers(stage)[0]
    before = sorted(workers(stage))

    def answer(*said: dict[str, Any]) -> str:
        with connect(path) as sock:
            tell(sock, b"".join(json.dumps(message).encode() + b"\0" for message in said))
            return sock.recv(1).decode()

    def hello(pid: int) -> dict[str, Any]:
        return {"hello": {"protocol": 1, "pid": pid, "start": start_time(pid), "boot": boot_id()}}

    hello(worker)  # so that a process of somebody else need not import anything that it may not read
    outcome = {"outcome": {"job": job.id, "attempt": 1, "result": "succeeded", "exit_code": 0}}
    hung_up = ("", "ConnectionResetError")
    for _ in range(200):
        assert as_user(NOBODY, answer) in hung_up
    for _ in range(5):
        said = as_user(NOBODY, lambda: answer(hello(os.getpid()), outcome))
        assert said in hung_up, said
        assert as_user(NOBODY, lambda: answer(hello(worker), outcome)) in hung_up
    assert sorted(workers(stage)) == before, "a stranger is a worker"
