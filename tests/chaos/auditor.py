"""Decides from the record that jobs left (``record.py``), and from that alone, what went wrong.

It knows nothing of the gate, imports nothing of it, and asks nobody.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# A power cut may leave a line cut, without its end: the next one then follows it in the same row.
_LINE = re.compile(r"(start|end|twice|over) (\S+) (\d+) (\d+) (\d+)$")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that an attempt said of itself; ``at`` in nanoseconds of the wall clock."""

    word: str
    name: str
    attempt: int
    pid: int
    at: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Names of jobs. ``lost``: accepted, but no attempt came to its end. ``twice``: two attempts at once. ``over``:
    ran beyond the limit. ``again``: more than one attempt came to its end (which only an uncertain end excuses).
    ``gaps``: attempts' numbers did not grow, or an end stands there without its start. ``unknown``: nobody expected
    it to run at all."""

    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Run:
    """An attempt in the record, by the positions of its lines; ``end`` is None if it never came to its end."""

    name: str
    start: int
    end: int | None = None


def read(directory: Path) -> list[Line]:
    """The record, in the order in which it was written. A line that is cut (a power cut) counts as unsaid."""
    try:
        text = (directory / "record").read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return []
    lines = []
    rows = text.split("\n")
    for number, row in enumerate(rows[:-1], 1):  # after the last newline stands a cut line, or nothing
        found = _LINE.search(row)
        if found is None:
            raise ValueError(f"line {number} of the record is none: {row!r}")
        word, name, attempt, pid, at = found.groups()
        lines.append(Line(word, name, int(attempt), int(pid), int(at)))
    return lines


def ends(lines: Iterable[Line]) -> Counter[str]:
    """How many attempts of each job came to their end."""
    return Counter(line.name for line in lines if line.word == "end")


def judge(
    lines: Iterable[Line], expected: Iterable[str], limit: int | None = None, *, repeats: bool = False
) -> Verdict:
    """``expected``: the names of all jobs that were accepted. ``limit``: how many may run at once, in all.
    ``repeats``: the number of an attempt may come again, as it may after a power cut."""
    lines, expected = list(lines), set(expected)
    runs, orphans = _runs(lines)
    ended = ends(lines)
    said = {word: {line.name for line in lines if line.word == word} for word in ("twice", "over")}
    over = said["over"] if limit is None else said["over"] | _beyond(runs, limit)
    numbers: dict[str, list[int]] = {}
    for line in lines:
        if line.word == "start":
            numbers.setdefault(line.name, []).append(line.attempt)
    back = {name for name, attempts in numbers.items() if not _grow(attempts, repeats)}
    return Verdict(
        lost=tuple(sorted(expected - set(ended))),
        twice=tuple(sorted(said["twice"] | _overlapping(runs))),
        over=tuple(sorted(over)),
        again=tuple(sorted(name for name, number in ended.items() if number > 1)),
        gaps=tuple(sorted(back | orphans)),
        unknown=tuple(sorted({line.name for line in lines} - expected)),
    )


def _grow(numbers: list[int], repeats: bool) -> bool:
    return numbers == sorted(numbers if repeats else set(numbers))


def _runs(lines: list[Line]) -> tuple[list[_Run], set[str]]:
    """Every attempt that began, in order, and the jobs of ends without a start.

    An end belongs to the last start of the same attempt and process: a process that was killed has no end, and
    its pid may come again, after a power cut even with the number of the attempt.
    """
    runs: list[_Run] = []
    last: dict[tuple[str, int, int], _Run] = {}
    orphans = set()
    for position, line in enumerate(lines):
        key = (line.name, line.attempt, line.pid)
        if line.word == "start":
            last[key] = _Run(line.name, position)
            runs.append(last[key])
        elif line.word == "end":
            run = last.pop(key, None)
            if run is None:
                orphans.add(line.name)
            else:
                run.end = position
    return runs, orphans


def _overlapping(runs: list[_Run]) -> set[str]:
    """Jobs of which an attempt began before an earlier one that did come to its end had ended. When one that was
    killed had ended nobody has written down; of those only the locks can tell."""
    reached: dict[str, int] = {}
    found = set()
    for run in runs:
        if run.start < reached.get(run.name, -1):
            found.add(run.name)
        if run.end is not None:
            reached[run.name] = max(run.end, reached.get(run.name, -1))
    return found


def _beyond(runs: list[_Run], limit: int) -> set[str]:
    """Jobs that began while ``limit`` others were between a start and an end that both stand in the record."""
    found = set()
    open_: list[int] = []  # the ends of those that run
    for run in runs:
        open_ = [end for end in open_ if end > run.start]
        if run.end is not None:
            if len(open_) >= limit:
                found.add(run.name)
            open_.append(run.end)
    return found
