"""``taskgatectl prioritize``."""

from __future__ import annotations

import argparse
from typing import Protocol

from taskgated.core.fixed import HIGHEST_PRIORITY
from taskgated.core.state import State
from taskgated.ctl import each
from taskgated.ctl.client import Client
from taskgated.ctl.verb import Verb, whole
from taskgated.protocol.replies import PRIORITIZE, ShownJob


class Options(each.Options, Protocol):
    priority: int


def arguments(parser: argparse.ArgumentParser) -> None:
    each.arguments(parser)
    parser.add_argument("priority", type=_priority, help=f"0 to {HIGHEST_PRIORITY}, higher first")


def _priority(text: str) -> int:
    if (value := whole(text)) > HIGHEST_PRIORITY:
        raise argparse.ArgumentTypeError(f"must be at most {HIGHEST_PRIORITY}")
    return value


def run(gate: Client, options: Options) -> int:
    def told(job: ShownJob) -> str:
        return f"has priority {job['priority']}"

    return each.each(gate, options, PRIORITIZE, [State.QUEUED, State.HELD], told, priority=options.priority)


VERB = Verb("give jobs that wait another priority", arguments, run, open_jobs=True)
