"""Where everything lies: the system's directories, those of one user, or all of it under one ``--root``.

The only module that knows a directory, or what is alone in its kind, by name; what lies in them is the knowledge of
those who make it. See "Use" in the README.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgated.core.fixed import INTERFACE


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
    def user(cls, environ: Mapping[str, str] = os.environ) -> Layout:
        """A user's own gate, where the XDG Base Directory Specification puts such things.

        What it calls state (data that outlives a restart, and logs) is what a spool is, too.
        """
        home = Path(environ.get("HOME") or Path.home())

        def base(name: str, default: Path) -> Path:
            given = environ.get(name, "")
            return Path(given) if given.startswith("/") else default  # a relative one is to be ignored

        state = base("XDG_STATE_HOME", home / ".local" / "state") / "taskgate"
        return cls(
            spool=state / "spool",
            state=state / "state",
            log=state / "log",
            run=base("XDG_RUNTIME_DIR", state / "run") / "taskgate",
            etc=base("XDG_CONFIG_HOME", home / ".config") / "taskgate",
        )

    @classmethod
    def chosen(cls, options: argparse.Namespace) -> Layout:
        """As ``add_options`` let the command line say."""
        if options.user:
            return cls.user()
        return cls.under(options.root) if options.root else cls.system()

    @classmethod
    def under(cls, root: str | Path) -> Layout:
        top = Path(root).absolute()
        return cls(top / "spool", top / "state", top / "log", top / "run", top / "etc")

    def inlet(self, queue: str | None) -> Path:
        """The directory that files of a queue are taken from; None: the spool itself, which takes them for all."""
        return self.spool if queue is None else self.spool / queue

    @property
    def rejected(self) -> Path:
        """Refused files, each with ``NAME.reason`` beside it."""
        return self.spool / "rejected"

    @property
    def failed(self) -> Path:
        """Files whose jobs did not succeed: ``JOB/NAME``, each with ``NAME.reason`` beside it."""
        return self.spool / "failed"

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
    def last_id(self) -> Path:
        """How far the ids of jobs have come, in case that the database is put back from a copy."""
        return self.state / "last-id"

    @property
    def last_id_beside_output(self) -> Path:
        """The same, in case that all of ``state`` is."""
        return self.log / ".last-id"

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
        return self.run / INTERFACE

    @property
    def worker_socket(self) -> Path:
        return self.run / "worker.sock"


def add_options(parser: argparse.ArgumentParser, *, defaults: bool = True) -> None:
    """``--root`` and ``--user``, for every program. ``defaults``: false for a second parser of one command line,
    whose defaults must not undo what the first has read."""
    root = os.environ.get("TASKGATE_ROOT") if defaults else argparse.SUPPRESS
    user = False if defaults else argparse.SUPPRESS
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--root", metavar="DIR", default=root, help="the gate under DIR (default: $TASKGATE_ROOT)")
    which.add_argument("--user", action="store_true", default=user, help="your own gate, in your home directory")
