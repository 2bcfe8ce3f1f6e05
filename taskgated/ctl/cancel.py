"""``taskgatectl cancel``."""

from __future__ import annotations

from taskgated.core.state import State
from taskgated.ctl.array import still_to_come
from taskgated.ctl.client import Client
from taskgated.ctl.each import Options, arguments, named
from taskgated.ctl.terminal import answer, warn
from taskgated.ctl.verb import Exit, Verb
from taskgated.protocol.replies import CANCEL, CANCEL_ARRAY, ShownJob
from taskgated.text import counted


def run(gate: Client, options: Options) -> int:
    if (options.array is not None) == bool(options.id):
        warn("which jobs? Give ids, or --array ID")
        return Exit.USAGE
    if options.array is not None:
        return _array(gate, options.array, options.json)
    return named(gate, options.id, lambda job: gate.ask(CANCEL, id=job)["job"], _told, json=options.json)


def _told(job: ShownJob) -> str:
    return "is told to end" if job["state"] == State.RUNNING else f"is {job['state']}"


def _array(gate: Client, array: int, json: bool) -> int:
    reply = gate.ask(CANCEL_ARRAY, array=array)
    told, coming = reply["cancelled"] + reply["ending"], reply["coming"]
    text = f"array {array}: {counted(told, 'job')} {'is' if told == 1 else 'are'} cancelled, or told to end"
    if coming:
        text += f"; {still_to_come(coming)}, and will be cancelled then"
    answer(json, {"array": array, **reply}, [text])
    return Exit.OK if told or coming else Exit.NOT_SO


VERB = Verb("end jobs, or see to it that they never start", arguments, run, open_jobs=True)
