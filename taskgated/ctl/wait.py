"""``taskgatectl wait``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl import patience
from taskgated.ctl.array import Named, id_of, named_job, pages_of
from taskgated.ctl.client import CallError, Client, Gone
from taskgated.ctl.columns import job_row, row
from taskgated.ctl.patience import AGAIN, Patience, passes
from taskgated.ctl.terminal import say, warn
from taskgated.ctl.verb import Exit, Verb, array_id
from taskgated.protocol.replies import NO_SUCH_ARRAY, PAGE, WAIT, ShownJob
from taskgated.protocol.strict import unicode_json


class Options(Protocol):
    json: bool
    id: Sequence[Named]
    array: int | None
    patience: float | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job, nargs="*")
    parser.add_argument("--array", type=array_id, metavar="ID", help="all jobs of the array whose first has that id")
    patience.add_option(parser)


def run(gate: Client, options: Options) -> int:
    if options.array is None and not options.id:
        warn("which jobs? Give ids, or --array ID")
        return Exit.USAGE
    waiting = _Waiting(gate, Patience(gate, options.patience), silent=options.json)
    wanted = list(dict.fromkeys(id_of(gate, named) for named in options.id))
    if options.array is None:
        waiting.until_over(wanted)
    else:
        wanted = waiting.until_array_is_over(options.array, wanted)
    jobs = [waiting.over[id_] for id_ in wanted]
    if options.json:
        say(unicode_json(jobs))
    return next((code for job in jobs if (code := exit_status(job))), Exit.OK)


class _Waiting:
    """``over``: the jobs that are, by their ids; a line was said of each, unless ``silent``."""

    def __init__(self, gate: Client, patience: Patience, *, silent: bool) -> None:
        self._gate = gate
        self._patience = patience
        self._silent = silent
        self.over: dict[int, ShownJob] = {}

    def until_array_is_over(self, array: int, others: Sequence[int]) -> list[int]:
        """All of it, also what is still to be taken in when this is called; and the others. Returns what was waited
        for. Raises ``CallError`` if there is no such array."""
        wanted, first, asked_for = list(others), True, set(others)
        after = 0
        while True:
            found, coming = self._jobs_of(array, after, first)
            new = [id_ for id_ in found if id_ not in asked_for]
            self.until_over([*others, *new] if first else new)
            wanted += new
            if not found and not coming:
                return wanted
            if not found:
                time.sleep(AGAIN)  # there is no room in the backlog, for others
            after, first = found[-1] if found else after, False

    def _jobs_of(self, array: int, after: int, first: bool) -> tuple[list[int], int]:
        """Those of the array with ids over ``after``, and how many are still to come."""
        while True:
            ids: list[int] = []
            coming = 0
            try:
                for page in pages_of(self._gate, array, after=after):
                    ids += (job["id"] for job in page["jobs"])
                    coming = page.get("coming") or 0
                return ids, coming
            except (Gone, CallError) as error:
                if not first and isinstance(error, CallError) and error.kind == NO_SUCH_ARRAY:
                    return [], 0  # all of it is over, and forgotten
                if not passes(error):
                    raise
                self._patience.lost(error)

    def until_over(self, wanted: Sequence[int]) -> None:
        left = [id_ for id_ in wanted if id_ not in self.over]
        for first in range(0, len(left), PAGE):
            while asked := [id_ for id_ in left[first : first + PAGE] if id_ not in self.over]:
                try:
                    for reply in self._gate.stream(WAIT, ids=asked):
                        self._patience.answered()
                        for job in reply["jobs"]:
                            self._hear(job)
                except (Gone, CallError) as error:
                    if not passes(error):
                        raise
                    self._patience.lost(error)

    def _hear(self, job: ShownJob) -> None:
        self.over[job["id"]] = job
        if not self._silent:
            say(row(job_row(job)))
            if job["state"] == State.CANCELLED and job["reason"]:  # it may never have run, and has no output
                warn(f"job {job['id']}: {job['reason']}")


def exit_status(job: ShownJob) -> int:
    """The job's own exit code; 128 and the signal's number if one ended it; 1 if it never ran to an end."""
    if job["state"] == State.SUCCEEDED:
        return 0  # also when its exit code is another of its success_exit_codes
    if job["signal"] is not None:
        return 128 + job["signal"]
    return job["exit_code"] or 1


VERB = Verb("until jobs are over; exits with the job's own exit code", arguments, run, open_jobs=True)
