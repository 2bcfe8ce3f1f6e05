"""Attacks the gate, and prints the table of what came of it.

    python -m tests.chaos [--all] [--seed S] [--attack NAME ...] [--minutes M]

Without --all each attack does a sample of what it could do, chosen by the seed. Each attack is told as it ends, on
standard error; the table, in which those of a kind are one row, is printed at the end. Exit status 1: a row is not
clean.
"""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from tests.chaos import clocks, crashpoints, events, hostile, powercut, races, resources, soak
from tests.chaos.table import Row, markdown

Attack = Callable[[random.Random, bool], Row]
EACH = (crashpoints, powercut, clocks)
"""Of these each attack is a row."""
KINDS = {
    resources: "disks full, read-only, slow, without inodes; no descriptors, processes, memory",
    events: "lost events: queue overflow, no watches, dead threads, spool deleted, replaced, unmounted",
    hostile: "hostile files and clients",
    races: "races by a local user who may drop",
    soak: "random kills of everything under random load",
}
"""Of these all attacks are one row."""


def known() -> dict[str, tuple[str, Attack]]:
    """Every attack by its name, with the name of its row in the table."""
    found = {}
    for module in (*EACH, *KINDS):
        for name, attack in module.attacks().items():
            found[name] = KINDS.get(module, name), attack
    return found


def carried_out(name: str, attack: Attack, seed: int, everything: bool) -> Row:
    """What came of one attack. Each has dice of its own, so that alone it is what it is among the others; and
    whatever goes wrong in one, also with itself, does not keep the others from being tried."""
    try:
        return attack(random.Random(f"{seed} {name}"), everything)
    except (Exception, pytest.skip.Exception) as error:
        traceback.print_exc()
        return Row(name, 0, notes=(f"the attack itself failed: {error!r}",))


def table(rows: Iterable[Row]) -> list[Row]:
    """One row for those of the same name."""
    found: dict[str, Row] = {}
    for row in rows:
        found[row.attack] = found[row.attack] + row if row.attack in found else row
    return list(found.values())


def main() -> int:
    about = "Attack the gate, and print what came of it."
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=about)
    parser.add_argument("--all", action="store_true", help="everything an attack can do, not a sample")
    parser.add_argument("--seed", type=int, help="chooses the sample; default: a new one each time")
    parser.add_argument(
        "--attack", action="append", default=[], metavar="NAME", help="only those with NAME in their name"
    )
    parser.add_argument("--minutes", type=float, help="how long the soak lasts")
    parser.add_argument("--list", action="store_true", help="only say which attacks there are")
    options = parser.parse_args()
    wanted = options.attack
    attacks = {name: entry for name, entry in known().items() if not wanted or any(text in name for text in wanted)}
    if options.list or not attacks:
        print("\n".join(attacks) or "no such attack")
        return 0 if attacks else 2
    if options.minutes is not None:
        soak.MINUTES = soak.SAMPLE_MINUTES = options.minutes
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that trials clean up
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    rows = []
    for name, (kind, attack) in attacks.items():
        row = carried_out(name, attack, seed, options.all)
        rows.append(replace(row, attack=kind))
        print(markdown([replace(row, attack=name)]).splitlines()[-1], file=sys.stderr, flush=True)
        for note in row.notes:
            print(f"  {note}", file=sys.stderr, flush=True)
    print(markdown(table(rows)))
    return 0 if all(row.clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
