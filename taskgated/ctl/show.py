"""``taskgatectl show``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Protocol

from taskgated.core.owner import Owner
from taskgated.ctl.array import Named, id_of, named_job
from taskgated.ctl.client import Client
from taskgated.ctl.columns import exit_of, moment, output_removed, seconds, table
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb, positive
from taskgated.protocol.replies import SHOW, ShownJob, ShowReply
from taskgated.text import counted


class Options(Protocol):
    json: bool
    id: Named
    before: int | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job)
    parser.add_argument("--before", type=positive, metavar="N", help="attempts before N (default: the last)")


def run(gate: Client, options: Options) -> int:
    earlier = {} if options.before is None else {"before": options.before}  # an older daemon does not know it
    reply = gate.ask(SHOW, id=id_of(gate, options.id), **earlier)
    answer(options.json, reply, _lines(reply))
    return Exit.OK


def _lines(reply: ShowReply) -> list[str]:
    job = reply["job"]
    rows = [
        ("job", f"{job['id']} ({job['name']})"),
        ("queue", f"{job['queue']}, priority {job['priority']}"),
        ("state", job["state"] + (f": {job['reason']}" if job["reason"] else "")),
        ("exit", exit_of(job)),
        ("array", _array(job, reply["spec"])),
        ("source", job["source"]),
        ("file", _kept(reply)),
        ("submitted", f"{moment(job['submitted'])} by {_whose(job)}"),
        ("started", moment(job["started"])),
        ("finished", moment(job["finished"])),
        ("due", moment(job["due"])),
        ("deadline", _deadline(reply["spec"])),
        *_terms(reply),
        ("runs", _runs(reply)),
        ("output", output_removed(reply.get("output_removed"))),
        *_streams(reply),
        *(("note", note) for note in _notes(reply)),
        *(("waits for", reason["text"]) for reason in reply["waits_for"]),
    ]
    lines = [f"{name:>10}  {value}" for name, value in rows if value is not None]
    head = ("ATTEMPT", "RESULT", "EXIT", "STARTED", "TOOK", "CPU", "MAX RSS", "OUTPUT", "MESSAGE")
    attempts = [
        (
            a["number"],
            a["result"] or "running",
            exit_of(a),
            moment(a["started"]),
            seconds(a["started"], a["finished"]),
            f"{a['user'] + a['system']:.2f}s",
            f"{a['max_rss'] // 1024}K",
            f"{a['output']}B" + (f" ({a['omitted']} left out)" if a["omitted"] else ""),
            a["message"],
        )
        for a in reply["attempts"]
    ]
    earlier = reply.get("earlier")
    more = [f"there are earlier ones: taskgatectl show {job['id']} --before {earlier}"] if earlier else []
    return [*lines, "", *table(head, attempts), *more] if attempts else lines


def _array(job: ShownJob, spec: Mapping[str, object] | None) -> str | None:
    """The array's id, and which of its jobs this is, as far as that may be seen."""
    if (array := job.get("array")) is None:
        return None
    element = {} if spec is None else spec.get("array")
    if not isinstance(element, dict) or "count" not in element:
        return str(array)
    bound = f", at most {element['at_most']} at once" if "at_most" in element else ""
    return f"{array}, index {element.get('index', 0)} of {counted(element['count'], 'job')}{bound}"


def _deadline(spec: Mapping[str, object] | None) -> str | None:
    """By when it has to be over, as it was said."""
    deadline = (spec or {}).get("deadline")
    if not isinstance(deadline, int | float):
        return None
    from taskgated.language.units import format_duration  # not for the help

    return f"{format_duration(deadline)} after it was submitted"


def _kept(reply: ShowReply) -> str | None:
    kept = reply.get("kept")  # an older daemon does not say it
    return f"kept in {kept}" if kept else None


def _runs(reply: ShowReply) -> str:
    if reply["spec"] is not None:
        return _command(reply["spec"])
    unreadable = reply.get("unreadable")  # an older daemon does not say it
    return f"(cannot be read: {unreadable})" if unreadable else "(not yours to see)"


def _streams(reply: ShowReply) -> list[tuple[str, str]]:
    """The files of its last attempt, or of the first if it has had none."""
    from taskgated.core.job import Spec  # not for the help
    from taskgated.core.places import stream_paths

    try:
        spec = Spec.from_json(reply["spec"])
    except ValueError:  # none, or that of a daemon of another version
        return []
    job = reply["job"]
    paths = stream_paths(spec, job["id"], job["attempt"] or 1, job.get("array"))
    return list(paths.items())


def _terms(reply: ShowReply) -> list[tuple[str, str]]:
    """What it waits for, takes and may, as it says itself."""
    from taskgated.core.job import Spec  # not for the help
    from taskgated.ctl.terms import terms

    try:
        return [*terms(Spec.from_json(reply["spec"]))]
    except ValueError:  # as above
        return []


def _notes(reply: ShowReply) -> list[str]:
    """What of it was passed over, or may not be meant so."""
    notes = (reply["spec"] or {}).get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _command(spec: Mapping[str, object]) -> str:
    command = spec.get("command")
    if isinstance(command, list):
        import shlex

        return shlex.join(command)
    if command is not None:
        return str(command)
    return "a script, from a private copy"


VERB = Verb("all about one job, and everything it waits for", arguments, run)


def _whose(job: ShownJob) -> str:
    """An earlier daemon says no name."""
    return Owner(job.get("user") or str(job["owner"]), job["owner"]).words
