"""A job whose streams are files or a terminal: its process opens them itself, in the place of the job.

An open may take for ever, as that of a FIFO without a reader (fifo(7)) or of a file on a server that does not answer.
So the process that waits is the job's own: it has the job's session and group already, the timeout counts, and what
ends jobs ends it. The worker goes on meanwhile; what became of it is read when it has ended, from a pipe that is
closed when the program starts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import termios
from dataclasses import dataclass
from typing import NoReturn

from taskgated.core.streams import Mode, Stream
from taskgated.host import kernel
from taskgated.text import to_bytes

_REPORT = 3
"""The descriptor that the report goes to, behind the three streams."""
_RUNNING = "running"
_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """All that the process needs. ``stdin``: a path, or a descriptor. ``output``: the descriptor for what has no file
    of its own; with ``tty`` that is a terminal, and gets the one that controls the session."""

    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    umask: int
    stdin: str | int
    stdout: Stream | None
    stderr: Stream | None
    output: int
    tty: bool


@dataclass(frozen=True, slots=True)
class Stuck:
    """How far a process came that never started its program. ``step``: ``stdin``, ``stdout``, ``stderr``, ``tty``,
    ``cwd`` or ``run``; ``error``: an errno, 0 if it was ended while it was at it."""

    step: str
    error: int


class Launched:
    """A process in the place of a job; ``pid``."""

    def __init__(self, place: Place) -> None:
        """Raises ``OSError`` when no process can be had."""
        self._report, theirs = os.pipe()
        try:
            # Our handlers would write to our own wake-up pipe, which the new process shares until it is another's.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self.pid = os.fork()
                if self.pid == 0:
                    _become(place, theirs)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except OSError:
            os.close(self._report)
            raise
        finally:
            os.close(theirs)
        os.read(self._report, 1)  # it has its session, so a signal to its group reaches it

    def stuck(self) -> Stuck | None:
        """To be asked when it has ended: what kept it from starting its program; None if it did start it."""
        os.set_blocking(self._report, False)
        try:
            said = os.read(self._report, _SIZE).decode(errors="replace")
        except BlockingIOError:
            return None
        before, begun, behind = said.partition(f"\n{_RUNNING}\n")
        if begun:
            # It may be followed by what the job wrote: /proc/self/fd has this pipe while its files are opened.
            match = re.fullmatch(r"run\n(\d{1,4})\n", behind)
            return Stuck("run", int(match[1])) if match else None
        words = before.split()
        if not words:
            return None
        return Stuck(words[-2], int(words[-1])) if words[-1].isdigit() else Stuck(words[-1], 0)

    def close(self) -> None:
        os.close(self._report)


def _become(place: Place, report: int) -> NoReturn:
    """The new process' life until it is the job."""
    step = "cwd"
    try:
        _take_descriptors(place, report)
        kernel.die_with_parent()  # until the environment is the job's, only its worker knows whose this process is
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if signal.getsignal(number) not in (signal.SIG_DFL, None):  # also what Python itself ignores
                signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.write(_REPORT, b"\ncwd\n")
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(place.umask)
        os.chdir(place.cwd)
        if place.tty:
            step = "tty"
            fcntl.ioctl(1, termios.TIOCSCTTY, 0)
        step = "stdin"
        if isinstance(place.stdin, str):
            _open(step, place.stdin, os.O_RDONLY, 0)
        step = "stdout"
        if place.stdout is not None:
            _open(step, place.stdout.path, _flags(place.stdout), 1)
        step = "stderr"
        if place.stderr is not None:
            if place.stdout is not None and place.stderr.path == place.stdout.path:
                os.dup2(1, 2)  # one open file, so one position in it
            else:
                _open(step, place.stderr.path, _flags(place.stderr), 2)
        step = "run"
        kernel.die_with_parent(False)
        os.write(_REPORT, f"{_RUNNING}\n".encode())
        os.execvpe(place.argv[0], place.argv, place.env)
    except OSError as error:
        os.write(_REPORT, f"{step}\n{error.errno}\n".encode())
    except ValueError:
        os.write(_REPORT, f"{step}\n{errno.EINVAL}\n".encode())
    finally:
        os._exit(126)


def _take_descriptors(place: Place, report: int) -> None:
    """The streams and the report, and nothing else of the worker's."""
    if isinstance(place.stdin, int):
        os.dup2(place.stdin, 0)
    for number in (1, 2):
        os.dup2(place.output, number)
    if report != _REPORT:
        os.dup2(report, _REPORT, inheritable=False)
    os.closerange(_REPORT + 1, os.sysconf("SC_OPEN_MAX"))


def _flags(stream: Stream) -> int:
    how = os.O_TRUNC if stream.mode is Mode.TRUNCATE else os.O_APPEND
    return os.O_WRONLY | os.O_CREAT | how


def _open(step: str, path: str, flags: int, number: int) -> None:
    """Open a file in the place of a stream. None becomes the terminal that controls the session."""
    os.write(_REPORT, f"{step}\n".encode())
    fd = os.open(to_bytes(path), flags | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    os.dup2(fd, number)
    os.close(fd)
