"""``taskgatectl status``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from taskgated.core.owner import Owner
from taskgated.ctl.client import Client
from taskgated.ctl.columns import moment, table
from taskgated.ctl.terminal import answer
from taskgated.ctl.verb import Exit, Verb, no_arguments
from taskgated.host.identity import user_name
from taskgated.protocol.replies import (
    STATUS,
    ShownFiles,
    ShownNever,
    ShownOverride,
    ShownProbe,
    ShownQueue,
    StatusReply,
)


class Options(Protocol):
    json: bool


def run(gate: Client, options: Options) -> int:
    reply = gate.ask(STATUS)
    answer(options.json, reply, _lines(reply))
    return Exit.OK if reply["ready"] else Exit.NOT_SO


def _lines(reply: StatusReply) -> list[str]:
    counts = ", ".join(f"{number} {state}" for state, number in reply["counts"].items() if number)
    lines = [
        f"taskgated {reply['version']} (pid {reply['pid']}): {'ready' if reply['ready'] else 'not ready'}",
        f"  {reply['text']}",
        f"  jobs: {counts or 'none'}",
    ]
    if reply["oldest"]:
        lines.append(f"  waiting longest: since {moment(reply['oldest'])}")
    lines += [f"  problem: {problem}" for problem in reply["problems"]]
    lines += [f"  note: {note}" for note in reply.get("notes") or ()]  # an older daemon has none
    lines += [f"  note: {note}" for files in reply.get("files") or () for note in _staying(files)]
    lines += [
        f"  by hand: {one['text']}, since {moment(one['at'])}, by {_who(one)}" for one in reply.get("overrides") or ()
    ]
    by_hand = {(one["kind"], one["of"]) for one in reply.get("overrides") or ()}
    lines += [
        f"  closed: {one['text']}"
        for one in reply.get("closed") or ()
        if one["kind"] != "paused" or ("pause", one["queue"]) not in by_hand
    ]
    lines += [f"  never: {line}" for one in reply.get("never") or () for line in _never(one)]
    workers = [(w["pid"], w["state"], w["job"]) for w in reply["workers"]]
    lines += ["", *table(("WORKER", "STATE", "JOB"), workers)]
    queues = [(_name(q), q["limit"], q["queued"], q["running"], q["failed"], _blocked(q)) for q in reply["queues"]]
    more = reply.get("more_queues")  # an older daemon does not say it
    rest = [f"and {more} more queues with jobs: taskgatectl list --queue QUEUE"] if more else []
    lines += ["", *table(("QUEUE", "LIMIT", "QUEUED", "RUNNING", "FAILED", "BLOCKED"), queues), *rest]
    if tokens := reply.get("tokens"):
        lines += ["", *table(("TOKENS", "TOTAL", "FREE"), [(t["name"], t["total"], t["free"]) for t in tokens])]
    if probes := reply.get("probes"):
        lines += ["", *table(("PROBE", "STATE", "ASKED", "SAID"), [_probe(probe) for probe in probes])]
    return lines


def _who(one: ShownOverride) -> str:
    """An earlier daemon says no name, and kept none."""
    user, uid = one.get("user"), one["by"]
    return Owner(user_name(uid) if user in (None, str(uid)) else user, uid).words


def _name(queue: ShownQueue) -> str:
    """An earlier daemon does not say whether it is configured."""
    return queue["name"] if queue.get("configured", True) else f"{queue['name']} (not configured)"


def _blocked(queue: ShownQueue) -> str:
    return ", ".join(f"{kind} {jobs}" for kind, jobs in queue.get("blocked", {}).items())


def _never(one: ShownNever) -> Iterator[str]:
    """Queued jobs that cannot start as it is, and some of them."""
    yield one["text"]
    yield from (f"job {job['id']}: {job['text']}" for job in one["some"])
    if one["some"] and (rest := one["jobs"] - len(one["some"])):
        yield f"and {'at least ' * one['more']}{rest} more"


def _probe(probe: ShownProbe) -> tuple[object, ...]:
    allowed = f"{probe['allowance']} more may start" if probe["allowance"] is not None else ""
    said = "; ".join(word for word in (probe["answer"], allowed, probe["words"]) if word)
    return probe["name"], probe["state"], moment(probe["asked"]), said


def _staying(files: ShownFiles) -> Iterator[str]:
    """What files of a queue wait for, or that they are left alone."""
    where = f"queue {files['queue']}"
    if number := files["waiting"]:
        many = f"{number} file waits for its" if number == 1 else f"{number} files wait for their"
        oldest = "since" if number == 1 else "the oldest since"
        hint = f" ({files['hint']})" if files["hint"] else ""
        yield f"{where}: {many} NAME{files['ending']}, {oldest} {moment(files['oldest'])}{hint}"
    if number := files["left_alone"]:
        many = "1 file is left alone for its" if number == 1 else f"{number} files are left alone for their"
        yield f"{where}: {many} name{'s' * (number != 1)}"


VERB = Verb("what the gate does now; exit status 0 only when it is ready", no_arguments, run)
