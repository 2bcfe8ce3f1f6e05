"""``taskgatectl retry``."""

from __future__ import annotations

from taskgated.core.state import State
from taskgated.ctl.client import Client
from taskgated.ctl.each import Options, arguments, each
from taskgated.ctl.verb import Verb
from taskgated.protocol.replies import RETRY


def run(gate: Client, options: Options) -> int:
    over = [State.FAILED, State.CANCELLED]
    return each(gate, options, RETRY, over, lambda job: "is to run again", pausing=True)


VERB = Verb(
    "run jobs again that failed or were cancelled, or end the pause before their next attempt", arguments, run
)
