"""Every event of a job, where operators look for it.

With a journal: its native protocol, with fields (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), so that
``journalctl TASKGATE_JOB_ID=42`` shows one job's life. Plain lines go to standard error unless that is the
journal already (``JOURNAL_STREAM``, systemd.exec(5)).
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence

from taskgated.events import Event
from taskgated.host.outlet import Outlet
from taskgated.text import printable, to_bytes

SOCKET = "/run/systemd/journal/socket"
PATIENCE = 2.0
"""Seconds at the end for what has not been written yet."""


class Priority(enum.IntEnum):
    """syslog(3) levels."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


Field = str | int | None


class Journal:
    """Where events go. Never raises and never blocks: a log that is full, or hangs, does not stop the gate."""

    def __init__(self, path: str = SOCKET) -> None:
        self._lines: list[bytes] = []
        self._entries: list[bytes] = []
        self._native: _Native | None = None
        self._to_journal: Outlet | None = None
        self._to_stderr: Outlet | None = None
        if os.path.exists(path):
            try:
                self._native = _Native(path)
                self._to_journal = Outlet("journal", self._native.send, _missing_entry)
            except OSError:
                pass
        if self._native is None or not _stderr_is_the_journal():
            self._to_stderr = Outlet("standard error", _to_stderr, _missing_line, joined=True)

    def event(
        self,
        event: Event,
        message: str,
        priority: Priority = Priority.INFO,
        *,
        more: Sequence[str] = (),
        **fields: Field,
    ) -> None:
        """One event, in one line, whatever was written into the names that it quotes; ``more``: lines below it, which
        cannot be taken for events. ``fields``: ``job_id=42`` becomes ``TASKGATE_JOB_ID=42``; None is left out."""
        text = "\n".join(map(printable, (message, *more)))
        if self._to_stderr is not None:
            self._lines.append(_line(text))
        if self._to_journal is not None:
            self._entries.append(_entry(event, text, priority, fields))

    def flush(self) -> None:
        """Hand over what was told since the last time: once for all of one turn of the loop."""
        lines, self._lines = self._lines, []
        entries, self._entries = self._entries, []
        if lines and self._to_stderr is not None:
            self._to_stderr.put(lines)
        if entries and self._to_journal is not None:
            self._to_journal.put(entries)

    def close(self) -> None:
        """What can be written in ``PATIENCE`` seconds is written."""
        self.flush()
        outlets = [outlet for outlet in (self._to_stderr, self._to_journal) if outlet is not None]
        end = time.monotonic() + PATIENCE
        for outlet in outlets:
            outlet.close()
        for outlet in outlets:
            outlet.join(max(0.0, end - time.monotonic()))


class _Native:
    """The socket of a journal (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). Looked for with each message: one that
    was restarted may have a new socket behind the name. Raises ``OSError`` where nobody listens."""

    def __init__(self, path: str) -> None:
        self._path = path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def send(self, data: bytes) -> int:
        """Blocks while the journal takes nothing."""
        try:
            self._sock.sendto(data, self._path)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._send_by_memfd(data)
        return len(data)

    def _send_by_memfd(self, data: bytes) -> None:
        """What is too long for a datagram travels as a sealed memory file, as the protocol has it."""
        fd = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, data)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))
            self._sock.sendmsg([b""], [rights], 0, self._path)
        finally:
            os.close(fd)


def _to_stderr(data: bytes) -> int:
    return os.write(2, data)


def _line(message: str) -> bytes:
    below = message.replace("\n", "\n    ")
    return to_bytes(f"{time.strftime('%H:%M:%S')} {below}\n")


def _entry(event: Event, message: str, priority: Priority, fields: Mapping[str, Field]) -> bytes:
    data = [
        field("MESSAGE", message),
        field("PRIORITY", int(priority)),
        field("MESSAGE_ID", event.value),
        field("SYSLOG_IDENTIFIER", "taskgated"),
    ]
    data += [field(f"TASKGATE_{k.upper()}", v) for k, v in fields.items() if v is not None]
    return b"".join(data)


def _missing(number: int) -> str:
    return f"{number} event{'s' * (number != 1)} of this time are missing: they could not be written fast enough"


def _missing_line(number: int) -> bytes:
    return _line(_missing(number))


def _missing_entry(number: int) -> bytes:
    return _entry(Event.EVENTS_MISSING, _missing(number), Priority.WARNING, {})


def field(name: str, value: str | int | bytes) -> bytes:
    """One field as the native protocol has it."""
    data = value if isinstance(value, bytes) else to_bytes(str(value))
    if b"\n" in data:  # binary-safe form: name, newline, length, data
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def _stderr_is_the_journal() -> bool:
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
