"""``taskgatectl tokens``."""

from __future__ import annotations

import argparse
from typing import Protocol

from taskgated.ctl.client import CallError, Client
from taskgated.ctl.terminal import answer, warn
from taskgated.ctl.verb import Exit, Verb
from taskgated.protocol.replies import TOKENS, TokensReply


class Options(Protocol):
    json: bool
    token: str
    total: int | None
    reset: bool


def _total(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError("a number is expected, of 0 or more")
    return int(text)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="a kind of tokens of the configuration")
    parser.add_argument("total", type=_total, nargs="?", help="how many there are")
    parser.add_argument("--reset", action="store_true", help="what is configured holds again")


def run(gate: Client, options: Options) -> int:
    if (options.total is None) != options.reset:
        warn("how many? Give a number, or --reset")
        return Exit.USAGE
    try:
        total = {} if options.total is None else {"total": options.total}
        reply = gate.ask(TOKENS, token=options.token, **total)
    except CallError as error:
        if error.parameters.get("parameter") != "token":
            raise
        warn(f"there are no tokens {options.token} in the configuration")
        return Exit.NOT_SO
    answer(options.json, reply, [_told(options.token, reply)])
    return Exit.OK


def _told(token: str, reply: TokensReply) -> str:
    if reply["total"] == reply["configured"]:
        return f"tokens {token}: {reply['total']}, as configured"
    return f"tokens {token}: {reply['total']}, by hand; configured: {reply['configured']}"


VERB = Verb("set how many tokens of a kind there are, until the configuration says the same", arguments, run)
