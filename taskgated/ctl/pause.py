"""``taskgatectl pause``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from taskgated.ctl.client import Client
from taskgated.ctl.limit import ALL
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb
from taskgated.protocol.replies import PAUSE, PauseReply, ResumeReply


class Options(Protocol):
    json: bool
    queue: Sequence[str]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", nargs="*", help="a queue; none, or all: all together")


def run(gate: Client, options: Options) -> int:
    reply = gate.ask(PAUSE, queues=named(options.queue))
    answer(options.json, reply, [paused(reply)])
    return Exit.OK


def named(queues: Sequence[str]) -> list[str]:
    """As the daemon is told: none stands for all together."""
    return [] if ALL in queues else [*queues]


def paused(reply: PauseReply | ResumeReply) -> str:
    """What is, in words."""
    which = ["all queues"] * reply["all"] + [f"queue {queue}" for queue in reply["paused"]]
    return f"paused: {', '.join(which)}" if which else "nothing is paused"


VERB = Verb("start nothing more of queues, or of all; what runs goes on", arguments, run)
