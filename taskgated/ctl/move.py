"""``taskgatectl move``."""

from __future__ import annotations

import argparse
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl import each
from taskgated.ctl.client import Client
from taskgated.ctl.verb import Verb
from taskgated.protocol.replies import MOVE, ShownJob


class Options(each.Options, Protocol):
    queue: str


def arguments(parser: argparse.ArgumentParser) -> None:
    each.arguments(parser)
    parser.add_argument("queue", help="the queue to which they go")


def run(gate: Client, options: Options) -> int:
    def told(job: ShownJob) -> str:
        return f"is in queue {job['queue']}"

    return each.each(gate, options, MOVE, [State.QUEUED, State.HELD], told, queue=options.queue)


VERB = Verb("put jobs that wait into another queue", arguments, run, open_jobs=True)
