"""From a rename into the spool to the job's first instruction, idle: as a ratio to a bare ``inotifywait | sh`` loop.

    python -m tests.bench.latency [--jobs 100]

Needs inotifywait (Debian: inotify-tools). Both sides run the same one-line script, which writes the time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.harness import Gate

PAUSE = 0.05
"""Seconds between drops, so that each finds an idle machine."""


class Probe:
    """Drops scripts that answer through a FIFO, so that nobody spins while the time is taken."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._fifo = top / "fifo"
        os.mkfifo(self._fifo)
        self._fd = os.open(self._fifo, os.O_RDWR)

    def drop(self, target: Path, number: int) -> float:
        """Milliseconds from the rename until the script's first line was executed."""
        staged = self._top / "staged"
        staged.write_text(f"#!/bin/sh\necho > {self._fifo}\n")
        staged.chmod(0o755)
        begin = time.perf_counter()
        os.rename(staged, target / f"{number}.sh")
        os.read(self._fd, 1)
        took = (time.perf_counter() - begin) * 1000
        time.sleep(PAUSE)
        return took

    def median(self, target: Path, jobs: int) -> float:
        return statistics.median(self.drop(target, n) for n in range(jobs))


def bare(jobs: int) -> float:
    """The reference."""
    top = Path(tempfile.mkdtemp(prefix="taskgate-bench-"))
    spool = top / "spool"
    spool.mkdir()
    loop = f"inotifywait -q -m -e moved_to --format %f {spool} | while read -r f; do {spool}/$f; done"
    process = subprocess.Popen(["sh", "-c", loop], start_new_session=True)
    try:
        time.sleep(1)
        return Probe(top).median(spool, jobs)
    finally:
        os.killpg(process.pid, 15)
        process.wait()
        shutil.rmtree(top)


def gate(jobs: int) -> float:
    with Gate("workers: 2\n") as running:
        time.sleep(1)
        return Probe(running.root).median(running.spool, jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100)
    options = parser.parse_args()
    first, ours, again = bare(options.jobs), gate(options.jobs), bare(options.jobs)
    reference = (first + again) / 2
    print(f"inotifywait | sh: {first:.2f} and {again:.2f} ms; taskgated: {ours:.2f} ms; ratio {ours / reference:.2f}")


if __name__ == "__main__":
    main()
