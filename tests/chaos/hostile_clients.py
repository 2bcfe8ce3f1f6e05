"""What hostile clients say on the sockets, or do not say. Each attack is a function of the stage it happens on."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from taskgated.core.fixed import INTERFACE
from taskgated.protocol.sockets import connect
from tests.chaos.stage import DESCRIPTORS, PATIENCE, Stage
from tests.env.until import until

SOON = 10.0
"""Seconds for the gate's status, whoever asks for what else; it takes some milliseconds, more on a busy machine."""


def sockets(stage: Stage) -> tuple[Path, Path]:
    return stage.gate.layout.control_socket, stage.gate.layout.worker_socket


@contextmanager
def connections(path: Path, number: int) -> Iterator[list[socket.socket]]:
    """So many at once; they may be closed by the other side as soon as they are there."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(path)) for _ in range(number)]


def connected(path: Path) -> socket.socket:
    """A connection, in time: who is too busy to accept is asked again."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(path, wait=False)
        except BlockingIOError:
            assert time.monotonic() < end, f"no connection to {path.name} in {PATIENCE} s"
            time.sleep(0.001)


def tell(sock: socket.socket, data: bytes) -> None:
    """Say something to somebody who may hang up."""
    sock.settimeout(PATIENCE)
    try:
        sock.sendall(data)
    except OSError:
        pass


def silent(stage: Stage) -> None:
    """They say nothing, or half of something, and stay. Whoever asks is answered all the same."""
    for path in sockets(stage):
        with connections(path, 70) as socks:
            for sock in socks[::2]:
                tell(sock, b'{"method": "io.taskgate.Gate.Sta')
            stage.honest()
            assert stage.gate.call("Status")["ready"]


def thousands(stage: Stage) -> None:
    """More connections than the daemon has descriptors, held at once: so it has fewer where we may not have many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(3000, hard - 200)
    few = min(DESCRIPTORS, number // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 200, hard))
    resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (few, DESCRIPTORS))
    try:
        for path in sockets(stage):
            with connections(path, number):
                stage.honest()
                assert stage.gate.call("Status")["ready"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def gigabyte(stage: Stage) -> None:
    """A message without an end."""
    for path in sockets(stage):
        with connect(path) as sock:
            sock.settimeout(PATIENCE)
            try:
                for _ in range(1024):
                    sock.sendall(b"x" * 1024**2)
            except ConnectionError:
                pass
            else:
                raise AssertionError(f"{path.name} takes a gigabyte")
        stage.honest()


def garbage(stage: Stage) -> None:
    """Bytes of all kinds."""
    pieces = [
        b"\0", b"\xff\xfe\0", b"[" * 100_000 + b"\0", b"{}\0" * 1000, b"null\0", b'{"method": []}\0',
        b"GET / HTTP/1.1\r\n\r\n\0", b'{"hello": 1}\0', b'{"hello": {"protocol": 1}}\0', b'{"outcome": {}}\0',
        b'"' * 70_000 + b"\0", b"9" * 5000 + b"\0",
    ]  # fmt: skip
    for path in sockets(stage):
        for piece in [*pieces, *(stage.random.randbytes(stage.random.randrange(1, 5000)) for _ in range(50))]:
            with connect(path) as sock:
                tell(sock, piece)
        stage.honest()


SCALARS = (
    None, True, -1, 0, 1, 2**63, 10**400, 1.5, float("inf"), "", "x", "\ud800", "running", "honest", "honest-0",
)  # fmt: skip


def anything(random_: random.Random, depth: int = 3) -> Any:
    """Some JSON value."""
    kind = random_.randrange(4 if depth else 2)
    if kind == 2:
        return [anything(random_, depth - 1) for _ in range(random_.randrange(4))]
    if kind == 3:
        return {random_.choice(("id", "ids", "x", "")): anything(random_, depth - 1) for _ in range(3)}
    return random_.choice(SCALARS)


METHODS = {
    "Status": (), "List": ("after", "limit", "states", "queues"), "Show": ("id",),
    "Logs": ("id", "attempt", "offset"), "Wait": ("ids",), "Cancel": ("id",), "Nothing": ("x",),
}  # fmt: skip


def some_call(random_: random.Random) -> Any:
    """Something like a call: parameters of any type, in a message that may be none."""
    method = random_.choice(list(METHODS))
    parameters = {name: anything(random_) for name in METHODS[method] if random_.random() < 0.8}
    message: dict[str, Any] = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
    message |= {word: anything(random_, 0) for word in ("more", "oneway") if random_.random() < 0.3}
    if random_.random() < 0.1:
        return random_.choice(({}, {"method": anything(random_)}, message | {"parameters": 1}))
    return message


def calls(stage: Stage) -> None:
    """Methods that exist, parameters of any type, many at once, also behind one that waits for its answer."""
    control = stage.gate.layout.control_socket
    for _ in range(1000 if stage.everything else 150):
        with connect(control) as sock:
            for _ in range(stage.random.randrange(1, 12)):
                tell(sock, json.dumps(some_call(stage.random)).encode() + b"\0")
    stage.drop("waited.yaml", "name: waited\ncommand: sleep 1\n", "honest")
    job = until(lambda: stage.gate.job("waited"), "it is taken in")
    assert job
    with connect(control) as sock:
        wait = {"method": f"{INTERFACE}.Wait", "parameters": {"ids": [job["id"]]}}
        tell(sock, json.dumps(wait).encode() + b"\0{}\0")
        odd: tuple[Any, ...] = ([], {}, 1)
        for name in odd:
            with connect(control) as other:
                ask = {"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": name}}
                tell(other, json.dumps(ask).encode() + b"\0")
        stage.honest()
        until(
            lambda: (stage.gate.job("waited") or job)["state"] == "succeeded", "what was waited for is over", PATIENCE
        )


def hung_up(stage: Stage) -> None:
    """They wait for five hundred jobs each, and leave; nobody remembers them."""
    stage.drop("parked.yaml", json.dumps([{"command": "true"}] * 500), "parked")
    parked = until(lambda: queued(stage, "parked", 500), "five hundred jobs are parked", PATIENCE)
    wait = {"method": f"{INTERFACE}.Wait", "parameters": {"ids": parked}}
    for _ in range(1000 if stage.everything else 50):
        with connections(stage.gate.layout.control_socket, 20) as socks:
            for sock in socks:
                tell(sock, json.dumps(wait).encode() + b"\0")
    stage.honest()
    for job in parked:
        stage.gate.call("Cancel", id=job)


def queued(stage: Stage, queue: str, number: int) -> list[int]:
    """The ids of so many queued jobs of a queue; none before they are all there."""
    found: list[int] = []
    page: dict[str, Any] = {"next": 0}
    while page["next"] is not None and len(found) < number:
        page = stage.gate.call("List", after=page["next"], queues=[queue], states=["queued"])
        found += [job["id"] for job in page["jobs"]]
    return found[:number] if len(found) >= number else []


def behind(stage: Stage) -> None:
    """Calls behind one that is not answered yet: long ones, and such as unfold when they are read."""
    stage.drop("late.yaml", "name: late\ncommand: 'true'\n", "parked")
    job = until(lambda: stage.gate.job("late"), "a job is parked", PATIENCE)
    assert job
    wait = {"method": f"{INTERFACE}.Wait", "parameters": {"ids": [job["id"]]}}
    long = b'{"method": "x", "parameters": {"x": [' + b"[[]]," * 25_000 + b"0]}}\0"
    with connections(stage.gate.layout.control_socket, 60 if stage.everything else 20) as socks:
        for sock in socks:
            tell(sock, json.dumps(wait).encode() + b"\0")
            for _ in range(40):
                tell(sock, long)
        stage.honest()
        assert stage.gate.call("Status")["ready"]
    stage.gate.call("Cancel", id=job["id"])


def broken_hand_over(stage: Stage) -> None:
    """A worker is killed while it is handed a script that is larger than its socket holds."""
    script = f"#!/bin/sh\nexit 0\n# {'x' * 900_000}\n"
    for number in range(10 if stage.everything else 3):
        idle = [worker["pid"] for worker in stage.gate.status()["workers"] if worker["state"] == "idle"]
        for pid in idle:
            os.kill(pid, signal.SIGSTOP)
        try:
            stage.drop(f"large{number}", script)
            _until_said(stage, f"(large{number}, attempt 1): started")
        finally:
            for pid in idle:
                os.kill(pid, signal.SIGKILL)
        _until_said(stage, f"(large{number}, attempt 2): succeeded")


def _until_said(stage: Stage, words: str) -> None:
    until(lambda: words in stage.gate.log(), f"it says: {words}", PATIENCE)


def removed_sockets(stage: Stage) -> None:
    """Somebody clears /run, or puts something else in their place. Within a round of the health check all is well."""
    with ExitStack() as stack:
        for path in sockets(stage):
            path.unlink()
            kind = stage.random.randrange(3)
            if kind == 1:
                path.touch()
            elif kind == 2:
                stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        stage.honest()
        until(lambda: all(path.is_socket() and listens(path) for path in sockets(stage)), "they are back", PATIENCE)
    assert stage.gate.status()["ready"]


def listens(path: Path) -> bool:
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def listings(stage: Stage) -> None:
    """They list, and list, by what is seldom or never; whoever asks how the gate is hears it soon."""
    number = 60_000 if stage.everything else 4_000
    stage.drop("many.yaml", json.dumps([{"command": "true"}] * number), "parked")
    until(lambda: stage.gate.status()["counts"].get("queued", 0) >= number, "they are parked", PATIENCE)
    ask = {"method": f"{INTERFACE}.List", "parameters": {"states": ["failed"], "queues": ["nowhere"]}}
    with connections(stage.gate.layout.control_socket, 60) as socks:
        for _ in range(5):
            for sock in socks:
                tell(sock, (json.dumps(ask).encode() + b"\0") * 20)
            begun = time.monotonic()
            assert stage.gate.call("Status")["ready"]
            assert time.monotonic() - begun < SOON, "its status is not told soon"
        stage.honest()
