"""What an attack comes to: one row of the table in the design page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("attack", "tries", "lost", "twice at once", "over limit", "left behind", "seconds until service resumed")


@dataclass(frozen=True, slots=True)
class Row:
    """Counts over all tries. ``of``: how many tries there could be, where that is a number. ``left``: private files,
    processes or half-done entries that nobody will clean up.
    ``seconds``: the longest time from the end of the attack until jobs ran again. ``notes``: what else went wrong, in
    words; a row with notes is not clean."""

    attack: str
    tries: int
    lost: int = 0
    twice: int = 0
    over: int = 0
    left: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    of: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.twice or self.over or self.left or self.notes)

    def __add__(self, other: Row) -> Row:
        return Row(
            self.attack,
            self.tries + other.tries,
            self.lost + other.lost,
            self.twice + other.twice,
            self.over + other.over,
            self.left + other.left,
            max(self.seconds, other.seconds),
            self.notes + other.notes,
            self.of + other.of,
        )


def markdown(rows: Sequence[Row]) -> str:
    """The table as the design page has it."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for row in rows:
        tries = f"{row.tries:,} of {row.of:,}" if row.of else f"{row.tries:,}"
        cells = (row.attack, tries, row.lost, row.twice, row.over, row.left, f"{row.seconds:.1f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
