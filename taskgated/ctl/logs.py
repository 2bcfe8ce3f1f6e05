"""``taskgatectl logs``."""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from taskgated.core.state import FINAL, State
from taskgated.ctl import patience
from taskgated.ctl.array import Named, id_of, named_job
from taskgated.ctl.client import CallError, Client, Gone, NotSo
from taskgated.ctl.columns import output_removed
from taskgated.ctl.each import of_job
from taskgated.ctl.patience import Patience, passes
from taskgated.ctl.terminal import warn
from taskgated.ctl.verb import Exit, Verb, positive
from taskgated.protocol.replies import LOGS, LogsReply
from taskgated.text import printable

FOLLOW = 0.3
"""Seconds between looks at an output that is being followed."""


class Options(Protocol):
    id: Sequence[Named]
    attempt: int | None
    follow: bool
    patience: float | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job, nargs="+")
    parser.add_argument("--attempt", type=positive, metavar="N", help="of attempt N (default: the last)")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="until the job is over, with all attempts to come"
    )
    patience.add_option(parser)


def run(gate: Client, options: Options) -> int:
    patience = Patience(gate, options.patience)
    status = Exit.OK
    for number, named in enumerate(options.id):
        job: int | None = None
        try:
            job = id_of(gate, named)
            if len(options.id) > 1:  # as tail(1) does
                sys.stdout.buffer.write(b"%s==> job %d <==\n" % (b"\n" if number else b"", job))
                sys.stdout.buffer.flush()
            _output(gate, job, options, patience)
        except NotSo as error:
            if len(options.id) == 1:
                raise
            warn(str(error) if job is None else of_job(job, error))
            status = Exit.NOT_SO
    return status


def _output(gate: Client, job: int, options: Options, patience: Patience) -> None:
    offset, attempt, waited, told = 0, options.attempt, False, False
    pointed: int | None = None  # the attempt of whose files people were told
    while True:
        asked = {} if attempt is None else {"attempt": attempt}
        try:
            reply = gate.ask(LOGS, id=job, offset=offset, **asked)
        except (Gone, CallError) as error:
            if not (options.follow and passes(error)):
                raise
            patience.lost(error)
            continue
        patience.answered()
        if waited and attempt is None and reply["attempt"] > 1:  # the first has begun and ended meanwhile
            attempt = 1
            continue
        sys.stdout.buffer.write(base64.b64decode(reply["data"]))
        sys.stdout.buffer.flush()
        offset = reply["next"]
        attempt = reply["attempt"] or None
        if (removed := output_removed(reply.get("output_removed"))) and not told:
            warn(f"the output of job {job} was {removed}; taskgatectl show {job} has its record")
            told = True
        if attempt not in (None, pointed):
            pointed = attempt
            _point_elsewhere(reply)
        if reply["data"]:
            continue
        if not options.follow:
            return
        if reply["over"]:
            # A daemon of an earlier version does not say what comes after this attempt.
            last, state = reply.get("last", attempt or 0), reply.get("state", State.FAILED)
            if options.attempt is not None or (state in FINAL and last == (attempt or 0)):
                return
            if attempt is not None and last > attempt:
                attempt, offset = attempt + 1, 0
                warn(f"attempt {attempt} of job {job}")
                continue
        waited = waited or attempt is None
        time.sleep(FOLLOW)


def _point_elsewhere(reply: LogsReply) -> None:
    """Say where the rest of the output went. (A daemon of an earlier version knows of no such files.)"""
    out, err = reply.get("stdout"), reply.get("stderr")
    if out and out == err:
        warn(f"stdout and stderr went to {printable(out)}")
        return
    for name, path in ("stdout", out), ("stderr", err):
        if path:
            warn(f"{name} went to {printable(path)}")


VERB = Verb("the output of jobs", arguments, run)
