"""``taskgatectl cancel``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl.array import Named, id_of, named_job, still_to_come
from taskgated.ctl.client import Client, NotSo
from taskgated.ctl.terminal import answer, say, warn
from taskgated.ctl.verb import Exit, Verb, array_id
from taskgated.protocol.replies import CANCEL, CANCEL_ARRAY, ShownJob
from taskgated.protocol.strict import unicode_json
from taskgated.text import counted


class Options(Protocol):
    json: bool
    id: Sequence[Named]
    array: int | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job, nargs="*")
    parser.add_argument(
        "--array", type=array_id, metavar="ID", help="all jobs of the array whose first job has that id"
    )


def run(gate: Client, options: Options) -> int:
    if (options.array is not None) == bool(options.id):
        warn("which jobs? Give ids, or --array ID")
        return Exit.USAGE
    if options.array is not None:
        return _array(gate, options.array, options.json)
    jobs: list[ShownJob] = []
    for named in dict.fromkeys(options.id):
        try:
            jobs.append(job := gate.ask(CANCEL, id=id_of(gate, named))["job"])
        except NotSo as error:  # that one; the others are to end all the same
            warn(str(error))
            continue
        if not options.json:
            told = "is told to end" if job["state"] == State.RUNNING else f"is {job['state']}"
            say(f"job {job['id']} {told}")
    if options.json and (jobs or len(options.id) > 1):
        say(unicode_json(jobs if len(options.id) > 1 else jobs[0]))
    return Exit.OK if len(jobs) == len(set(options.id)) else Exit.NOT_SO


def _array(gate: Client, array: int, json: bool) -> int:
    reply = gate.ask(CANCEL_ARRAY, array=array)
    told, coming = reply["cancelled"] + reply["ending"], reply["coming"]
    text = f"array {array}: {counted(told, 'job')} {'is' if told == 1 else 'are'} cancelled, or told to end"
    if coming:
        text += f"; {still_to_come(coming)}, and will be cancelled then"
    answer(json, {"array": array, **reply}, [text])
    return Exit.OK if told or coming else Exit.NOT_SO


VERB = Verb("end jobs, or see to it that they never start", arguments, run, open_jobs=True)
