"""A Varlink service on the main loop (https://varlink.org/): calls in, replies out, errors by name.

It knows the protocol and ``org.varlink.service``, nothing about jobs. A client that sends nothing, half a
message or too long a one costs one descriptor and at most ``LIMIT`` bytes; there are at most ``CLIENTS``.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from taskgated import __version__
from taskgated.connection import Connection
from taskgated.door import Door
from taskgated.errors import ProtocolError, TaskgateError
from taskgated.loop import Loop
from taskgated.wire import Channel, Message

LIMIT = 256 * 1024
"""Bytes of a call, and of what a client may say before the call before is answered."""
CLIENTS = 64
BACKED_UP = 32 * 1024 * 1024
"""Bytes that all connections of one user may leave unread; but one answer, of whatever size, everybody may have."""

SERVICE = "org.varlink.service"
_SERVICE_DESCRIPTION = """\
interface org.varlink.service

method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
"""


class VarlinkError(TaskgateError):
    """An error reply: its full name and parameters."""

    def __init__(self, name: str, **parameters: Any) -> None:
        self.name = name
        self.parameters = parameters
        super().__init__(f"{name}: {parameters}")


def invalid(parameter: str) -> VarlinkError:
    return VarlinkError(f"{SERVICE}.InvalidParameter", parameter=parameter)


def denied() -> VarlinkError:
    return VarlinkError(f"{SERVICE}.PermissionDenied")


def _nothing() -> None:
    pass


class Call:
    """One method call. Replied to exactly once, or, when the client asked for ``more``, any number of times
    with ``continues`` and then once. ``uid``: who calls, as the kernel says."""

    def __init__(self, service: Service, client: Connection, uid: int, message: Message) -> None:
        self.uid = uid
        self._service = service
        self._client = client
        self.method = message.get("method")
        self.when_gone = _nothing  # called when the client leaves without an answer
        self.parameters = message.get("parameters", {})
        self.more = message.get("more") is True
        self._oneway = message.get("oneway") is True
        if not isinstance(self.method, str) or not isinstance(self.parameters, dict):
            raise ProtocolError("not a Varlink call")

    @property
    def privileged(self) -> bool:
        """Root or the user that the daemon runs as calls."""
        return self.uid in (0, os.getuid())

    @property
    def gone(self) -> bool:
        """Nobody listens to the answer any more."""
        return self._client.closed

    def reply(self, *, continues: bool = False, **parameters: Any) -> None:
        message: Message = {"parameters": parameters}
        if continues:
            message["continues"] = True
        self._send(message)
        if not continues:
            self._service.answered(self._client)

    def error(self, error: VarlinkError) -> None:
        self._send({"error": error.name, "parameters": error.parameters})
        self._service.answered(self._client)

    def _send(self, message: Message) -> None:
        if not self._oneway:
            self._service.send(self._client, message)

    # -- parameters, typed -----------------------------------------------------------------------

    def allow(self, *names: str) -> None:
        """Refuse parameters that the method does not have."""
        for name in self.parameters.keys() - set(names):
            raise invalid(name)

    def integer(self, name: str, default: int | None = None, most: int = 2**62) -> int:
        value = self.parameters.get(name)
        if value is None and default is not None:
            return default
        if type(value) is not int or not 0 <= value <= most:
            raise invalid(name)
        return value

    def integers(self, name: str) -> list[int]:
        value = self.parameters.get(name)
        if not isinstance(value, list) or not all(type(v) is int and 0 <= v < 2**62 for v in value):
            raise invalid(name)
        return value

    def strings(self, name: str, allowed: Collection[str] | None = None) -> list[str]:
        value = self.parameters.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise invalid(name)
        if allowed is not None and not set(value) <= set(allowed):
            raise invalid(name)
        return value


Method = Callable[[Call], None]


class Service:
    """``interfaces``: name to description. ``methods``: full name to handler, which replies now or later.

    The mode of the socket says who may connect; what they may do is for each method, which is told who asks.
    Calls of one connection are answered one after the other, as the protocol wants.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        mode: int,
        interfaces: Mapping[str, str],
        methods: Mapping[str, Method],
    ) -> None:
        self._loop = loop
        self._interfaces = {SERVICE: _SERVICE_DESCRIPTION, **interfaces}
        self._methods: dict[str, Method] = {
            f"{SERVICE}.GetInfo": self._get_info,
            f"{SERVICE}.GetInterfaceDescription": self._get_description,
            **methods,
        }
        self._uids: dict[Connection, int] = {}
        self._clients: dict[Connection, Call | None] = {}  # with the call that is not answered yet
        self.door = Door(loop, path, mode, self._welcome)

    def close(self) -> None:
        self.door.close()
        for client in list(self._clients):
            self._drop(client)

    def send(self, client: Connection, message: Message) -> None:
        client.send(message)
        if client.closed:
            self._drop(client)
        elif client.pending:
            uid = self._uids[client]
            unread = sum(other.pending for other, theirs in self._uids.items() if theirs == uid)
            if unread > BACKED_UP and unread > client.pending:
                self._drop(client)

    def answered(self, client: Connection) -> None:
        call = self._clients.get(client)
        if call is not None:
            call.when_gone = _nothing
            self._clients[client] = None
            client.go_on()

    def _welcome(self, sock: socket.socket, pid: int, uid: int) -> None:
        if len(self._clients) >= CLIENTS and not self._make_room(uid):
            sock.close()
            return
        channel = Channel(sock, LIMIT)
        client = Connection(
            self._loop, channel, lambda message: self._heard(client, message), lambda: self._drop(client)
        )
        self._clients[client] = None
        self._uids[client] = uid

    def _make_room(self, newcomer: int) -> bool:
        """Nobody keeps others out: whoever has the most connections loses the oldest that waits for no answer, or
        else the newest. False: that is the new one."""
        held = Counter(self._uids.values())
        if newcomer in held:
            held[newcomer] += 1
        most = max(held, key=lambda uid: held[uid])
        theirs = [client for client, uid in self._uids.items() if uid == most]
        idle = next((client for client in theirs if self._clients[client] is None), None)
        if idle is None and most == newcomer:
            return False
        self._drop(idle or theirs[-1])
        return True

    def _heard(self, client: Connection, message: Message) -> None:
        call = Call(self, client, self._uids[client], message)
        self._clients[client] = call
        client.hold()
        method = self._methods.get(str(call.method))
        interface = str(call.method).rpartition(".")[0]
        try:
            if interface not in self._interfaces:
                raise VarlinkError(f"{SERVICE}.InterfaceNotFound", interface=interface)
            if method is None:
                raise VarlinkError(f"{SERVICE}.MethodNotFound", method=str(call.method))
            method(call)
        except VarlinkError as error:
            call.error(error)
        except Exception:  # a bug in a method costs who called it the connection, and nobody else anything
            traceback.print_exc()
            self._drop(client)

    def _drop(self, client: Connection) -> None:
        if client in self._clients:
            call = self._clients.pop(client)
            del self._uids[client]
            client.close()
            if call is not None:
                when_gone, call.when_gone = call.when_gone, _nothing  # nor do they hold each other
                when_gone()

    def _get_info(self, call: Call) -> None:
        call.allow()
        call.reply(
            vendor="taskgate",
            product="taskgated",
            version=__version__,
            url="https://varlink.org/",
            interfaces=list(self._interfaces),
        )

    def _get_description(self, call: Call) -> None:
        call.allow("interface")
        name = call.parameters.get("interface")
        if not isinstance(name, str) or name not in self._interfaces:
            raise VarlinkError(f"{SERVICE}.InterfaceNotFound", interface=str(name))
        call.reply(description=self._interfaces[name])
