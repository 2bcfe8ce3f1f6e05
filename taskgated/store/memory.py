"""What the policies of the gate remember of starts and ends, as a store keeps it: a text under a key.

It is written in the group of the start or the end that it follows from, so neither is there without the other. The
texts are JSON, and mean something to ``daemon/ledger.py`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Remembered(Protocol):
    """What can be asked; see ``contract.Questions``."""

    def memory(self) -> Mapping[str, str]:
        """All of it, by its keys."""


class Remembering(Protocol):
    """What changes it; see ``contract.Store``."""

    def remember(self, values: Mapping[str, str | None]) -> None:
        """These are to be known from now on, by their keys; None: nothing is, under that key."""
