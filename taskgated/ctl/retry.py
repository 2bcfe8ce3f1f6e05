"""``taskgatectl retry``."""

from __future__ import annotations

from taskgated.core.state import State
from taskgated.ctl.client import Client
from taskgated.ctl.each import Options, arguments, each
from taskgated.ctl.verb import Verb
from taskgated.protocol.replies import RETRY


def run(gate: Client, options: Options) -> int:
    return each(gate, options, RETRY, [State.FAILED, State.CANCELLED], lambda job: "is to run again")


VERB = Verb(
    "run jobs again that failed or were cancelled, or end the pause before their next attempt", arguments, run
)
