"""How the daemon starts the worker server, and what the server and its workers are told by it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import taskgated
from taskgated.errors import ProtocolError
from taskgated.paths import Layout
from taskgated.wire import Channel, Message

# What concerns the daemon alone: a worker must neither speak to systemd nor pass for a job's process.
_NOT_INHERITED = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "TASKGATE_COOKIE",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a worker has to know; the first message to the server.

    ``instance`` tells the jobs of this gate from those of another on the same host. ``reconnect`` is how
    often (seconds) a worker looks for a new daemon, ``linger`` how long it does so with nothing to run.
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

    def to_message(self) -> Message:
        return {"settings": asdict(self)}

    @classmethod
    def from_message(cls, message: Message) -> Settings:
        """Raises ``ProtocolError``."""
        try:
            return cls(**message["settings"])
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"not the settings of a worker: {error}") from None

    def cookie(self, job: int, attempt: int) -> str:
        """What marks every process of an attempt, as ``TASKGATE_COOKIE`` in its environment."""
        return f"{self.instance}-{job}-{attempt}"


def spawn_server(
    settings: Settings, program: Sequence[str] = (sys.executable, "-m", "taskgated.worker")
) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a worker server; returns its process and the daemon's end of the socket to it.

    Close the channel to make it exit: the workers live on by themselves.
    """
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.send(settings.to_message())
    with theirs:
        process = subprocess.Popen(
            [*program, settings.name],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            # So that it runs the same code as we do, also from a checkout that is not installed.
            cwd=Path(taskgated.__file__).parent.parent,
            env={name: value for name, value in os.environ.items() if name not in _NOT_INHERITED},
        )
    return process, channel
