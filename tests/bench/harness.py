"""A gate of its own for a benchmark: started, asked, stopped, removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskgated.ctl.client import Client, Unreachable
from tests import REPOSITORY
from tests.env.until import until


class Gate:
    """``with Gate("workers: 2\\n") as gate: ...``"""

    def __init__(self, config: str = "") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="taskgate-bench-", dir=os.environ.get("BENCH_DIR")))
        self.spool = self.root / "spool"
        (self.root / "etc").mkdir()
        (self.root / "etc" / "taskgated.yaml").write_text(config)

    def __enter__(self) -> Gate:
        self.start(30)
        return self

    def start(self, timeout: float) -> None:
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "taskgated", "--root", str(self.root)]
        with open(self.root / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(command, env=env, stderr=log)
        self._until(lambda: bool(self.status()["ready"]), timeout)

    def kill(self) -> None:
        """What runs goes on."""
        self.process.kill()
        self.process.wait(60)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.root)

    def status(self) -> dict[str, Any]:
        try:
            with Client(self.root / "run" / "io.taskgate.Gate") as client:
                return client.call("Status")
        except Unreachable:
            return {"ready": False, "counts": {}}

    def wait_for(self, reached: Callable[[dict[str, int]], bool], timeout: float) -> None:
        self._until(lambda: reached(self.status()["counts"]), timeout)

    def drop_and_wait(self, jobs: int) -> None:
        """Warm up: so many jobs more, to their end."""
        staged = self.root / "warm.tasks"
        staged.write_text("true\n" * jobs)
        before = self.status()["counts"].get("succeeded", 0)
        os.rename(staged, self.spool / staged.name)
        self.wait_for(lambda counts: counts.get("succeeded", 0) >= before + jobs, 60)

    def cpu(self) -> float:
        """Seconds of CPU that the daemon's own process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident bytes of the daemon's own process."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _until(self, condition: Callable[[], bool], timeout: float) -> None:
        try:
            until(lambda: condition() or self.process.poll() is not None, "the gate has got there", timeout)
            assert self.process.poll() is None, "the daemon ended"
        except AssertionError as error:
            raise TimeoutError(f"{error}\n{(self.root / 'daemon.log').read_text()[-2000:]}") from None
