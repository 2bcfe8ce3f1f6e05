"""Intake in processes that are killed at its named points."""

from __future__ import annotations

import itertools
import os
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from taskgated import faultpoints
from taskgated.language.config import Config
from tests.env.intake import Gate, config

KILLED = 42
Point = tuple[str, int]
"""The name of a point, and how often it was passed then."""


def killed_at(root: Path, where: int | Point, do: Callable[[Gate], None], settings: Config | None = None) -> bool:
    """Run intake in a process that dies at the point of that number, or at that one; False if it came to the end."""
    passed = itertools.count()
    seen = Counter[str]()

    def die(name: str) -> None:
        seen[name] += 1
        if where in (next(passed), (name, seen[name])):
            os._exit(KILLED)

    return _in_child(root, die, do, settings)


def killed_everywhere(
    directory: Path,
    prepare: Callable[[Path], object],
    do: Callable[[Gate], None],
    check: Callable[[Gate], None],
    *,
    soon: Sequence[int] = (),
    least: int,
) -> None:
    """Have intake do this in new directories, killed at a later point in each until it comes to the end, and look at
    what comes of each. ``soon``: what goes on there is killed as well, at the point of one of these numbers, in turn.
    ``least``: more points than that are passed."""
    for number in itertools.count():
        root = directory / str(number)
        root.mkdir()
        prepare(root)
        died = killed_at(root, number, do)
        if soon:
            killed_at(root, soon[number % len(soon)], do)
        gate = Gate(root, config(settle_time=0.05))
        try:
            check(gate)
        finally:
            gate.stop()
        if not died:
            break
    assert number > least, "there are more points than that on the way"


def points(root: Path, do: Callable[[Gate], None], settings: Config) -> list[Point]:
    """Those that intake passes, in a process of its own as well. Which comes when may differ from run to run."""
    list_ = root / "points"
    list_.touch()
    assert not _in_child(root, lambda name: print(name, file=list_.open("a")), do, settings)
    return [(name, k + 1) for name, number in Counter(list_.read_text().split()).items() for k in range(number)]


def _in_child(root: Path, hook: Callable[[str], None], do: Callable[[Gate], None], settings: Config | None) -> bool:
    child = os.fork()
    if child == 0:
        try:
            faultpoints.hook = hook
            gate = Gate(root, settings or config(settle_time=0.05))
            do(gate)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED
