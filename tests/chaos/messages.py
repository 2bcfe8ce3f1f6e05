"""Messages that do not get through: sends that fail, and a log that nobody reads. Nobody waits for ever."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.siege import Siege
from tests.chaos.table import Row

JOBS = 40
LAST = "after0"
PROMPT = 1.5
"""Seconds in which the control socket answers, whoever else does not."""


def _names() -> list[str]:
    return [f"during{number}" for number in range(JOBS)]


def sends(name: str, rng: random.Random, error: str, every: int) -> Row:
    """Some of what the daemon sends, to workers, to their server and to clients, fails: for want of memory, which
    costs nobody anything; or as if the other end were gone, which costs that connection, and no more."""
    with Siege(name) as siege:
        _begin(siege)
        names = _names()
        siege.prepare(*names)
        first = rng.randrange(2, 2 + every)
        with siege.injected("sendto", f"error={error}:when={first}+{every}") as log:
            siege.release(*names)
            siege.until_ended("across", *names)
            if "INJECTED" not in log.read_text():
                siege.notes.append("none of the daemon's sends failed")
        since = time.monotonic()
        siege.drop(LAST)
        # A worker that seems to be gone is ended, and what it had runs again.
        return siege.audit(since, again=() if error == "ENOBUFS" else (*names, "across"))


def unread(name: str, rng: random.Random) -> Row:
    """Standard error is a pipe that nobody reads, and soon full."""
    siege = Siege(name)
    os.mkfifo(siege.env.root / "daemon.log")
    reader = os.open(siege.env.root / "daemon.log", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    siege.env.log = lambda: "nobody reads it"  # type: ignore[method-assign]
    try:
        with siege:
            return _many(siege)
    finally:
        os.close(reader)


def hung(name: str, rng: random.Random) -> Row:
    """A journald that listens, and takes nothing. When it goes on it gets all that was told, in order."""
    with (
        tempfile.TemporaryDirectory(prefix="taskgate-run-") as run,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald,
    ):
        directory = Path(run, "systemd/journal")
        directory.mkdir(parents=True)
        journald.bind(str(directory / "socket"))
        prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {run} /run && exec "$@"', "sh"]
        with Siege(name, prefix=prefix) as siege:
            journald.settimeout(30)

            def read() -> bytes:
                told = b""
                while f"({LAST}, attempt 1): succeeded".encode() not in told:
                    told += journald.recv(65536)
                return told

            return _many(siege, read if rng.random() < 0.5 else None)


def _many(siege: Siege, read: Callable[[], bytes] | None = None) -> Row:
    """More is told than a pipe or a socket holds, and meanwhile it answers; ``read``: all that was told."""
    _begin(siege)
    names = _names()
    siege.prepare(*names)
    for number in names:
        siege.release(number)
        siege.wait(lambda: _prompt(siege), "it answers")
    siege.until_ended("across", *names)
    since = time.monotonic()
    siege.drop(LAST)
    siege.until_ended(LAST)
    if read is not None:
        told = read()
        places = [told.find(f"({number}, attempt 1): started".encode()) for number in names]
        if -1 in places:
            siege.notes.append("the journal has not got all of it")
    return siege.audit(since)


def _begin(siege: Siege) -> None:
    siege.well()
    siege.drop("across", seconds=5)
    siege.until_running("across")
    siege.mark()


def _prompt(siege: Siege) -> bool:
    asked = time.monotonic()
    status = siege.status()
    if (took := time.monotonic() - asked) > PROMPT:
        siege.notes.append(f"an answer took {took:.1f} s")
    return bool(status)
