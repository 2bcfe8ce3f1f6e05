"""The pseudo-terminal of a job (pty(7)), whose output is read like that of a pipe."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

LINES, COLUMNS = 24, 80
_OFLAG, _LFLAG = 1, 3


def make() -> tuple[int, int]:
    """Descriptors of the side that reads, and of the job's. Lines end in a newline alone, as in every record, and
    nothing is echoed, for nobody types. Raises ``OSError`` as openpty(3) does: ENOSPC when there are as many as
    ``/proc/sys/kernel/pty/max`` allows (pty(7))."""
    ours, jobs = os.openpty()
    try:
        attributes = termios.tcgetattr(jobs)
        attributes[_OFLAG] &= ~termios.ONLCR
        attributes[_LFLAG] &= ~termios.ECHO
        termios.tcsetattr(jobs, termios.TCSANOW, attributes)
        fcntl.ioctl(jobs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    except (OSError, termios.error) as error:
        os.close(ours)
        os.close(jobs)
        number = error.args[0]
        raise OSError(number, os.strerror(number)) from None
    return ours, jobs


def silence(ours: int, jobs: int) -> None:
    """Put a pipe in the place of a terminal that was hung up, as it is when the session's first process ends: that
    would be readable for ever, with nothing to read."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.dup2(readable, ours, inheritable=False)
    os.dup2(writable, jobs, inheritable=False)
    os.close(readable)
    os.close(writable)
