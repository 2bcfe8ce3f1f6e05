"""How things are shown to people: plain columns, local times, no colours where nobody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from taskgated.protocol.replies import ShownAttempt, ShownJob
from taskgated.text import printable


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of left-aligned columns; None is a dash."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(value: object) -> str:
    """As wide as it is when it is said."""
    return "-" if value is None or value == "" else printable(str(value))


def row(values: Sequence[object]) -> str:
    """A line with the same cells, where the others are not known yet."""
    return "  ".join(map(_cell, values))


def moment(text: str | None) -> str | None:
    """An RFC 3339 time in the local zone, to the second."""
    if text is None:
        return None
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def seconds(start: str | None, end: str | None) -> str | None:
    if start is None or end is None:
        return None
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f}s"


def exit_of(ended: ShownJob | ShownAttempt) -> str | None:
    """``0``, ``3``, or ``signal 9``."""
    if ended["signal"] is not None:
        return f"signal {ended['signal']}"
    return None if ended["exit_code"] is None else str(ended["exit_code"])


def output_removed(at: str | None) -> str | None:
    """What became of an output that was removed at that time; a daemon of an earlier version says of none."""
    return None if at is None else f"removed at {moment(at)}, as all outputs together took more than retention.output"


JOB_HEAD = ("ID", "QUEUE", "STATE", "ATTEMPT", "EXIT", "TOOK", "SOURCE", "NAME")


def job_row(job: ShownJob) -> tuple[object, ...]:
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
