"""A Varlink client: one connection, one call at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from taskgated.core.fixed import INTERFACE
from taskgated.errors import ProtocolError, TaskgateError
from taskgated.protocol.channel import Message, decode, encode
from taskgated.protocol.replies import LIMIT, LOGS, PAUSE, RELOAD, RESUME, TOKENS, Operation, R
from taskgated.protocol.sockets import connect
from taskgated.protocol.standard import INVALID_PARAMETER, PERMISSION_DENIED

_DENIED = "you may not do that: it takes the job's owner, or root (access: in taskgated.yaml(5))"
_OPERATOR = "you may not do that: it takes root, or the user as whom taskgated runs"
_DENIED_OF = {one.name: _OPERATOR for one in (RELOAD, PAUSE, RESUME, LIMIT, TOKENS)}
"""Of methods that are not about a job."""


class Unreachable(TaskgateError):
    """No daemon answers."""


class Gone(Unreachable):
    """The daemon has answered before, and does not now: it has ended, and another may come."""


class NotSo(TaskgateError):
    """What was asked for is not so."""


class CallError(NotSo):
    """The daemon answered the call of ``method`` with an error; ``kind`` is its name without the interface."""

    def __init__(self, method: str, name: str, parameters: Message) -> None:
        self.kind = name.rpartition(".")[2]
        self.parameters = parameters
        text = parameters.get("message")
        if self.kind == PERMISSION_DENIED:
            text = _DENIED_OF.get(method, _DENIED)
        elif (method, self.kind, parameters.get("parameter")) == (LOGS.name, INVALID_PARAMETER, "attempt"):
            text = "the job has no such attempt"
        super().__init__(str(text or f"{name} {parameters}"))


class Client:
    """``with Client(path) as gate: gate.ask(STATUS)``.

    It connects when it is made. That and ``reconnect`` raise ``Unreachable``; calls raise ``Gone`` and ``CallError``,
    and ``ProtocolError`` when what answers does not speak as a daemon of ours.
    """

    def __init__(self, path: Path, patience: float | None = None) -> None:
        """``patience``: seconds after which one that says nothing is gone; None: it is waited for."""
        self._path = path
        self._patience = patience
        self._sock = self._connect()
        self._buffer = bytearray()

    def _connect(self) -> socket.socket:
        try:
            sock = connect(self._path)
            sock.settimeout(self._patience)
            return sock
        except PermissionError:
            raise Unreachable(f"you may not use {self._path}: are you in the group taskgate?") from None
        except OSError as error:
            raise Unreachable(f"no taskgated answers at {self._path}: {error.strerror}; is it running?") from None

    def reconnect(self) -> None:
        """Connect anew; what was asked and not answered is forgotten."""
        self._sock.close()
        self._sock = self._connect()
        self._buffer.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def ask(self, operation: Operation[R], **parameters: object) -> R:
        """The one reply of a method."""
        return _typed(operation, self.call(operation.name, **parameters))

    def stream(self, operation: Operation[R], **parameters: object) -> Iterator[R]:
        """All the replies of a method that was asked for ``more``."""
        for reply in self._call(operation.name, parameters, more=True):
            yield _typed(operation, reply)

    def call(self, method: str, **parameters: object) -> Message:
        """The one reply of a method, as it comes in; the method is named as in the interface: ``"Status"``."""
        (reply,) = self._call(method, parameters, more=False)
        return reply

    def _call(self, method: str, parameters: Message, *, more: bool) -> Iterator[Message]:
        message: Message = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
        if more:
            message["more"] = True
        try:
            self._sock.sendall(encode(message))
            while True:
                reply = decode(self._frame())
                told = reply.get("parameters", {})
                if not isinstance(told, dict):
                    raise ProtocolError(f"not a Varlink reply: {told!r}")
                if "error" in reply:
                    raise CallError(method, str(reply["error"]), told)
                yield told
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


def _typed(operation: Operation[R], reply: Message) -> R:
    if not operation.is_reply(reply):
        raise ProtocolError(f"not a reply of {operation.name}: {', '.join(reply)}")
    return reply
