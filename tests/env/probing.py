"""Running the probes that come with the gate, as the gate does: as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests import REPOSITORY

PROBES = REPOSITORY / "packaging" / "probes"
OPEN, CLOSED, USAGE, UNKNOWN = range(4)
"""Exit statuses, as the manual has them."""


@dataclass(frozen=True)
class Said:
    """What a probe has said. ``room``: how many more may start; ``why``: one sentence, from wherever it came."""

    status: int
    room: int | None
    why: str
    seconds: float


def ask(probe: str, *arguments: object, env: dict[str, str] | None = None, path: Path | None = None) -> Said:
    """Run a probe to its end. ``path``: a directory whose programs are found first."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    if path is not None:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    begin = time.monotonic()
    command = [sys.executable, "-IBS", str(PROBES / probe), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    seconds = time.monotonic() - begin
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    if done.returncode not in (OPEN, CLOSED):
        assert not lines, "an error says nothing on stdout"
        return Said(done.returncode, None, done.stderr.strip(), seconds)
    assert done.stderr == ""
    room = int(lines.pop(0)) if lines[0].isdigit() else None
    assert len(lines) == 1 and lines[0].isprintable(), lines
    return Said(done.returncode, room, lines[0], seconds)
