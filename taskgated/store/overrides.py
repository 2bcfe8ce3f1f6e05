"""What operators have set by hand, as a store keeps it: a text under a name, until it is taken back.

The texts are JSON, and mean something to those who set them alone (``daemon/overrides.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Overridden(Protocol):
    """What can be asked; see ``contract.Questions``."""

    def overrides(self) -> Mapping[str, str]:
        """All that there are, by their names."""


class Overriding(Protocol):
    """What changes them; see ``contract.Store``."""

    def override(self, values: Mapping[str, str | None]) -> None:
        """From now on these hold, by their names; None: that one holds no more."""
