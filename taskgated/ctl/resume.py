"""``taskgatectl resume``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from taskgated.ctl.client import Client
from taskgated.ctl.pause import named, paused
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb
from taskgated.protocol.replies import RESUME


class Options(Protocol):
    json: bool
    queue: Sequence[str]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", nargs="*", help="a queue; none, or all: all that were paused together")


def run(gate: Client, options: Options) -> int:
    reply = gate.ask(RESUME, queues=named(options.queue))
    opened = [f"queue {queue} is open again: its breaker had closed it" for queue in reply["opened"]]
    answer(options.json, reply, [*opened, paused(reply)])
    return Exit.OK


VERB = Verb(
    "let queues that are paused, or closed by their breaker, go on, or all that were paused; it says what still is",
    arguments,
    run,
)
