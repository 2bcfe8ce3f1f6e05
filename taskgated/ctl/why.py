"""``taskgatectl why``."""

from __future__ import annotations

import argparse
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl.array import Named, id_of, named_job
from taskgated.ctl.client import Client
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb
from taskgated.protocol.replies import WHY, WhyReply


class Options(Protocol):
    json: bool
    id: Named


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job)


def run(gate: Client, options: Options) -> int:
    reply = gate.ask(WHY, id=id_of(gate, options.id))
    answer(options.json, reply, _lines(reply))
    return Exit.OK


def _lines(reply: WhyReply) -> list[str]:
    """One for each reason; of a job that waits for none, one that says so."""
    if reply["reasons"]:
        return [f"{reason['kind']}: {reason['text']}" for reason in reply["reasons"]]
    note = f": {reply['note']}" if reply["note"] else ""
    if reply["state"] == State.RUNNING:
        return [f"job {reply['id']} is running{note}"]
    return [f"job {reply['id']} is over, it has {_ended(reply['state'])}{note}"]


def _ended(state: str) -> str:
    return "been cancelled" if state == State.CANCELLED else state


VERB = Verb("why a job does not start now: every reason, one a line", arguments, run, open_jobs=True)
