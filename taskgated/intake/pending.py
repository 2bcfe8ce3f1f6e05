"""Claimed files that wait: for their time, or for a configuration that says what they are."""

from __future__ import annotations

from collections.abc import Collection

from taskgated.intake.claimed import Claimed
from taskgated.intake.later import Later

PENDING = 4096
"""Claimed files that wait, most of them lists for their end; beyond it no more are claimed for a while."""


class Pending:
    """At most ``most`` of them wait for their time, and any number for a configuration."""

    def __init__(self, most: int) -> None:
        self.later = Later(limit=4 * most)
        self._most = most
        self._claimed: dict[str, Claimed] = {}
        self._named: dict[tuple[str, bytes], dict[str, Claimed]] = {}
        self._unexplained: dict[str, Claimed] = {}

    @property
    def full(self) -> bool:
        """No more may wait for their time."""
        return len(self._claimed) >= self._most

    def wait(self, claimed: Claimed, seconds: float) -> None:
        """It is ``due`` in so many seconds."""
        self._claimed[claimed.claim] = claimed
        self._named.setdefault((claimed.queue, claimed.name), {})[claimed.claim] = claimed
        self.later.again(claimed.key, seconds)

    def wait_for_handler(self, claimed: Claimed) -> None:
        """It waits until ``explain_again``."""
        self._unexplained[claimed.claim] = claimed

    @property
    def unexplained(self) -> Collection[Claimed]:
        """Those that wait for a configuration with a handler."""
        return self._unexplained.values()

    def explain_again(self) -> list[Claimed]:
        """There is another configuration: those that waited for it, the oldest first."""
        found, self._unexplained = self._unexplained, {}
        return sorted(found.values(), key=lambda claimed: claimed.claim)

    def forget(self, claimed: Claimed) -> None:
        """It is done with."""
        self.later.forget(claimed.key)

    def resume(self, claimed: Claimed) -> None:
        """It does not wait any more, if it did."""
        if self._claimed.pop(claimed.claim, None) is not None:
            namesakes = self._named[claimed.queue, claimed.name]
            del namesakes[claimed.claim]
            if not namesakes:
                del self._named[claimed.queue, claimed.name]

    def due(self, most: int) -> list[Claimed]:
        """Those whose time has come."""
        found = (self._claimed.get(key.decode("ascii")) for key in self.later.due(most)[0])
        return [claimed for claimed in found if claimed is not None]

    def named(self, queue: str, name: bytes) -> list[Claimed]:
        """Those of that name, the oldest first."""
        return list(self._named.get((queue, name), {}).values())
