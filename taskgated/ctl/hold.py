"""``taskgatectl hold``."""

from __future__ import annotations

from taskgated.core.state import State
from taskgated.ctl.client import Client
from taskgated.ctl.each import Options, arguments, each
from taskgated.ctl.verb import Verb
from taskgated.protocol.replies import HOLD


def run(gate: Client, options: Options) -> int:
    return each(gate, options, HOLD, [State.QUEUED], lambda job: f"is {job['state']}")


VERB = Verb("keep queued jobs from starting until they are released", arguments, run, open_jobs=True)
