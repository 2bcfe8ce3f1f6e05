"""What ``packaging/try`` shows: the samples of ``etc/examples`` pass the gate."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from taskgated.ctl import columns
from taskgated.ctl.client import Client, Unreachable
from taskgated.host.paths import Layout

REPOSITORY = Path(__file__).resolve().parents[1]
ROOT = REPOSITORY / ".taskgate"
SAMPLES = ("report.yaml", "backup", "night.tasks", "fails.yaml", "retried.yaml", "broken.yaml")
EXPECTED = {
    "report.yaml": ["succeeded"],
    "backup": ["succeeded"],
    "night.tasks": ["succeeded", "succeeded", "succeeded"],
    "fails.yaml": ["failed"],
    "retried.yaml": ["succeeded"],
}
PATIENCE = 60.0


def main() -> int:
    parser = argparse.ArgumentParser("packaging/try", description="Run the gate on the sample jobs.")
    parser.add_argument("--stay", action="store_true", help="keep the daemon running afterwards")
    stay = parser.parse_args().stay
    layout = Layout.under(ROOT)
    if running(layout):
        print(f"A gate already runs in {ROOT}: taskgatectl --root {ROOT} status", file=sys.stderr)
        return os.EX_TEMPFAIL
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    print(f"$ taskgated --root {ROOT.relative_to(REPOSITORY)} &")
    with open(ROOT / "daemon.log", "wb") as log:
        command = [sys.executable, "-m", "taskgated", "--root", str(ROOT)]
        daemon = subprocess.Popen(command, stderr=log, start_new_session=stay)
    try:
        wait_until_ready(layout, daemon)
        for name in SAMPLES:
            print(f"$ cp etc/examples/{name} .taskgate/spool/")
            shutil.copyfile(REPOSITORY / "etc" / "examples" / name, layout.spool / name)
        print()
        jobs = follow(layout, daemon)
        good = report(layout, jobs)
    except (TimeoutError, Unreachable) as error:
        print(f"{error}\n{(ROOT / 'daemon.log').read_text()}", file=sys.stderr)
        good, stay = False, False
    finally:
        if not stay:
            daemon.terminate()
            daemon.wait()
    if stay:
        print(f"\nThe daemon (pid {daemon.pid}) keeps running. Drop files into .taskgate/spool, and look:")
        print("    .venv/bin/taskgatectl --root .taskgate status")
        print(f"    kill {daemon.pid}        # ends it")
    return 0 if good else 1


def running(layout: Layout) -> bool:
    try:
        with Client(layout.control_socket) as gate:
            gate.call("Status")
    except Unreachable:
        return False
    return True


def wait_until_ready(layout: Layout, daemon: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and daemon.poll() is None:
        try:
            with Client(layout.control_socket) as gate:
                if gate.call("Status")["ready"]:
                    return
        except Unreachable:
            pass
        time.sleep(0.05)
    raise TimeoutError("the daemon did not become ready")


def follow(layout: Layout, daemon: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Show the daemon's own lines as they come, until all samples are over."""
    end = time.monotonic() + PATIENCE
    with Client(layout.control_socket) as gate, open(ROOT / "daemon.log", errors="replace") as log:
        while time.monotonic() < end and daemon.poll() is None:
            jobs: list[dict[str, Any]] = gate.call("List")["jobs"]
            over = [job for job in jobs if job["state"] in ("succeeded", "failed", "cancelled")]
            refused = (layout.rejected / "broken.yaml.reason").exists()
            print(log.read(), end="", flush=True)
            if refused and len(over) == len(jobs) == sum(map(len, EXPECTED.values())):
                return jobs
            time.sleep(0.1)
    raise TimeoutError("the samples did not end in time")


def report(layout: Layout, jobs: list[dict[str, Any]]) -> bool:
    print("\n$ taskgatectl --root .taskgate list")
    print("\n".join(columns.table(columns.JOB_HEAD, map(columns.job_row, jobs))))
    print("\nRefused, in .taskgate/spool/rejected/:")
    print((layout.rejected / "broken.yaml.reason").read_text())
    print("Output, in .taskgate/log/ (or: taskgatectl --root .taskgate logs ID):")
    for path in sorted(layout.log.rglob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        print(f"  {path.relative_to(REPOSITORY)}: {lines[0] if lines else ''}")
    ended: dict[str, list[str]] = {}
    for job in jobs:
        ended.setdefault(job["source"], []).append(job["state"])
    tried = {job["source"]: job["attempt"] for job in jobs}
    good = ended == EXPECTED and tried["retried.yaml"] == 2
    print("\nAll ended as they should." if good else f"\nThis is not as it should be: {ended}")
    return good


if __name__ == "__main__":
    sys.exit(main())
