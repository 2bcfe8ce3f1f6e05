"""``taskgatectl release``."""

from __future__ import annotations

from taskgated.core.state import State
from taskgated.ctl.client import Client
from taskgated.ctl.each import Options, arguments, each
from taskgated.ctl.verb import Verb
from taskgated.protocol.replies import RELEASE


def run(gate: Client, options: Options) -> int:
    return each(gate, options, RELEASE, [State.HELD], lambda job: "is released")


VERB = Verb("let held jobs go", arguments, run, open_jobs=True)
