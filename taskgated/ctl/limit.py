"""``taskgatectl limit``."""

from __future__ import annotations

import argparse
from typing import Protocol

from taskgated.ctl.client import Client
from taskgated.ctl.terminal import answer, warn
from taskgated.ctl.verb import Exit, Verb, positive
from taskgated.protocol.replies import LIMIT, LimitReply

ALL = "all"


class Options(Protocol):
    json: bool
    queue: str
    limit: int | None
    reset: bool


def _limit(text: str) -> int:
    try:
        return positive(text)
    except argparse.ArgumentTypeError as error:
        ways = "--reset takes back what was set by hand, a high number lifts a limit, pause lets nothing start"
        raise argparse.ArgumentTypeError(f"{error}: {ways}") from None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="a queue, or all: of all queues together")
    parser.add_argument("limit", type=_limit, nargs="?", help="so many jobs at once")
    parser.add_argument("--reset", action="store_true", help="what is configured holds again")


def run(gate: Client, options: Options) -> int:
    if (options.limit is None) != options.reset:
        warn("which limit? Give a number, or --reset")
        return Exit.USAGE
    reply = gate.ask(LIMIT, queue="" if options.queue == ALL else options.queue, limit=options.limit or 0)
    answer(options.json, reply, [_told(options.queue, reply), *(f"note: {note}" for note in reply["notes"])])
    return Exit.OK


def _told(queue: str, reply: LimitReply) -> str:
    what = "all queues together" if queue == ALL else f"queue {queue}"
    if (auto := reply["auto"]) is not None:
        if (by_hand := reply["by_hand"]) is None:
            return f"{what}: {_number(auto)}, which adjusts itself, as configured"
        return f"{what}: {_number(by_hand)}, by hand; configured: auto, which is at {auto}; the lower one counts"
    if reply["limit"] == reply["configured"]:
        return f"{what}: {_number(reply['limit'])}, as configured"
    return f"{what}: {_number(reply['limit'])}, by hand; configured: {_number(reply['configured'])}"


def _number(limit: int | None) -> str:
    return "no limit" if limit is None else f"limit {limit}"


VERB = Verb("set the limit of a queue, or of all together, until the configuration says the same", arguments, run)
