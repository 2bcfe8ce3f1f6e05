"""What the daemon and the worker server say to each other; in the way of ``messages``.

====================  =======================================================  ======================================
said by               messages                                                 parser
====================  =======================================================  ======================================
daemon, to a server   Settings (first), Fork, Bury, Ping                       ``Settings.parse``, then ``for_server``
server, to a daemon   Forked, Exited, Buried, HeldUp, Failed, Pong             ``from_server``
====================  =======================================================  ======================================

What they say of looks is in ``looking``.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from taskgated.errors import ProtocolError
from taskgated.host.paths import Layout
from taskgated.host.processes import ProcessId
from taskgated.protocol import looking
from taskgated.protocol.channel import Message
from taskgated.protocol.looking import EndLook, Look, Sight
from taskgated.protocol.messages import Identity, Key, Ping, Pong, Unknown, kind_of

# -- the daemon to the worker server -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a worker has to know; the first message to the server.

    ``worker_socket``, ``outcomes``, ``scripts``: paths. ``instance`` tells the jobs of this gate from those of
    another on the same host. ``reconnect`` is how often (seconds) a worker looks for a new daemon, ``linger`` how
    long it does so with nothing to run.
    """

    worker_socket: str
    outcomes: str
    scripts: str
    instance: str
    umask: int = 0o022
    reconnect: float = 1.0
    linger: float = 5.0

    @classmethod
    def of(cls, layout: Layout, umask: int = 0o022) -> Settings:
        """For the gate at ``layout``, whose state directory exists: its inode names the instance."""
        state = os.stat(layout.state)
        return cls(
            worker_socket=str(layout.worker_socket),
            outcomes=str(layout.outcomes),
            scripts=str(layout.scripts),
            instance=f"{state.st_dev:x}.{state.st_ino:x}",
            umask=umask,
        )

    @property
    def name(self) -> str:
        """The directory of the gate's state, for people who look at the processes; and for ``survivors``."""
        return os.path.dirname(self.outcomes)

    def to_json(self) -> Message:
        return {"settings": asdict(self)}

    @classmethod
    def parse(cls, message: Message) -> Settings:
        """Raises ``ProtocolError``."""
        try:
            settings = message["settings"]
            if not isinstance(settings, dict):
                raise TypeError(f"{settings!r} is no mapping")
            return cls(**settings)
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"not the settings of a worker: {error}") from None


@dataclass(frozen=True, slots=True)
class Fork:
    """Make one more worker; answered by ``Forked`` or ``Failed``."""

    def to_json(self) -> Message:
        return {"fork": {}}


@dataclass(frozen=True, slots=True)
class Bury:
    """See to it that nothing is left of that worker and of the attempt that it had; answered by ``Buried``."""

    worker: Identity
    running: Key | None

    def to_json(self) -> Message:
        job, attempt = self.running or (None, None)
        return {"bury": {**self.worker.to_json(), "job": job, "attempt": attempt}}


def for_server(message: Message) -> Fork | Bury | Ping | Look | EndLook:
    """What the daemon tells the server. Raises ``ProtocolError`` for anything else: the server is replaced then, and
    nothing is lost with it."""
    match message:
        case {"fork": _}:
            return Fork()
        case {"bury": dict(body)}:
            running = None
            match body:
                case {"job": int(job), "attempt": int(attempt)}:
                    running = (job, attempt)
            # A group with a strange name is no reason to bury nobody: what is to be killed is looked at anyway.
            group = body.get("cgroup")
            return Bury(Identity(_process(body), group if isinstance(group, str) else None), running)
        case {"ping": token}:
            return Ping(token)
    if said := looking.for_server(message):
        return said
    raise ProtocolError(f"unknown message: {kind_of(message)}")


# -- the worker server to the daemon -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker is there, and will say hello."""

    worker: ProcessId

    def to_json(self) -> Message:
        return {"forked": self.worker.to_json()}


@dataclass(frozen=True, slots=True)
class Exited:
    """A worker of this server has ended; ``status`` as waitpid(2) gives it."""

    worker: ProcessId
    status: int

    def to_json(self) -> Message:
        return {"exited": {**self.worker.to_json(), "status": self.status}}


@dataclass(frozen=True, slots=True)
class Buried:
    """Nothing is left of a worker and its attempt; so many processes had to be killed for that."""

    worker: ProcessId
    killed: int

    def to_json(self) -> Message:
        return {"buried": {**self.worker.to_json(), "killed": self.killed}}


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A burial waits for processes that were killed and live on: each as people are to read of it; none any more."""

    worker: ProcessId
    by: list[str]

    def to_json(self) -> Message:
        return {"held up": {**self.worker.to_json(), "by": self.by}}


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker could not be forked, and why."""

    error: str

    def to_json(self) -> Message:
        return {"failed": {"error": self.error}}


_FromServer = Forked | Exited | Buried | HeldUp | Failed | Pong | Unknown | Sight
_FROM_SERVER = {"forked", "exited", "buried", "held up", "failed", *looking.FROM_SERVER}


def from_server(message: Message) -> _FromServer:
    """What the server tells the daemon; ``Unknown`` is what a later version may say. Raises ``ProtocolError`` when
    nothing that it says can be relied on."""
    if len(message) == 1:
        match message:
            case {"forked": dict(body)}:
                return Forked(_process(body))
            case {"exited": {"status": int(status)} as body}:
                return Exited(_process(body), status)
            case {"buried": {"killed": int(killed)} as body}:
                return Buried(_process(body), killed)
            case {"held up": {"by": [*by]} as body} if all(isinstance(one, str) for one in by):
                return HeldUp(_process(body), by)
            case {"failed": {"error": str(error)}}:
                return Failed(error)
            case {"pong": token}:
                return Pong(token)
        if said := looking.from_server(message):
            return said
        if not message.keys() & _FROM_SERVER:
            return Unknown(kind_of(message))
    raise ProtocolError(f"not from a worker server: {kind_of(message) or 'nothing'}")


# -- inside --------------------------------------------------------------------------------------


def _process(body: object) -> ProcessId:
    if not isinstance(body, dict):
        raise ProtocolError(f"not a process: {body!r}")
    try:
        return ProcessId.from_json(body)
    except ValueError as error:
        raise ProtocolError(str(error)) from None
