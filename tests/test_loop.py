"""The main loop, the framing on its sockets, and who keeps the workers alive."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskgated.clock import ProcessId, rfc3339
from taskgated.dispatch import Identity
from taskgated.errors import ProtocolError
from taskgated.loop import Loop
from taskgated.supervise import HOPELESS, Supervisor
from taskgated.wire import Channel, encode


def run_for(loop: Loop, seconds: float = 10.0) -> None:
    """Until somebody calls ``stop``, or that is given up."""
    late = loop.after(seconds, lambda: pytest.fail("nothing stopped the loop"))
    loop.run()
    late.cancel()


def turn_until(loop: Loop, what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it never happened"
        loop.after(0.02, lambda: None)
        loop.turn()


class TestLoop:
    def test_timers_run_in_order_and_can_be_cancelled(self) -> None:
        loop, seen = Loop(), []
        loop.after(0.02, loop.stop)
        loop.after(0.01, lambda: seen.append("b"))
        loop.after(0, lambda: seen.append("a"))
        loop.after(0.005, lambda: seen.append("never")).cancel()
        run_for(loop)
        assert seen == ["a", "b"]
        loop.close()

    def test_calls_from_other_threads(self) -> None:
        loop, seen = Loop(), []

        def other() -> None:
            for n in range(1000):
                loop.post(lambda n=n: seen.append(n))  # type: ignore[misc]
            loop.post(loop.stop)

        threading.Thread(target=other).start()
        run_for(loop)
        assert seen == list(range(1000))
        loop.close()

    def test_what_is_removed_in_a_turn_is_not_called_in_it(self) -> None:
        loop, seen = Loop(), []
        pairs = [socket.socketpair() for _ in range(2)]

        def readable(me: int) -> None:
            seen.append(me)
            for mine, _ in pairs:
                loop.remove(mine)
            loop.stop()

        for n, (mine, theirs) in enumerate(pairs):
            loop.add(mine, lambda n=n: readable(n))  # type: ignore[misc]
            theirs.send(b"x")
        run_for(loop)
        assert len(seen) == 1
        for pair in pairs:
            for sock in pair:
                sock.close()
        loop.close()

    def test_signals_are_handled_on_the_loop(self) -> None:
        loop, seen = Loop(), []

        def noted(number: int) -> None:
            seen.append((number, threading.current_thread()))
            loop.stop()

        loop.handle_signals([signal.SIGUSR1], noted)
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        run_for(loop)
        assert seen == [(signal.SIGUSR1, threading.main_thread())]
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        loop.close()


class TestChannel:
    def test_messages_in_pieces_and_together(self) -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        data = encode({"a": 1}) + encode({"b": "\udcff"})
        theirs.sendall(data[:3])
        assert list(channel.receive()) == []
        theirs.sendall(data[3:] + b'{"c"')
        assert list(channel.receive()) == [{"a": 1}, {"b": "\udcff"}]
        theirs.close()
        assert list(channel.receive()) == []
        assert channel.closed
        channel.close()

    @pytest.mark.parametrize("data", [b"x\0", b"[]\0", b"\xff\0", b"[" * 9000 + b"\0"])
    def test_garbage(self, data: bytes) -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours, 10_000)
        theirs.sendall(data)
        with pytest.raises(ProtocolError):
            list(channel.receive())
        theirs.close()
        channel.close()

    def test_an_endless_message(self) -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours, 10_000)
        theirs.sendall(b"x" * 10_001)
        with pytest.raises(ProtocolError, match="longer than"):
            list(channel.receive())
        theirs.close()
        channel.close()

    def test_a_peer_that_does_not_read(self) -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        for _ in range(1000):
            channel.send({"x": "y" * 1000})
        assert channel.pending
        got = bytearray()
        while channel.pending or got.count(b"\0") < 1000:
            got += theirs.recv(1 << 20)
            channel.flush()
        assert got.count(b"\0") == 1000
        theirs.close()
        channel.close()


class FakeServer:
    """The other end of the channel to a worker server, and a process that stands for it."""

    def __init__(self) -> None:
        self.spawned = 0
        self.fails = False
        self.told: list[Any] = []

    def spawn(self) -> tuple[subprocess.Popen[bytes], Channel]:
        self.spawned += 1
        if self.fails:
            raise OSError("no more processes")
        ours, theirs = socket.socketpair()
        self.channel = Channel(theirs)
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        ), Channel(ours)

    def hear(self) -> list[Any]:
        self.told += self.channel.receive()
        return self.told


class Heard:
    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.said: list[str] = []

    def worker_buried(self, identity: Identity, killed: int) -> None:
        self.said.append(f"buried {identity.process.pid}.{identity.process.start}")
        self.loop.stop()

    def worker_exited(self, process: ProcessId, status: int) -> None:
        self.said.append(f"exited {process.pid}.{process.start}")

    def server_died(self, status: int) -> None:
        self.said.append("server died")

    def workers_unavailable(self, why: str) -> None:
        self.said.append(why)
        self.loop.stop()


class TestSupervisor:
    def test_gives_up_when_nothing_ever_came_up(self) -> None:
        loop, server = Loop(), FakeServer()
        server.fails = True
        heard = Heard(loop)
        supervisor = Supervisor(loop, server.spawn, heard)
        begin = time.monotonic()
        supervisor.start(2)
        run_for(loop, 30)
        assert server.spawned == HOPELESS
        assert "no more processes" in heard.said[0]
        assert time.monotonic() - begin > 1, "each try waits longer than the one before"
        supervisor.close()
        loop.close()

    def test_a_burial_is_asked_for_again_after_the_server_died(self) -> None:
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = Supervisor(loop, server.spawn, heard)
        supervisor.start(0)
        identity = Identity(ProcessId(99, 1, "boot"))
        supervisor.bury(identity, 7, 1)
        assert server.hear()[0]["bury"]["job"] == 7
        first = supervisor._process
        assert first is not None and first.stdin is not None
        first.stdin.close()
        server.channel.close()
        server.told.clear()

        def answer() -> None:
            if any("bury" in message for message in server.hear()):
                server.channel.send({"buried": {"pid": 99, "start": 1, "boot": "boot", "killed": 3}})
            else:
                loop.after(0.02, answer)

        loop.after(0.2, answer)
        run_for(loop)
        assert heard.said == ["server died", "buried 99.1"]
        _release(supervisor, loop)

    def test_a_pid_that_comes_again_is_another_process(self) -> None:
        """In a burial, and in what is waited for of a worker that was forked."""
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = Supervisor(loop, server.spawn, heard)
        supervisor.start(1)
        earlier, later, other_boot = ProcessId(99, 1, "boot"), ProcessId(99, 2, "boot"), ProcessId(99, 1, "another")
        for process in (earlier, later, other_boot):
            supervisor.bury(Identity(process), 7, 1)
        server.channel.send({"buried": {**later.to_json(), "killed": 3}})
        turn_until(loop, lambda: bool(heard.said))
        assert heard.said == ["buried 99.2"], "of three that had the pid one is buried"
        server.channel.send({"forked": earlier.to_json()})
        server.channel.send({"exited": {**earlier.to_json(), "status": 0}})
        server.channel.send({"forked": later.to_json()})
        server.channel.send({"exited": {**earlier.to_json(), "status": 0}})
        server.channel.send({"buried": {**earlier.to_json(), "killed": 0}})
        turn_until(loop, lambda: heard.said[-1] == "buried 99.1")
        assert heard.said == ["buried 99.2", "exited 99.1", "exited 99.1", "buried 99.1"]
        assert list(supervisor._coming) == [later], "the one is awaited, whatever became of the other"
        supervisor.arrived(later)
        supervisor.departed(earlier, expected=False)
        assert supervisor.count == 1
        _release(supervisor, loop)

    @pytest.mark.parametrize(
        "garbage", [{"buried": {"pid": 99, "killed": 0}}, {"forked": {}}, {"exited": []}, {"buried": 1}, {}]
    )
    def test_a_server_that_makes_no_sense_is_replaced(self, garbage: Any) -> None:
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = Supervisor(loop, server.spawn, heard)
        supervisor.start(0)
        first = supervisor._process
        server.channel.send(garbage)
        turn_until(loop, lambda: server.spawned == 2)
        assert first is not None and first.returncode is not None
        assert heard.said == ["server died"]
        _release(supervisor, loop)


def _release(supervisor: Supervisor, loop: Loop) -> None:
    last = supervisor._process
    assert last is not None and last.stdin is not None
    last.stdin.close()
    supervisor.close()
    loop.close()


def test_times_are_written_as_promised() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_795_526_353_000_001) == "2026-11-24T13:19:13.000001Z"
    assert rfc3339(None) is None
