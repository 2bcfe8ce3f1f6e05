"""The control socket: what it promises to friends, and what strangers can do to it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from taskgated.core.fixed import INTERFACE
from taskgated.protocol.channel import Message
from taskgated.protocol.sockets import connect
from tests.env.gate import GateEnv
from tests.env.until import until


class Client:
    """Speaks frames, right or wrong."""

    def __init__(self, gate: GateEnv) -> None:
        self.sock = connect(gate.layout.control_socket)
        self.sock.settimeout(20)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, method: str, parameters: Any = None, **more: Any) -> None:
        message = {"method": method, "parameters": parameters or {}, **more}
        self.sock.sendall(json.dumps(message).encode() + b"\0")

    def receive(self) -> Message:
        while b"\0" not in self.buffer:
            data = self.sock.recv(65536)
            assert data, "the daemon closed the connection"
            self.buffer += data
        frame, _, self.buffer = self.buffer.partition(b"\0")
        reply: Message = json.loads(frame)
        return reply

    def call(self, method: str, parameters: Any = None) -> Message:
        self.send(method, parameters)
        return self.receive()

    def closed(self) -> bool:
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


class TestFriends:
    def test_the_service_interface(self, gate: GateEnv) -> None:
        with Client(gate) as client:
            info = client.call("org.varlink.service.GetInfo")["parameters"]
            assert info["interfaces"] == ["org.varlink.service", INTERFACE]
            for interface in info["interfaces"]:
                reply = client.call("org.varlink.service.GetInterfaceDescription", {"interface": interface})
                assert f"interface {interface}" in reply["parameters"]["description"]

    @pytest.mark.parametrize(
        ("method", "parameters", "error"),
        [
            (f"{INTERFACE}.Nothing", {}, "org.varlink.service.MethodNotFound"),
            ("io.other.Status", {}, "org.varlink.service.InterfaceNotFound"),
            (f"{INTERFACE}.Show", {}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.Show", {"id": "1"}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.Show", {"id": True}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.Show", {"id": 1, "x": 1}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.List", {"states": ["lost"]}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.Wait", {"ids": []}, "org.varlink.service.InvalidParameter"),
            (f"{INTERFACE}.Show", {"id": 99}, f"{INTERFACE}.NoSuchJob"),
            (f"{INTERFACE}.Cancel", {"id": 99}, f"{INTERFACE}.NoSuchJob"),
            (f"{INTERFACE}.Wait", {"ids": [99]}, f"{INTERFACE}.NoSuchJob"),
            (f"{INTERFACE}.Logs", {"id": 99}, f"{INTERFACE}.NoSuchJob"),
        ],
    )
    def test_errors_have_names(self, gate: GateEnv, method: str, parameters: Any, error: str) -> None:
        with Client(gate) as client:
            assert client.call(method, parameters)["error"] == error
            assert "parameters" in client.call(f"{INTERFACE}.Status"), "the connection goes on"

    def test_calls_are_answered_in_order(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: sleep 0.5\n")
        until(gate.jobs, "the job is there")
        with Client(gate) as client:
            client.send(f"{INTERFACE}.Wait", {"ids": [1]})
            client.send(f"{INTERFACE}.Status", oneway=True)
            client.send("org.varlink.service.GetInfo")
            assert client.receive()["parameters"]["jobs"][0]["id"] == 1
            assert client.receive()["parameters"]["product"] == "taskgated"

    def test_wait_with_more_tells_each(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "- command: sleep 0.3\n- command: sleep 0.6\n")
        until(lambda: len(gate.jobs()) == 2, "the jobs are there")
        with Client(gate) as client:
            client.send(f"{INTERFACE}.Wait", {"ids": [2, 1]}, more=True)
            first, second = client.receive(), client.receive()
            assert (first["parameters"]["jobs"][0]["id"], first["continues"]) == (1, True)
            assert second["parameters"]["jobs"][0]["id"] == 2
            assert "continues" not in second


class TestStrangers:
    @pytest.mark.parametrize(
        "data",
        [
            b"hello\0", b"[]\0", b"{}\0", b'{"method": 7}\0', b'{"method": "x", "parameters": []}\0', b"\0\0\0",
            b"[" * 100_000 + b"\0", b"\xff\xfe\0", b'{"method": "\\ud800"}\0',
        ],
    )  # fmt: skip
    def test_garbage_costs_the_connection_and_nothing_else(self, gate: GateEnv, data: bytes) -> None:
        with Client(gate) as client:
            client.sock.sendall(data)
            if b"ud800" in data:
                assert "error" in client.receive()
            else:
                assert client.closed()
        assert gate.status()["ready"]

    def test_half_a_message_and_silence(self, gate: GateEnv) -> None:
        with Client(gate) as silent, Client(gate) as half:
            half.sock.sendall(b'{"method": "io.task')
            assert gate.status()["ready"]
            assert silent.call(f"{INTERFACE}.Status")["parameters"]["ready"]

    def test_an_endless_message(self, gate: GateEnv) -> None:
        assert gate.process
        statm = f"/proc/{gate.process.pid}/statm"

        def resident() -> int:
            with open(statm) as file:
                return int(file.read().split()[1]) * 4096

        before = resident()
        with Client(gate) as client, pytest.raises(ConnectionError):
            for _ in range(2000):
                client.sock.sendall(b"x" * 65536)
        assert gate.status()["ready"]
        assert resident() - before < 10_000_000

    def test_who_never_reads_the_answers(self, gate: GateEnv) -> None:
        gate.drop("a.tasks", "true\n" * 500)
        gate.until_over(500)
        with Client(gate) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sock.settimeout(2)
            with pytest.raises(OSError):
                for _ in range(5000):
                    client.send(f"{INTERFACE}.List")
        assert gate.status()["ready"]

    def test_too_many_at_once(self, gate: GateEnv) -> None:
        clients = [Client(gate) for _ in range(100)]
        for client in clients:
            client.sock.close()
        until(lambda: gate.status()["ready"], "there is room again")

    def test_gone_while_it_waits(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: sleep 0.5\n")
        until(gate.jobs, "the job is there")
        with Client(gate) as client:
            client.send(f"{INTERFACE}.Wait", {"ids": [1]}, more=True)
        gate.until_over(1)
        assert gate.status()["ready"]

    def test_another_user_may_not(self, make_gate: Callable[..., GateEnv]) -> None:
        if os.getuid() != 0:
            pytest.skip("only root can become somebody else")
        gate = make_gate()
        os.chmod(gate.layout.control_socket, 0o666)  # as if a mistake had been made
        os.chmod(gate.layout.worker_socket, 0o666)
        closed = [path for path in (gate.layout.run, *gate.layout.run.parents) if not path.stat().st_mode & 0o001]
        for path in closed:
            path.chmod(0o711)
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(65534)
                sock = connect(gate.layout.worker_socket)
                sock.settimeout(5)
                os._exit(0 if sock.recv(1) == b"" else 1)
            except ConnectionError:
                os._exit(0)
            except BaseException:
                os._exit(2)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for path in closed:
            path.chmod(0o700)
        assert status == 0
