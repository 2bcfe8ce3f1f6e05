"""What one client, one question or one moment may cost, however large the store and however many ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gate_env import GateEnv, until
from taskgated.control.gate import INTERFACE
from taskgated.sockets import connect

FEW = 12 * 1024**2
"""Bytes: less than what any of these cost, and more than what a daemon needs for itself meanwhile."""


def anonymous(gate: GateEnv) -> int:
    """The daemon's own memory, in bytes (proc(5))."""
    assert gate.process is not None
    for line in Path(f"/proc/{gate.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the daemon is dead")


def frame(method: str, **parameters: object) -> bytes:
    return json.dumps({"method": f"{INTERFACE}.{method}", "parameters": parameters}).encode() + b"\0"


@contextmanager
def clients(gate: GateEnv, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(gate.layout.control_socket)) for _ in range(number)]
        for sock in socks:
            sock.settimeout(30)
        yield socks


@pytest.fixture
def waiting(gate: GateEnv) -> GateEnv:
    """Five hundred jobs that run tomorrow."""
    gate.drop("a.yaml", json.dumps([{"command": "true", "delay": "1d"}] * 500))
    until(lambda: gate.status()["counts"].get("queued") == 500, "the jobs are there")
    return gate


def test_who_hangs_up_waits_no_more(waiting: GateEnv) -> None:
    """Three thousand have waited for these jobs, and left."""
    ids = list(range(1, 501))
    for _ in range(10):  # what a daemon needs once, for the first of them
        with clients(waiting, 1) as (sock,):
            sock.sendall(frame("Wait", ids=ids))
            assert waiting.call("Status")["ready"]
    before = anonymous(waiting)
    for _ in range(300):
        with clients(waiting, 10) as socks:
            for sock in socks:
                sock.sendall(frame("Wait", ids=ids))
    assert waiting.call("Status")["ready"]
    until(lambda: anonymous(waiting) - before < FEW, "the memory is given back")


def test_what_is_asked_behind_a_call_that_waits(waiting: GateEnv) -> None:
    """It is neither understood nor kept beyond a bound before its turn comes; then it is answered."""
    before = anonymous(waiting)
    bulk = {"ids": [[[[]]] * 25_000]}
    long = json.dumps({"method": f"{INTERFACE}.Show", "parameters": bulk}).encode() + b"\0"
    with clients(waiting, 40) as socks:
        for sock in socks:
            sock.sendall(frame("Wait", ids=[1]))
            try:
                for _ in range(30):
                    sock.sendall(long)
            except OSError:
                pass  # it was too much
        assert waiting.call("Status")["ready"]
        assert anonymous(waiting) - before < 40 * 512 * 1024 + FEW
    with clients(waiting, 1) as (sock,):
        sock.sendall(frame("Wait", ids=[1]) + frame("Show", id=2) * 50)
        waiting.call("Cancel", id=1)
        data = b""
        while data.count(b"\0") < 51:
            data += sock.recv(65536)
        answers = [json.loads(piece)["parameters"] for piece in data.split(b"\0")[:-1]]
    assert answers[0]["jobs"][0]["state"] == "cancelled"
    assert [answer["job"]["id"] for answer in answers[1:]] == [2] * 50


def test_an_answer_may_be_long(gate: GateEnv) -> None:
    """It is what was asked for; only what comes on top of it, unread, has a bound."""
    gate.drop("long.sh", "#!/bin/sh\nexit 0\n" + "# " + "x" * 900_000)
    gate.until_over(1)
    assert len(gate.call("Show", id=1)["spec"]["script"]) > 900_000
    with clients(gate, 1) as (sock,):
        sock.sendall(frame("Show", id=1) * 20)
        assert gate.call("Status")["ready"]
        data = b""
        while data.count(b"\0") < 20:
            piece = sock.recv(1024**2)
            assert piece, "the daemon hung up"
            data += piece
