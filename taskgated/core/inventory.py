"""What there is in the store, against what the gate has been told of it.

Whoever tells the gate that jobs came, are parked, or are over may fail to, and the answer to a question may be lost,
late, or come twice. So nothing depends on that: now and then the store is asked what there is, and the gate compares.
A question that was asked before and has no answer by then is given up; its number says so when the answer comes all
the same. What was told is thus a hint: without it things are later, by the time between two inventories.

Lanes may be many, so an inventory comes in pieces, each of its own moment: first those of the lanes (``Gate.seen``),
then what is said of all together (``Gate.taken``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class Numbers:
    """Of the questions that the gate asks, in their order."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


@dataclass(frozen=True, slots=True)
class Inventory:
    """``asked``: the number of the last question that the gate had asked before its first piece. ``waiting``: what
    jobs wait for by name, each with the best of them."""

    asked: int
    waiting: Mapping[str, int] = field(default_factory=dict)
