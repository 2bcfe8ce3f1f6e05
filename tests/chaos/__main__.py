"""Attacks the gate, and prints the table of what came of it.

    python tests/chaos [--all] [--seed S] [--attack NAME ...] [--minutes M]

Without --all each attack does a sample of what it could do, chosen by the seed. Exit status 1: a row is not clean.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "system"), str(HERE.parents[1])]

from table import Row, markdown  # noqa: E402

MODULES = ("crashpoints", "powercut", "resources", "events", "clocks", "hostile", "soak")
Attack = Callable[[random.Random, bool], Row]


def known() -> dict[str, Attack]:
    """Every attack of the modules that are there, by its name."""
    found: dict[str, Attack] = {}
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            found |= importlib.import_module(name).attacks()
    return found


def chosen(attacks: dict[str, Attack], wanted: list[str]) -> dict[str, Attack]:
    """Those whose names contain one of the texts; all without any."""
    return {name: attack for name, attack in attacks.items() if not wanted or any(text in name for text in wanted)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/chaos", description="Attack the gate, and print what came of it.")
    parser.add_argument("--all", action="store_true", help="everything an attack can do, not a sample")
    parser.add_argument("--seed", type=int, help="chooses the sample; default: a new one each time")
    parser.add_argument(
        "--attack", action="append", default=[], metavar="NAME", help="only those with NAME in their name"
    )
    parser.add_argument("--minutes", type=float, help="how long the soak lasts")
    parser.add_argument("--list", action="store_true", help="only say which attacks there are")
    options = parser.parse_args()
    attacks = chosen(known(), options.attack)
    if options.list or not attacks:
        print("\n".join(attacks) or "no such attack")
        return 0 if attacks else 2
    if options.minutes is not None:
        importlib.import_module("soak").MINUTES = options.minutes
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that trials clean up
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    rows = []
    for name, attack in attacks.items():
        # Each with dice of its own, so that an attack alone is what it is among the others.
        row = attack(random.Random(f"{seed} {name}"), options.all)
        rows.append(row)
        print(markdown([row]).splitlines()[-1], file=sys.stderr, flush=True)
        for note in row.notes:
            print(f"  {note}", file=sys.stderr, flush=True)
    print(markdown(rows))
    return 0 if all(row.clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
