"""A few crash points of each scenario, others each time; ``python -m tests.chaos --all`` does them all."""

from __future__ import annotations

import random
import secrets
import shutil

import pytest

from tests.chaos.crashpoints import SCENARIOS, Point, attempt
from tests.chaos.table import Row

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

# About how often a call is made in each scenario, at least; a point beyond the last is a run that nobody disturbs.
TYPICAL = {
    "first start": {"mkdir": 11, "fdatasync": 8, "pwrite64": 41, "vfork": 1, "clone3": 3, "sendto": 4, "unlink": 5},
    "its work and": {"pwrite64": 400, "sendto": 80, "fdatasync": 35, "renameat": 30, "unlinkat": 30, "fsync": 6},
    "after a crash": {"pwrite64": 300, "sendto": 60, "fdatasync": 30, "unlinkat": 25, "renameat": 15, "mkdir": 7},
    "of a worker at each call of its work": {"vfork": 13, "sendto": 13, "unlink": 3, "write": 10},
    "its daemon being gone": {"fsync": 2, "sendto": 2, "rename": 1, "unlink": 1},
    "worker server": {"sendto": 6, "clone": 2},
}


def points(dice: random.Random) -> list[tuple[str, Point]]:
    """One of each scenario."""
    found = []
    for attack in SCENARIOS:
        (calls,) = (calls for part, calls in TYPICAL.items() if part in attack)
        call = dice.choice(sorted(calls))
        found.append((attack, Point(call, dice.randint(1, calls[call]))))
    return found


def test_a_sample() -> None:
    seed = secrets.randbits(32)
    tries = [(point, attempt(attack, point)) for attack, point in points(random.Random(seed))]
    bad: list[tuple[Row, Point]] = [(done.row, point) for point, done in tries if not done.row.clean]
    assert not bad, f"seed {seed}: {bad}"
    missed = [str(point) for point, done in tries if not done.killed]
    assert len(missed) <= len(tries) // 2, f"seed {seed}: nobody was killed at {missed}"
