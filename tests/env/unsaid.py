"""A daemon that is killed between the start of an attempt in the store and telling its worker: ``python -m
tests.env.unsaid`` in the place of ``taskgated``. The job is the one of the name ``NAME``."""

from __future__ import annotations

import os
import signal
import sys

from taskgated import __main__ as program
from taskgated.core.job import Job
from taskgated.daemon.roster import Roster, Worker

NAME = "unsaid"


class UnsaidRoster(Roster):
    def run(self, worker: Worker, job: Job, log: str, source: str, overload: str = "") -> None:
        if job.spec.name == NAME:
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(worker, job, log, source, overload)


if __name__ == "__main__":
    from taskgated.daemon import daemon

    daemon.Roster = UnsaidRoster
    sys.exit(program.main())
