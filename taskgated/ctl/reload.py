"""``taskgatectl reload``."""

from __future__ import annotations

import os
from typing import Protocol

from taskgated.ctl.client import CallError, Client
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb, no_arguments
from taskgated.protocol.replies import RELOAD


class Options(Protocol):
    json: bool


def run(gate: Client, options: Options) -> int:
    try:
        reply = gate.ask(RELOAD)
    except CallError:
        if _daemon_is_heard():
            return Exit.NOT_SO
        raise
    if not _daemon_is_heard():
        notes = reply.get("notes") or ()  # an older daemon has none
        answer(options.json, reply, ["configuration reloaded", *(f"note: {note}" for note in notes)])
    return Exit.OK


def _daemon_is_heard() -> bool:
    """Whether this is the unit's ExecReload=: its words go where those of the daemon are, which has said it all."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    journal = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return journal and bool(os.environ.get("MAINPID"))  # systemd.exec(5): what it sets for ExecReload=


VERB = Verb("put the configuration in force; an unusable one is refused and changes nothing", no_arguments, run)
