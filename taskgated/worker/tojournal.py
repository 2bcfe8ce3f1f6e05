"""A job's output in the journal, line by line, under the fields of its job, and never more than its share.

A bucket of tokens (RFC 2697 has the idea) lets ``RATE_SPAN`` seconds' worth of lines go at once and ``rate`` a
second after that. What has to be dropped is counted, and said in a line of its own when there is room again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from taskgated.core.job import Spec
from taskgated.events import Event
from taskgated.host.journal import SOCKET, Priority, field

RATE_SPAN = 10.0
LONGEST = 8 * 1024
"""Bytes of a line that go into one entry; what is longer becomes several."""
PATIENCE = 0.1
"""Seconds that the journal may keep us waiting; then it gets nothing for ``SULK`` seconds: a journal that hangs
must not hold up the job."""
SULK = 1.0


class Lines:
    """The output of one attempt on its way to the journal. Never raises ``OSError``."""

    def __init__(
        self,
        job: int,
        attempt: int,
        spec: Spec,
        path: str = SOCKET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._rate = spec.output.journal_rate
        self._tokens = self._rate * RATE_SPAN
        self._filled = clock()
        self._deaf_until = 0.0
        self._dropped = 0
        self._said = self._filled  # when that was told
        self._rest = b""
        self._name = f"job {job} ({spec.name}, attempt {attempt})"
        self._common = b"".join(
            (
                field("SYSLOG_IDENTIFIER", f"job-{job}"),
                field("TASKGATE_JOB_ID", job),
                field("TASKGATE_JOB_NAME", spec.name),
                field("TASKGATE_QUEUE", spec.queue),
                field("TASKGATE_ATTEMPT", attempt),
            )
        )
        self._socket = _connected(path)

    def write(self, data: bytes) -> None:
        """Take more output; whole lines go out, the rest waits for its end."""
        if self._socket is None:
            return
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) >= LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._rest = rest
        for line in lines:
            for at in range(0, max(1, len(line)), LONGEST):
                self._line(line[at : at + LONGEST])

    def finish(self) -> None:
        """The last line, even without an end, and what was dropped."""
        if self._socket is None:
            return
        if self._rest:
            self._line(self._rest)
        if self._dropped:
            self._say_dropped()
        self._socket.close()
        self._socket = None

    def _line(self, line: bytes) -> None:
        now = self._clock()
        self._tokens = min(self._rate * RATE_SPAN, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1 or now < self._deaf_until:
            self._dropped += 1
            return
        if self._dropped and now - self._said >= RATE_SPAN:
            self._say_dropped()
            self._said = now
        self._tokens -= 1
        if not self._send(field("PRIORITY", int(Priority.INFO)) + field("MESSAGE", line)):
            self._dropped += 1

    def _say_dropped(self) -> None:
        text = (
            f"{self._name}: {self._dropped} lines of its output were not passed on here: more than "
            f"{self._rate} a second (output.journal_rate), or the journal was too slow; the file has them"
        )
        if self._send(
            field("PRIORITY", int(Priority.WARNING))
            + field("MESSAGE_ID", Event.OUTPUT_DROPPED)
            + field("MESSAGE", text)
        ):
            self._dropped = 0

    def _send(self, fields: bytes) -> bool:
        assert self._socket is not None
        try:
            self._socket.send(fields + self._common)
        except OSError:
            self._deaf_until = self._clock() + SULK
            return False
        return True


def _connected(path: str) -> socket.socket | None:
    """None when there is no journal, or no descriptor for it; the output is in its file."""
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    except OSError:
        return None
    try:
        sock.settimeout(PATIENCE)
        sock.connect(path)
    except OSError:
        sock.close()
        return None
    return sock


def lines_of(job: int, attempt: int, spec: Spec) -> Lines | None:
    """For an attempt whose spec wants it."""
    return Lines(job, attempt, spec) if spec.output.journal else None
