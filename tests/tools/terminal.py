"""A program on a terminal of its own, and somebody who types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence

QUIET = 0.4
"""Seconds without a sign, after which a program waits for keys."""


def typed(line: str, keys: Sequence[str], env: Mapping[str, str], timeout: float = 20.0) -> tuple[int, str]:
    """The exit status of a shell line, and all that its terminal has shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "/bin/sh", "-c", line],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "vt100"},
    )
    os.close(theirs)
    left, shown, end = list(keys), b"", time.monotonic() + timeout
    try:
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], QUIET)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # nobody has the terminal any more
                    break
            elif left and shown:
                os.write(ours, left.pop(0).encode())
        status = process.wait(max(1.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = -9
    finally:
        os.close(ours)
    return status, shown.decode(errors="replace")
