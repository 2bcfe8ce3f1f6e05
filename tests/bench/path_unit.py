"""What people try first: a systemd ``.path`` unit with a oneshot service. Measured beside the gate, in one machine.

    python -m tests.bench.path_unit [--suite bookworm|trixie]       (root; see tests/system)

Two questions: how long from the rename of a file into the directory to the first instruction of what it starts;
and how many of 30 files, dropped 0.1 s apart, are worked on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.env.packages import deb
from tests.env.until import until
from tests.system.gate import Gate
from tests.system.machine import SUITES, Machine

# Works on whatever lies there; each file's name is the moment it was dropped, in nanoseconds.
WORK = 'for f in /srv/in/*; do [ -e "$f" ] && echo "${f##*/} $(date +%s%N)" >>/srv/log && rm "$f"; done; true'
DROP = """
import os, sys, time
directory, suffix, content, pause = sys.argv[1:5]
for _ in range(int(sys.argv[5])):
    open(directory + "/.fresh", "w").write(content)
    os.rename(directory + "/.fresh", f"{directory}/{time.time_ns()}{suffix}")
    time.sleep(float(pause))
"""


def main() -> int:
    parser = argparse.ArgumentParser("path_unit", description="The gate beside a .path unit.")
    parser.add_argument("--suite", choices=SUITES, default="bookworm")
    suite = parser.parse_args().suite
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(suite, Path(directory))
        machine.boot()
        try:
            measure(machine)
        finally:
            machine.close()
    return 0


def measure(machine: Machine) -> None:
    gate = Gate(machine)
    gate.install(deb())
    gate.make_ready()
    machine.run("mkdir", "-p", "/srv/in")
    machine.write("/opt/drop.py", DROP)
    machine.write("/etc/systemd/system/try.path", "[Path]\nDirectoryNotEmpty=/srv/in\n")
    machine.write(
        "/etc/systemd/system/try.service",
        f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{WORK}'\n".replace("$", "$$").replace("%", "%%"),
    )
    print(f"{machine.suite}, systemd {machine.version()}")

    limited = "[Unit]\nStartLimitIntervalSec=0\n"
    machine.write("/etc/systemd/system/try.service.d/nolimit.conf", limited)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "try.path")
    theirs = latency(machine, "/srv/in", "", "x", 20)
    machine.run("systemctl", "stop", "try.path")
    ours = latency(machine, "/var/spool/taskgate", ".tasks", 'echo "$(date +%s%N)"\n', 20, gate)
    print(f"rename to first instruction, median of 20: .path unit {theirs:.1f} ms, gate {ours:.1f} ms, "
          f"ratio {theirs / ours:.1f}")  # fmt: skip

    machine.run("rm", "/etc/systemd/system/try.service.d/nolimit.conf", "/srv/log")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "try.path")
    machine.run("python3", "/opt/drop.py", "/srv/in", "", "x", "0.1", "30")
    time.sleep(2)
    done = len(machine.run("cat", "/srv/log").splitlines())
    result = machine.property("Result", "try.path")
    before = len(gate.jobs())
    machine.run("python3", "/opt/drop.py", "/var/spool/taskgate", ".tasks", "true\n", "0.1", "30")
    until(lambda: len([j for j in gate.jobs()[before:] if j["state"] == "succeeded"]) == 30, "all 30 have run")
    print(f"30 files, 0.1 s apart, default limits: .path unit {done} (then: {result}), gate 30")


def latency(
    machine: Machine, directory: str, suffix: str, content: str, number: int, gate: Gate | None = None
) -> float:
    """Milliseconds, the median; files come half a second apart, so that each finds everything idle."""
    machine.run("python3", "/opt/drop.py", directory, suffix, content, "0.5", str(number))
    if gate is None:
        rows = [line.split() for line in machine.run("cat", "/srv/log").splitlines()]
    else:
        until(lambda: [job["state"] for job in gate.jobs()].count("succeeded") == number, "all have run")
        rows = [[job["source"].removesuffix(suffix), gate.ctl("logs", str(job["id"])).stdout] for job in gate.jobs()]
    took = [int(end) - int(start) for start, end in rows]
    assert len(took) == number
    return statistics.median(took) / 1e6


if __name__ == "__main__":
    sys.exit(main())
