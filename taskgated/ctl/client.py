"""A Varlink client: one connection, one call at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskgated.errors import TaskgateError
from taskgated.sockets import connect
from taskgated.wire import Message, decode, encode

INTERFACE = "io.taskgate.Gate"


_DENIED = "you may not do that: it takes the job's owner, or root (access: in taskgated.yaml(5))"
_DENIED_OF = {"Reload": "you may not do that: it takes root, or the user as whom taskgated runs"}
"""Where it is not about somebody's job."""


class Unreachable(TaskgateError):
    """No daemon answers."""


class Gone(Unreachable):
    """The daemon that answered does so no more: it has ended, and another may come."""


class CallError(TaskgateError):
    """The daemon answered the call of ``method`` with an error; ``kind`` is its name without the interface."""

    def __init__(self, method: str, name: str, parameters: Message) -> None:
        self.kind = name.rpartition(".")[2]
        self.parameters = parameters
        text = parameters.get("message")
        if self.kind == "PermissionDenied":
            text = _DENIED_OF.get(method, _DENIED)
        elif (method, self.kind, parameters.get("parameter")) == ("Logs", "InvalidParameter", "attempt"):
            text = "the job has no such attempt"
        super().__init__(str(text or f"{name} {parameters}"))


class Client:
    """``with Client(path) as gate: gate.call("Status")``. Raises ``Unreachable`` (``Gone``) and
    ``CallError``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock = self._connect()
        self._buffer = bytearray()

    def _connect(self) -> socket.socket:
        try:
            return connect(self._path)
        except PermissionError:
            raise Unreachable(f"you may not use {self._path}: are you in the group taskgate?") from None
        except OSError as error:
            raise Unreachable(f"no taskgated answers at {self._path}: {error.strerror}; is it running?") from None

    def reconnect(self) -> None:
        """What was asked and not answered is forgotten."""
        self._sock.close()
        self._sock = self._connect()
        self._buffer.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def call(self, method: str, **parameters: Any) -> Message:
        (reply,) = self._call(method, parameters, more=False)
        return reply

    def stream(self, method: str, **parameters: Any) -> Iterator[Message]:
        """All the replies of a method that was asked for ``more``."""
        return self._call(method, parameters, more=True)

    def _call(self, method: str, parameters: Message, *, more: bool) -> Iterator[Message]:
        message: Message = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
        if more:
            message["more"] = True
        try:
            self._sock.sendall(encode(message))
            while True:
                reply = decode(self._frame())
                if "error" in reply:
                    raise CallError(method, reply["error"], reply.get("parameters", {}))
                yield reply.get("parameters", {})
                if not reply.get("continues"):
                    return
        except OSError as error:
            raise Gone(f"the daemon is gone: {error.strerror or error}") from None

    def _frame(self) -> bytes:
        start = 0
        while (end := self._buffer.find(b"\0", start)) < 0:
            start = len(self._buffer)
            data = self._sock.recv(256 * 1024)
            if not data:
                raise Gone("the daemon closed the connection")
            self._buffer += data
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return frame
