"""Connections that end at a bad moment, or never come about: of the daemon to its workers, and of others to it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from taskgated.core.attempts import Finish
from taskgated.core.capacity import Policy
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.state import State
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.dispatch import Dispatch
from taskgated.daemon.roster import Roster, Worker
from taskgated.daemon.supervise import Supervisor
from taskgated.daemon.workforce import Workforce
from taskgated.errors import MessageTooLong
from taskgated.host.journal import Journal
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop
from taskgated.host.processes import ProcessId
from taskgated.protocol import channel as wire
from taskgated.protocol.channel import encode
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed
from taskgated.store.sqlite.store import SqliteStore
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
HOOK = """\
import os, socket, sys
worker = "taskgated.worker" in sys.orig_argv
if worker or "taskgated" in sys.orig_argv:
    send = socket.socket.send
    def failing(sock, data, *flags):
        name = os.environ["FAIL"] + ".worker" * worker
        try:
            number, times, word = open(name).read().split()
        except FileNotFoundError:
            return send(sock, data, *flags)
        if word.encode() in data:
            if times == "1":
                os.unlink(name)
            else:
                with open(f"{name}.{os.getpid()}", "w") as file:
                    file.write(f"{number} {int(times) - 1} {word}")
                os.rename(file.name, name)
            raise OSError(int(number), os.strerror(int(number)))
        return send(sock, data, *flags)
    socket.socket.send = failing
"""


class Sends:
    """Those of the daemon, or of its workers, that have a word in them fail, so many times."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "sitecustomize.py").write_text(HOOK)
        self._flag = directory / "fail"
        self.env = {"PYTHONPATH": f"{directory}:{REPOSITORY}", "FAIL": str(self._flag)}

    def fail(self, number: int, word: str, times: int = 1, whose: str = "") -> None:
        self._flag.with_suffix(".new").write_text(f"{number} {times} {word}")
        self._flag.with_suffix(".new").rename(self._flag.with_suffix(whose))

    def failed(self, whose: str = "") -> bool:
        return not self._flag.with_suffix(whose).exists()


@pytest.fixture
def sends(tmp_path: Path) -> Sends:
    return Sends(tmp_path / "hook")


def test_a_worker_that_is_killed_while_it_is_handed_a_large_script(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    worker = gate.status()["workers"][0]["pid"]
    os.kill(worker, signal.SIGSTOP)
    gate.drop("large", f"#!/bin/sh\nexit 0\n# {'x' * 900_000}\n")
    gate.until_running("large")
    until(lambda: "started on worker" in gate.log(), "it has been handed over, as far as the socket took it")
    os.kill(worker, signal.SIGKILL)
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    assert gate.process is not None and gate.process.poll() is None


@pytest.mark.parametrize(("number", "attempt"), [(errno.EPIPE, 2), (errno.EIO, 2), (errno.ENOBUFS, 1)])
def test_an_attempt_that_cannot_be_sent(make_gate: MakeGate, sends: Sends, number: int, attempt: int) -> None:
    """The worker is gone, for all that is known of it; or the kernel has no memory for a moment."""
    gate = make_gate("workers: 1\n", start=False)
    gate.start(sends.env)
    sends.fail(number, '"run"', times=3 if attempt == 1 else 1)
    gate.drop("a.yaml", "command: exit 0\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", attempt)
    assert sends.failed()


@pytest.mark.parametrize("word", ['"outcome"', '"forked"', '"hello"'])
def test_a_worker_that_has_no_memory_to_say_something(make_gate: MakeGate, sends: Sends, word: str) -> None:
    """It, or the server, says it a moment later."""
    gate = make_gate("workers: 1\n", start=False)
    sends.fail(errno.ENOBUFS, word, times=3, whose=".worker")
    gate.start(sends.env)
    gate.drop("a.yaml", "command: exit 0\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    until(lambda: sends.failed(".worker"), "it has been tried often enough")
    assert "died" not in gate.log()


def test_an_acknowledgement_that_cannot_be_sent(make_gate: MakeGate, sends: Sends) -> None:
    gate = make_gate("workers: 1\n", start=False)
    gate.start(sends.env)
    sends.fail(errno.EPIPE, '"ack"')
    gate.drop("a.yaml", "command: exit 0\n")
    assert gate.until_over(1)[0]["attempt"] == 1
    gate.drop("b.yaml", "command: exit 0\n")
    assert [job["attempt"] for job in gate.until_over(2)] == [1, 1]
    until(lambda: not list(gate.layout.outcomes.iterdir()), "nothing is left of what the worker put down")


def test_a_worker_server_that_cannot_be_told(make_gate: MakeGate, sends: Sends) -> None:
    """It is replaced, and the burial that it should do is done by the next one."""
    gate = make_gate("workers: 2\n", start=False)
    gate.start(sends.env)
    server = gate.server()
    gate.drop("a.yaml", "name: a\ncommand: '[ $TASKGATE_ATTEMPT = 2 ] || exec sleep 1000'\n")
    gate.until_running("a")
    busy = next(worker["pid"] for worker in gate.status()["workers"] if worker["job"])
    sends.fail(errno.EPIPE, '"bury"')
    os.kill(busy, signal.SIGKILL)
    assert gate.until_over(1)[0]["attempt"] == 2
    assert sends.failed()
    until(lambda: gate.status()["ready"] and len(gate.status()["workers"]) == 2, "all workers are there")
    assert gate.server() != server


def test_what_no_worker_would_take_is_refused(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\nmax_file_size: 64M\n")
    large = "x" * 15 * 1024**2
    gate.drop("script", f"#!/bin/sh\n# {large}\n")
    gate.drop("spec.yaml", f"- command: exit 0\n- script: |\n    # {large}\n")
    gate.drop("fits", f"#!/bin/sh\nexit 0\n# {large[:-100_000]}\n")
    (job,) = gate.until_over(1)
    assert (job["name"], job["state"], job["attempt"]) == ("fits", "succeeded", 1)
    reasons = [gate.layout.rejected / f"{name}.reason" for name in ("script", "spec.yaml")]
    until(lambda: all(reason.exists() for reason in reasons), "the others are refused")
    for reason in reasons:
        assert "to be handed to its worker, and may take 15728640" in reason.read_text()
    large_file = gate.root / "script"
    large_file.write_text(f"#!/bin/sh\n# {large}\n")
    assert b"to be handed to its worker" in gate.ctl("check", str(large_file)).stdout


def test_what_was_taken_and_no_worker_would_take_fails(make_gate: MakeGate) -> None:
    """As an earlier version did."""
    gate = make_gate("workers: 1\n")
    gate.stop()
    store = SqliteStore(gate.layout.database)
    store.begin("", 1)
    store.add(
        [Addition(claimed("old"), 0, [Spec(script="#!/bin/sh\n" + "\1" * 3_000_000, name="old")], "old", "root", 0)]
    )
    store.commit()
    store.close()
    gate.start()
    gate.drop("a.yaml", "command: exit 0\n")
    old, new = gate.until_over(2)
    assert (old["state"], new["state"]) == ("failed", "succeeded")
    attempts = gate.call("Show", id=new["id"])["attempts"]
    assert len(attempts) == 1
    assert "job 1 (old, attempt 1): failed (cannot be handed to a worker: a message of" in gate.log()


def test_a_worker_that_dies_just_before_it_is_told_of_gets_nothing_more(tmp_path: Path) -> None:
    """That a job is too large for any worker is known a moment after the worker that was to have it is gone."""
    loop = Loop()
    gate = Gate(Policy(1, 2, {}), {}, lambda: 0.5)
    done: list[Action] = []
    conductor = create_autospec(Conductor, instance=True)
    conductor.untold = Listeners[Worker, Outcome]()
    conductor.do.side_effect = done.extend
    conductor.reported_again.return_value = False
    supervisor = create_autospec(Supervisor(loop, lambda: 1 / 0), instance=True)  # type: ignore[arg-type,return-value]
    roster = Roster(loop)
    workforce = Workforce(loop, gate, conductor, roster, supervisor, Journal(), 1)
    dispatch = Dispatch(loop, tmp_path / "sock", roster, workforce)
    with socket.socket(socket.AF_UNIX) as worker:
        worker.connect(str(tmp_path / "sock"))
        me = ProcessId.own().to_json()
        worker.sendall(encode({"hello": {"protocol": 1, "running": None, "cgroup": None, **me}}))
        while not gate.situation().idle:
            loop.turn()
    large = Spec(script="#!" + "x" * wire.LIMIT)
    gate.offered([Job(1, "default", 50, State.QUEUED, large), Job(2, "default", 50, State.QUEUED, Spec(command="x"))])
    gate.attempts.started(1)
    (known,) = roster.workers.values()
    with pytest.raises(MessageTooLong):
        roster.run(known, gate.attempts.courses()[0].job, "log", "")
    loop.after(0, lambda: conductor.untold.tell(known, Outcome(1, 1, Result.FAILED)))
    for _ in range(3):
        loop.post(lambda: None)  # no turn waits
        loop.turn()
    assert not roster.workers
    assert [type(action) for action in done] == [Finish]
    dispatch.close()
    loop.close()


class TestDoors:
    """Sockets that somebody takes away: the health check, ten seconds later at the latest, makes them again."""

    @pytest.mark.parametrize("other", [None, "socket", "file"])
    def test_a_socket_that_is_gone_is_made_again(self, make_gate: MakeGate, other: str | None) -> None:
        gate = make_gate("workers: 1\n")
        for path in (gate.layout.control_socket, gate.layout.worker_socket):
            path.unlink()
            if other == "socket":
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.bind(str(path))
            elif other == "file":
                path.touch()
        gate._until(lambda: gate.status()["ready"], "it can be asked again")
        until(lambda: gate.log().count("it has been made again") == 2, "both are made again, and told of")
        assert stat.S_IMODE(gate.layout.worker_socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(gate.layout.control_socket.stat().st_mode) == 0o660
        os.kill(gate.status()["workers"][0]["pid"], signal.SIGKILL)
        gate.drop("a.yaml", "command: exit 0\n")
        assert gate.until_over(1)[0]["state"] == "succeeded", "a new worker can come"

    def test_a_directory_that_is_gone_is_made_again(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        shutil.rmtree(gate.layout.run)
        gate._until(lambda: gate.status()["ready"], "it can be asked again")

    def test_what_cannot_be_made_again_is_told_once(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.layout.worker_socket.unlink()
        (gate.layout.worker_socket / "x").mkdir(parents=True)
        problem = f"{gate.layout.worker_socket} is gone, and cannot be made again: Is a directory"
        until(lambda: problem in gate.status()["problems"], "the status says so")
        (gate.layout.worker_socket / "x").rmdir()
        gate.layout.worker_socket.rmdir()
        until(lambda: not gate.status()["problems"], "it is made again")
        assert gate.log().count(problem) == 1

    def test_another_gates_socket_is_left_when_it_stops(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.layout.control_socket.unlink()
        gate.layout.control_socket.touch()
        gate.stop()
        assert gate.layout.control_socket.exists()
