"""What the daemon costs when nothing happens, and when very much happens at once.

    python -m tests.bench.idle [--files 100000]

Prints the daemon's wake-ups a second over ten idle seconds (all its threads), and how much its memory grows while
so many files are dropped at once.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from tests.bench.harness import Gate

SECONDS = 10.0


def wakeups(pid: int) -> int:
    """How often any thread of the process has gone to sleep, and so has been woken."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    options = parser.parse_args()
    with Gate("workers: 2\nmax_backlog: 1000\n") as running:
        running.drop_and_wait(20)
        time.sleep(3)
        before = wakeups(running.process.pid)
        time.sleep(SECONDS)
        rate = (wakeups(running.process.pid) - before) / SECONDS
        print(f"idle: {rate:.1f} wake-ups a second")
        memory = running.memory()
        staged = running.root / "staged"
        staged.mkdir()
        for n in range(options.files):
            (staged / f"{n}.yaml").write_text("command: sleep 60\n")
        peak = memory
        for entry in os.scandir(staged):
            os.rename(entry.path, running.spool / entry.name)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            peak = max(peak, running.memory())
            time.sleep(0.05)
        grown = (peak - memory) / 1e6
        print(f"{options.files} files at once: from {memory / 1e6:.1f} MB by {grown:.1f} MB at most")


if __name__ == "__main__":
    main()
