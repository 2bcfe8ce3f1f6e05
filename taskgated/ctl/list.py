"""``taskgatectl list``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl.array import still_to_come
from taskgated.ctl.client import Client
from taskgated.ctl.columns import JOB_HEAD, job_row, table
from taskgated.ctl.terminal import say, warn
from taskgated.ctl.verb import Exit, Verb, array_id, positive, whole
from taskgated.errors import NoSuchQueue
from taskgated.protocol.replies import LIST, PAGE, ShownJob
from taskgated.protocol.strict import unicode_json


class Options(Protocol):
    json: bool
    state: Sequence[str]
    queue: Sequence[str]
    array: int | None
    after: int
    limit: int | None


def arguments(parser: argparse.ArgumentParser) -> None:
    states = [str(state) for state in State]
    parser.add_argument(
        "--state", action="append", choices=states, default=[], help="only in this state (repeatable)"
    )
    parser.add_argument(
        "--queue", action="append", metavar="QUEUE", default=[], help="only of this queue (repeatable)"
    )
    parser.add_argument("--array", type=array_id, metavar="ID", help="only of the array whose first job has that id")
    parser.add_argument("--after", type=whole, metavar="ID", default=0, help="only with a higher id")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N jobs")


def run(gate: Client, options: Options) -> int:
    listing = _Listing()
    jobs = listing.jobs(gate, options)
    if options.json:
        _print_json(jobs)
    else:
        say(*table(JOB_HEAD, map(job_row, jobs)))
    if options.array is not None and listing.coming:
        warn(f"array {options.array}: {still_to_come(listing.coming)}")
    for queue in listing.unknown:
        warn(str(NoSuchQueue(queue)))
    return Exit.NOT_SO if listing.unknown else Exit.OK


def _print_json(jobs: Iterator[ShownJob]) -> None:
    between = "[\n"  # one job a line, printed as the pages come: a million jobs need no memory here
    for job in jobs:
        sys.stdout.write(between + unicode_json(job))
        between = ",\n"
    print("[]" if between == "[\n" else "\n]", flush=True)


class _Listing:
    """``coming``: how many jobs of the array that is listed are still to come, as its last page has said.
    ``unknown``: queues that were asked for and that nobody knows."""

    coming: int | None = None
    unknown: Sequence[str] = ()

    def jobs(self, gate: Client, options: Options) -> Iterator[ShownJob]:
        """All that are asked for, page by page."""
        after: int | None = options.after
        only = {} if options.array is None else {"array": options.array}  # an older daemon does not know it
        left = options.limit
        while after is not None and left != 0:
            page = gate.ask(
                LIST, after=after, limit=min(PAGE, left or PAGE), states=options.state, queues=options.queue, **only
            )
            yield from page["jobs"]
            if left is not None:
                left -= len(page["jobs"])
            after = page["next"]
            self.coming = page.get("coming")
            self.unknown = (*self.unknown, *(page.get("unknown") or ()))


VERB = Verb("jobs, oldest first", arguments, run)
