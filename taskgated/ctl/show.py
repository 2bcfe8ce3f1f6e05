"""How things are shown to people: plain columns, local times, no colours where nobody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

from taskgated.errors import printable
from taskgated.wire import Message


def say(*lines: str, file: TextIO | None = None) -> None:
    """The one place where text meets a terminal: each of these is one line, whatever somebody wrote into it."""
    print("\n".join(map(printable, lines)), file=file, flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of left-aligned columns; None is a dash."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    """As wide as it is when it is said."""
    return "-" if value is None or value == "" else printable(str(value))


def moment(text: str | None) -> str | None:
    """An RFC 3339 time in the local zone, to the second."""
    if text is None:
        return None
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def seconds(start: str | None, end: str | None) -> str | None:
    if start is None or end is None:
        return None
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f}s"


def exit_of(job: Message) -> str | None:
    """``0``, ``3``, or ``signal 9``."""
    if job["signal"] is not None:
        return f"signal {job['signal']}"
    return None if job["exit_code"] is None else str(job["exit_code"])


JOB_HEAD = ("ID", "QUEUE", "STATE", "ATTEMPT", "EXIT", "TOOK", "SOURCE", "NAME")


def job_row(job: Message) -> tuple[Any, ...]:
    return (
        job["id"],
        job["queue"],
        job["state"],
        job["attempt"],
        exit_of(job),
        seconds(job["started"], job["finished"]),
        job["source"],
        job["name"],
    )


def status(reply: Message) -> list[str]:
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
    workers = [(w["pid"], w["state"], w["job"]) for w in reply["workers"]]
    lines += ["", *table(("WORKER", "STATE", "JOB"), workers)]
    queues = [(q["name"], q["limit"], q["queued"], q["running"], q["failed"]) for q in reply["queues"]]
    more = reply.get("more_queues")  # not from a daemon of before
    rest = [f"and {more} more queues with jobs: taskgatectl list --queue QUEUE"] if more else []
    return [*lines, "", *table(("QUEUE", "LIMIT", "QUEUED", "RUNNING", "FAILED"), queues), *rest]


def _runs(reply: Message) -> str:
    if reply["spec"] is not None:
        return _what(reply["spec"])
    unreadable = reply.get("unreadable")  # not from a daemon of before
    return f"(cannot be read: {unreadable})" if unreadable else "(not yours to see)"


def details(reply: Message) -> list[str]:
    job = reply["job"]
    rows = [
        ("job", f"{job['id']} ({job['name']})"),
        ("queue", f"{job['queue']}, priority {job['priority']}"),
        ("state", job["state"] + (f": {job['reason']}" if job["reason"] else "")),
        ("exit", exit_of(job)),
        ("source", job["source"]),
        ("submitted", f"{moment(job['submitted'])} by uid {job['owner']}"),
        ("started", moment(job["started"])),
        ("finished", moment(job["finished"])),
        ("due", moment(job["due"])),
        ("runs", _runs(reply)),
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


def _what(spec: Message) -> str:
    command = spec.get("command")
    if isinstance(command, list):
        import shlex

        return shlex.join(command)
    if command is not None:
        return str(command)
    return "a script, from a private copy"
