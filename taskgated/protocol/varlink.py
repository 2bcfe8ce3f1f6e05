"""A Varlink service on the main loop (https://varlink.org/): calls in, replies out, errors by name.

It knows the protocol and ``org.varlink.service``, nothing about jobs. A client that sends nothing, half a
message or too long a one costs one descriptor and at most ``LIMIT`` bytes; there are at most ``CLIENTS``.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from taskgated import __version__
from taskgated.core.owner import Owner
from taskgated.errors import ProtocolError, TaskgateError
from taskgated.host.loop import Loop
from taskgated.protocol.channel import Channel, Message, encode_unicode
from taskgated.protocol.connection import Connection
from taskgated.protocol.door import Door
from taskgated.protocol.standard import DESCRIPTION, INVALID_PARAMETER, PERMISSION_DENIED, SERVICE

LIMIT = 256 * 1024
"""Bytes of a call, and of what a client may say before the call before is answered."""
CLIENTS = 64
"""Connections at once."""
BACKED_UP = 32 * 1024 * 1024
"""Bytes that all connections of one user may leave unread; but one answer, of whatever size, everybody may have."""

T = TypeVar("T")


class VarlinkError(TaskgateError):
    """An error reply: its full name, and its parameters."""

    def __init__(self, name: str, **parameters: object) -> None:
        self.name = name
        self.parameters = parameters
        super().__init__(f"{name}: {parameters}")


def invalid(parameter: str) -> VarlinkError:
    """The error of a parameter that the method does not have, or that is not of its type."""
    return VarlinkError(f"{SERVICE}.{INVALID_PARAMETER}", parameter=parameter)


def denied() -> VarlinkError:
    """The error of a caller that may not do this."""
    return VarlinkError(f"{SERVICE}.{PERMISSION_DENIED}")


def _nothing() -> None:
    pass


class Call:
    """One method call. Replied to exactly once, or, when the client asked for ``more``, any number of times
    with ``continues`` and then once. ``uid``: the user that calls, as the kernel says."""

    def __init__(self, service: Service, client: Connection, uid: int, message: Message) -> None:
        method, parameters = message.get("method"), message.get("parameters", {})
        if not isinstance(method, str) or not isinstance(parameters, dict):
            raise ProtocolError("not a Varlink call")
        self.uid = uid
        self.method = method
        self.parameters: dict[str, object] = parameters
        self.more = message.get("more") is True
        self.name: str | None = None  # of that user, once a part that can tell it has done so
        self.when_gone = _nothing  # called when the client leaves without an answer
        self._service = service
        self._client = client
        self._oneway = message.get("oneway") is True
        self.answered = False

    @property
    def by(self) -> Owner:
        """Who calls, as far as it is known."""
        return Owner(str(self.uid) if self.name is None else self.name, self.uid)

    @property
    def privileged(self) -> bool:
        """Whether root calls, or the user that the daemon runs as."""
        return self.uid in (0, os.getuid())

    @property
    def gone(self) -> bool:
        """Whether nobody listens to the answer any more."""
        return self._client.closed

    def reply(self, parameters: Mapping[str, object], *, continues: bool = False) -> None:
        """Raises ``MessageTooLong``, and nothing is sent then. ``continues``: it is not the last reply."""
        if continues:
            self._send({"parameters": parameters, "continues": True})
        else:
            self._end({"parameters": parameters})

    def fail(self, error: Exception) -> None:
        """Reply with an error, by the name that its interface has for it; not after the last reply."""
        named = self._service.named(self, error)
        if not self.answered:
            self._end({"error": named.name, "parameters": named.parameters})

    def then(self, done: Callable[[T], object]) -> Callable[[T], None]:
        """``done``, for a part that calls it later: what it raises is the answer."""

        def called(value: T) -> None:
            try:
                done(value)
            except Exception as error:
                self.fail(error)

        return called

    def _end(self, message: Message) -> None:
        self._send(message)
        self.answered = True
        self._service.answered(self._client)

    def _send(self, message: Message) -> None:
        if not self._oneway:
            self._service.send(self._client, message)

    # -- parameters, typed; each of these raises ``InvalidParameter``, with the name ---------------

    def allow(self, *names: str) -> None:
        """Refuse parameters that the method does not have."""
        for name in self.parameters.keys() - set(names):
            raise invalid(name)

    def integer(self, name: str, default: int | None = None) -> int:
        """From 0 to 2**62; without a default it has to be there."""
        value = self.parameters.get(name)
        if value is None and default is not None:
            return default
        if type(value) is not int or not 0 <= value <= 2**62:
            raise invalid(name)
        return value

    def string(self, name: str, default: str | None = None) -> str:
        """Without a default it has to be there."""
        value = self.parameters.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise invalid(name)
        return value

    def integers(self, name: str) -> list[int]:
        """Each from 0 to below 2**62."""
        value = self.parameters.get(name)
        if not isinstance(value, list):
            raise invalid(name)
        found = [one for one in value if type(one) is int and 0 <= one < 2**62]
        if len(found) < len(value):
            raise invalid(name)
        return found

    def strings(self, name: str, allowed: Collection[str] | None = None) -> list[str]:
        """None when it is not there. ``allowed``: no others."""
        value = self.parameters.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise invalid(name)
        found = [one for one in value if isinstance(one, str)]
        if len(found) < len(value) or (allowed is not None and not set(found) <= set(allowed)):
            raise invalid(name)
        return found


Method = Callable[[Call], None]
"""It replies now or later. What it raises now is the answer."""


def _only_named(error: Exception) -> VarlinkError:
    if isinstance(error, VarlinkError):
        return error
    raise error


@dataclass(frozen=True, slots=True)
class Interface:
    """``description``: in the Varlink language. ``methods``: by their names there. ``named``: what an exception is
    called there; one that has no name it raises."""

    name: str
    description: str
    methods: Mapping[str, Method]
    named: Callable[[Exception], VarlinkError] = _only_named


class Service:
    """The interfaces at one socket.

    The mode of the socket says who may connect; what they may do is for each method, which is told the user.
    Calls of one connection are answered one after the other, as the protocol wants.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        mode: int,
        interfaces: Iterable[Interface],
    ) -> None:
        self._loop = loop
        own = {"GetInfo": self._get_info, "GetInterfaceDescription": self._get_description}
        ours = Interface(SERVICE, DESCRIPTION, own)
        self._interfaces = {interface.name: interface for interface in (ours, *interfaces)}
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

    def named(self, call: Call, error: Exception) -> VarlinkError:
        """What an exception is called in the interface of the call."""
        if isinstance(error, VarlinkError):
            return error
        return self._interfaces[call.method.rpartition(".")[0]].named(error)

    def _welcome(self, sock: socket.socket, pid: int, uid: int) -> None:
        if len(self._clients) >= CLIENTS and not self._make_room(uid):
            sock.close()
            return
        channel = Channel(sock, LIMIT, encode_unicode)
        client = Connection(
            self._loop, channel, lambda message: self._heard(client, message), lambda: self._drop(client)
        )
        self._clients[client] = None
        self._uids[client] = uid

    def _make_room(self, newcomer: int) -> bool:
        """No user keeps others out: the one with the most connections loses the oldest that waits for no answer, or
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
        try:
            try:
                self._method(call.method)(call)
            except Exception as error:
                call.fail(error)
        except Exception:  # it has no name: this bug costs the client its connection, and nobody else anything
            traceback.print_exc()
            self._drop(client)

    def _method(self, name: str) -> Method:
        interface, _, method = name.rpartition(".")
        if interface not in self._interfaces:
            raise VarlinkError(f"{SERVICE}.InterfaceNotFound", interface=interface)
        methods = self._interfaces[interface].methods
        if method not in methods:
            raise VarlinkError(f"{SERVICE}.MethodNotFound", method=name)
        return methods[method]

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
            {
                "vendor": "taskgate",
                "product": "taskgated",
                "version": __version__,
                "url": "https://varlink.org/",
                "interfaces": list(self._interfaces),
            }
        )

    def _get_description(self, call: Call) -> None:
        call.allow("interface")
        name = call.parameters.get("interface")
        if not isinstance(name, str) or name not in self._interfaces:
            raise VarlinkError(f"{SERVICE}.InterfaceNotFound", interface=str(name))
        call.reply({"description": self._interfaces[name].description})
