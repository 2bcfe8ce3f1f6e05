"""Many small jobs, dropped at once, to the last outcome on stable storage: as a ratio to xargs in the same run.

    python -m tests.bench.throughput [--jobs 20000] [--form spec|tasks|files]

The reference is ``xargs -P2 -n1 /bin/true``, which keeps no record of anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time

from tests.bench.harness import Gate


def xargs(jobs: int) -> float:
    """Jobs a second of the reference."""
    numbers = "".join(f"{n}\n" for n in range(jobs)).encode()
    begin = time.perf_counter()
    subprocess.run(["xargs", "-P2", "-n1", "/bin/true"], input=numbers, check=True)
    return jobs / (time.perf_counter() - begin)


def gate(jobs: int, form: str) -> tuple[float, float]:
    """Jobs a second through the gate, and CPU microseconds of the daemon for each."""
    with Gate("workers: 2\n") as running:
        if form == "tasks":
            staged = running.root / "jobs.tasks"
            staged.write_text("exec /bin/true\n" * jobs)
        elif form == "spec":
            staged = running.root / "jobs.yaml"
            staged.write_text("- {command: [/bin/true]}\n" * jobs)
        else:
            staged = running.root / "staged"
            staged.mkdir()
            for n in range(jobs):
                (staged / f"{n}.yaml").write_text("command: [/bin/true]\n")
        before = running.cpu()
        begin = time.perf_counter()
        if staged.is_dir():
            for entry in os.scandir(staged):
                os.rename(entry.path, running.spool / entry.name)
        else:
            os.rename(staged, running.spool / staged.name)
        running.wait_for(lambda counts: counts["succeeded"] == jobs, 600)
        took = time.perf_counter() - begin
        return jobs / took, (running.cpu() - before) / jobs * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--form", choices=("tasks", "spec", "files"), default="spec")
    options = parser.parse_args()
    reference = xargs(options.jobs // 4)
    ours, cpu = gate(options.jobs, options.form)
    again = xargs(options.jobs // 4)
    mean = (reference + again) / 2
    print(f"xargs {reference:.0f} and {again:.0f} jobs/s; taskgated {ours:.0f} jobs/s ({options.form})")
    print(f"ratio {ours / mean:.2f}; CPU of the daemon {cpu:.0f} us a job")


if __name__ == "__main__":
    main()
