"""Where everything lies: the system's directories, or all of it under one ``--root``.

The only module that knows a path by name. See "Names users type" in the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one gate. All are absolute."""

    spool: Path
    state: Path
    log: Path
    run: Path
    etc: Path

    @classmethod
    def system(cls) -> Layout:
        return cls(
            spool=Path("/var/spool/taskgate"),
            state=Path("/var/lib/taskgate"),
            log=Path("/var/log/taskgate"),
            run=Path("/run/taskgate"),
            etc=Path("/etc/taskgate"),
        )

    @classmethod
    def under(cls, root: str | Path) -> Layout:
        top = Path(root).absolute()
        return cls(top / "spool", top / "state", top / "log", top / "run", top / "etc")

    @property
    def rejected(self) -> Path:
        """Refused files, each with ``NAME.reason`` beside it."""
        return self.spool / "rejected"

    @property
    def claims(self) -> Path:
        """Private: one directory for each file taken out of the spool and not yet done with.

        Inside the spool, because a claim is one ``rename(2)`` and that never crosses a file system.
        """
        return self.spool / ".claims"

    @property
    def config_file(self) -> Path:
        return self.etc / "taskgated.yaml"

    @property
    def config_drop_ins(self) -> Path:
        return self.etc / "conf.d"

    @property
    def database(self) -> Path:
        return self.state / "jobs.sqlite"

    @property
    def lock_file(self) -> Path:
        """Held with ``flock(2)`` by the one daemon of this state directory."""
        return self.state / "lock"

    @property
    def outcomes(self) -> Path:
        """Outcomes that workers put down while no daemon was there to take them."""
        return self.state / "outcomes"

    @property
    def scripts(self) -> Path:
        """Private copies of scripts, each only while it runs."""
        return self.state / "scripts"

    @property
    def control_socket(self) -> Path:
        return self.run / "io.taskgate.Gate"

    @property
    def worker_socket(self) -> Path:
        return self.run / "worker.sock"

    def output_file(self, job: int, attempt: int) -> Path:
        """The output of one attempt; a thousand jobs share a directory, so that none grows without end."""
        return Path(self.output_path(job, attempt))

    def output_path(self, job: int, attempt: int) -> str:
        """The same as text, for whom making a ``Path`` for each job is too dear."""
        return f"{self.log}/{job // 1000:06d}/{job}.{attempt}.log"
