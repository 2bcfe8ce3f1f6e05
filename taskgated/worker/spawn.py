"""How the daemon starts the worker server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import taskgated
from taskgated.protocol.channel import Channel
from taskgated.protocol.serving import Settings
from taskgated.worker import cookie

# What concerns the daemon alone: a worker must neither speak to systemd nor pass for a job's process.
_NOT_INHERITED = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    cookie.NAME.decode(),
)


def spawn_server(
    settings: Settings, program: Sequence[str] = (sys.executable, "-m", "taskgated.worker")
) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a worker server; returns its process and the daemon's end of the socket to it.

    Close the channel to make it exit: the workers live on by themselves.
    """
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.send(settings.to_json())
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
