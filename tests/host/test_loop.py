"""The main loop, the framing on its sockets, and who keeps the workers alive."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from taskgated.daemon import supervise
from taskgated.daemon.supervise import HOPELESS, Supervisor
from taskgated.errors import ProtocolError
from taskgated.host.clock import rfc3339
from taskgated.host.loop import Loop
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Channel, encode
from taskgated.protocol.connection import Connection
from taskgated.protocol.messages import Identity
from tests.env.until import until


def run_for(loop: Loop, seconds: float = 10.0) -> None:
    """Until somebody calls ``stop``, or that is given up."""
    late = loop.after(seconds, lambda: pytest.fail("nothing stopped the loop"))
    loop.run()
    late.cancel()


def turn_until(loop: Loop, what: Callable[[], bool]) -> None:
    def turned() -> bool:
        loop.after(0.02, lambda: None)
        loop.turn()
        return what()

    assert what() or until(turned)


class Watcher:
    """A connection on the loop, with a peer that says things and goes."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.mine, self.theirs = socket.socketpair()
        for sock in (self.mine, self.theirs):
            sock.setblocking(False)
        self.sent = self.got = 0
        self.writes = 0  # calls of ``writable`` that are owed to it
        self.watched = True
        chaos.loop.add(self.mine, self.readable)

    def readable(self) -> None:
        assert self.watched, "readable, and not watched any more"
        try:
            data = self.mine.recv(self.chaos.random.choice((1, 100)))
        except BlockingIOError:
            raise AssertionError("called for nothing, or for another") from None
        except ConnectionResetError:
            data = b""
        self.got += len(data)
        if not data:
            self.close()
        self.chaos.do_something(self)

    def writable(self) -> None:
        assert self.watched, "writable, and not watched any more"
        assert self.writes, "writable, and not wanted"
        self.want(False)
        self.chaos.do_something(self)

    def want(self, write: bool) -> None:
        self.writes = int(write and self.watched)
        self.chaos.loop.want_write(self.mine, self.writable if write else None)

    def say(self) -> None:
        try:
            self.sent += self.theirs.send(b"x" * self.chaos.random.randrange(1, 50))
        except OSError:
            pass

    def close(self) -> None:
        if self.watched:
            self.watched = False
            self.chaos.loop.remove(self.mine)
            if self.chaos.random.random() < 0.9:
                self.mine.close()


class Chaos:
    STEPS = 400

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = Loop()
        self.steps = 0
        self.made: list[Watcher] = []
        for _ in range(8):
            self.made.append(Watcher(self))
        self._tick()

    def _tick(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.do_something(self.random.choice(self.made))
        if self.steps < self.STEPS:
            self.loop.after(self.random.choice((0, 0, 0.0005)), self._tick)
        elif not self._owed():
            self.loop.stop()
        else:
            self.loop.after(0.001, self._tick)

    def do_something(self, who: Watcher) -> None:
        """One of all the things that there are to do, to who was called or to any other."""
        self.steps += 1
        if self.steps > self.STEPS:
            return
        other = self.random.choice((who, self.random.choice(self.made)))
        match self.random.randrange(8):
            case 0:
                other.close()
            case 1:
                other.theirs.close()
            case 2 | 3:
                other.want(self.random.random() < 0.8)
            case 4:
                other.close()
                self.made.append(Watcher(self))  # most likely with the number of what was closed
            case _:
                other.say()

    def _owed(self) -> list[Watcher]:
        return [w for w in self.made if w.watched and (w.got < w.sent or w.writes or w.theirs.fileno() < 0)]

    def close(self) -> None:
        for watcher in self.made:
            watcher.mine.close()
            watcher.theirs.close()
        self.loop.close()


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

    def test_what_has_a_number_again_is_not_told_of_another(self) -> None:
        """Two are readable in one turn. The first closes the second, and a new one gets its number."""
        loop, seen = Loop(), []
        first, second = socket.socketpair(), socket.socketpair()
        fresh: list[socket.socket] = []

        def readable(mine: tuple[socket.socket, socket.socket], other: tuple[socket.socket, socket.socket]) -> None:
            seen.append("readable")
            loop.remove(mine[0])
            loop.remove(other[0])
            number = other[0].fileno()
            other[0].close()
            fresh.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            assert fresh[0].fileno() == number
            loop.add(fresh[0], lambda: seen.append("another's"))
            loop.after(0, loop.stop)

        for mine, other in ((first, second), (second, first)):
            mine[1].send(b"x")
            loop.add(mine[0], lambda mine=mine, other=other: readable(mine, other))  # type: ignore[misc]
        run_for(loop)
        assert seen == ["readable"]
        for sock in (*first, *second, *fresh):
            sock.close()
        loop.close()

    def test_what_is_closed_when_it_is_read_is_not_written_to(self) -> None:
        loop, seen = Loop(), []
        mine, theirs = socket.socketpair()

        def readable() -> None:
            seen.append("readable")
            loop.remove(mine)
            mine.close()
            loop.want_write(mine, lambda: seen.append("never"))
            loop.after(0, loop.stop)

        loop.add(mine, readable)
        loop.want_write(mine, lambda: seen.append("writable"))
        theirs.close()
        run_for(loop)
        assert seen == ["readable"]
        loop.close()

    @pytest.mark.parametrize("seed", range(30))
    def test_any_order_of_events(self, seed: int) -> None:
        """Callbacks do anything to any watcher. None is called that is not there any more; all others hear all."""
        chaos = Chaos(seed)
        run_for(chaos.loop, 60)
        chaos.close()

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


class FailingSocket:
    """A socket that fails to send so often, and then sends."""

    def __init__(self, sock: socket.socket, errors: list[int]) -> None:
        self._sock = sock
        self._errors = errors
        self.recv, self.close, self.fileno = sock.recv, sock.close, sock.fileno

    def send(self, data: bytes) -> int:
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.send(data)


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


class TestConnection:
    """However it ends, it is told once, and never to who is just sending."""

    @staticmethod
    def pair(loop: Loop) -> tuple[Connection, socket.socket, list[str]]:
        ours, theirs = socket.socketpair()
        said: list[str] = []

        def gone() -> None:
            said.append("gone")
            loop.stop()

        connection = Connection(loop, Channel(ours), lambda message: said.append(str(message)), gone)
        return connection, theirs, said

    @pytest.mark.parametrize("error", [errno.EPIPE, errno.ECONNRESET, errno.EIO])
    @pytest.mark.parametrize("later", [False, True])
    def test_a_send_that_fails(self, error: int, later: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """At once, or when there is room again."""
        loop = Loop()
        connection, theirs, said = self.pair(loop)
        channel = connection._channel
        monkeypatch.setattr(channel, "sock", FailingSocket(channel.sock, [errno.EAGAIN] * later + [error]))
        connection.send({"a": 1})
        assert said == [], "told in the middle of something"
        run_for(loop)
        assert said == ["gone"] and connection.closed
        theirs.close()
        loop.close()

    @pytest.mark.parametrize("error", [errno.ENOBUFS, errno.ENOMEM])
    def test_no_memory_for_a_message_is_no_end(self, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = Loop()
        connection, theirs, said = self.pair(loop)
        monkeypatch.setattr(connection._channel, "sock", FailingSocket(connection._channel.sock, [error] * 3))
        connection.send({"a": 1})
        loop.add(theirs, loop.stop)
        run_for(loop)
        assert theirs.recv(100) == encode({"a": 1}) and said == [] and not connection.closed
        assert loop.turns < 20, "it asks again and again"
        connection.close()
        theirs.close()
        loop.close()

    @pytest.mark.parametrize("data", [b"", b"x\0", b"{}\0" * 3 + b"x\0"])
    def test_the_peer_ends_it(self, data: bytes) -> None:
        loop = Loop()
        connection, theirs, said = self.pair(loop)
        connection.send({"x": "y" * 10_000_000})  # more than fits: it wants to write as well
        theirs.sendall(data)
        theirs.close()
        run_for(loop)
        assert said == ["{}"] * data.count(b"{}") + ["gone"]
        loop.close()

    def test_who_is_hung_up_on_is_heard_no_more(self) -> None:
        loop = Loop()
        connection, theirs, said = self.pair(loop)

        def heard(message: Any) -> None:
            said.append("heard")
            connection.hang_up()

        connection.heard = heard
        theirs.sendall(encode({}) * 3)
        run_for(loop)
        assert said == ["heard", "gone"]
        theirs.close()
        loop.close()

    def test_what_is_closed_says_nothing(self) -> None:
        loop = Loop()
        connection, theirs, said = self.pair(loop)
        theirs.close()
        connection.send({"a": 1})
        connection.close()
        loop.after(0.05, loop.stop)
        run_for(loop)
        assert said == []
        loop.close()


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

    def listens(self, supervisor: Supervisor) -> Supervisor:
        supervisor.buried.add(self.worker_buried)
        supervisor.held_up.add(self.burial_held_up)
        supervisor.server_died.add(self.server_died)
        supervisor.unavailable.add(self.workers_unavailable)
        return supervisor

    def worker_buried(self, identity: Identity, killed: int) -> None:
        self.said.append(f"buried {identity.process.pid}.{identity.process.start}")
        self.loop.stop()

    def burial_held_up(self, identity: Identity, by: Sequence[str]) -> None:
        self.said.append(f"held up {identity.process.pid}.{identity.process.start} {' '.join(by)}")

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
        supervisor = heard.listens(Supervisor(loop, server.spawn))
        begin = time.monotonic()
        supervisor.start(2)
        run_for(loop, 30)
        assert server.spawned == HOPELESS
        assert "no more processes" in heard.said[0]
        assert time.monotonic() - begin > 1, "each try waits longer than the one before"
        supervisor.close()
        loop.close()

    def test_healthy_times_give_back_what_failures_took(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that ends now and then is replaced at once, each time."""
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = heard.listens(Supervisor(loop, server.spawn))
        supervisor.start(1)
        supervisor.arrived(ProcessId(99, 1, "boot"))
        monkeypatch.setattr("taskgated.daemon.supervise.STEADY", 0.05)
        for number in range(2, 12):
            well = time.monotonic() + 0.1
            turn_until(loop, lambda well=well: time.monotonic() > well)  # type: ignore[misc]
            process = supervisor._process
            assert process is not None
            process.kill()
            server.channel.close()
            turn_until(loop, lambda number=number: server.spawned == number)  # type: ignore[misc]
            assert supervisor._failures == 1
        _release(supervisor, loop)

    def test_a_burial_is_asked_for_again_after_the_server_died(self) -> None:
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = heard.listens(Supervisor(loop, server.spawn))
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
        supervisor = heard.listens(Supervisor(loop, server.spawn))
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
        assert heard.said == ["buried 99.2", "buried 99.1"]
        assert list(supervisor._coming) == [later], "the one is awaited, whatever became of the other"
        supervisor.arrived(later)
        supervisor.departed(earlier, expected=False)
        assert supervisor.count == 1
        _release(supervisor, loop)

    def test_a_hello_has_time_left_when_everything_was_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The worker was stopped as long as we were. One that stays silent is buried all the same."""
        monkeypatch.setattr(supervise, "GREETING", 0.9)
        loop, server = Loop(), FakeServer()
        supervisor = Supervisor(loop, server.spawn)
        supervisor.start(1)
        worker = ProcessId(99, 1, "boot")
        server.channel.send({"forked": worker.to_json()})
        turn_until(loop, lambda: worker in supervisor._coming)
        time.sleep(1.0)  # we are stopped
        loop.turn()
        assert worker in supervisor._coming
        turn_until(loop, lambda: any("bury" in message for message in server.hear()))
        assert worker not in supervisor._coming
        _release(supervisor, loop)

    @pytest.mark.parametrize(
        "garbage", [{"buried": {"pid": 99, "killed": 0}}, {"forked": {}}, {"exited": []}, {"buried": 1}, {}]
    )
    def test_a_server_that_makes_no_sense_is_replaced(self, garbage: Any) -> None:
        loop, server = Loop(), FakeServer()
        heard = Heard(loop)
        supervisor = heard.listens(Supervisor(loop, server.spawn))
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
