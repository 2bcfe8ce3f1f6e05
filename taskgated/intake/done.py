"""Claims that are done with, until nothing is left of them: steps 3 and 4 of ``take``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from taskgated.faultpoints import point
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims
from taskgated.intake.events import Sink
from taskgated.intake.failed import Failed
from taskgated.intake.pulse import Pulse

FORGET = 256
FORGET_AFTER = 1.0
"""Claims that are done with are forgotten together, with one sync: so many, or after so many seconds."""
NEVER = float("inf")


class Done:
    """Claims that were put by, and that the store has not forgotten yet."""

    def __init__(self, claims: Claims, aside: Aside, failed: Failed, sink: Sink, pulse: Pulse) -> None:
        self._claims = claims
        self._failed = failed
        self._aside = aside
        self._sink = sink
        self._pulse = pulse
        self._names: dict[str, bytes | None] = {}  # of their files, where they are known
        self._forget_at = NEVER

    @property
    def next(self) -> float:
        """When there is something to ``forget`` (monotonic clock); infinity if never."""
        return self._forget_at

    def put_by(self, claim: str, name: bytes | None) -> None:
        """All that is in a claim is in the store, or elsewhere. ``name``: that of its file, where it is known."""
        self._claims.put_by(claim)
        self._aside.done(claim)
        if not self._names:
            self._forget_at = time.monotonic() + FORGET_AFTER
        self._names[claim] = name

    def let_go(self, claims: Sequence[str], *, failed: bool) -> None:
        """The jobs that worked on the files of these claims are over. ``failed``: they did not all succeed, and files
        of those that did not are kept."""
        for claim in claims:
            if not failed or self._failed.keep(claim):
                self.put_by(claim, None)
            self._pulse.steps += 1

    def try_again(self) -> None:
        """What could not be kept elsewhere may be now."""
        self.let_go(self._failed.waiting(), failed=True)

    def forget(self, now: bool = False) -> None:
        """Have the store forget what is gone, and remove it, if it is time."""
        if self._names and (now or len(self._names) >= FORGET or time.monotonic() >= self._forget_at):
            self._aside.sync()
            self._failed.sync()
            self._claims.sync()
            point("claims.synced")
            names, self._names, self._forget_at = self._names, {}, NEVER
            self._sink.forget_claims(list(names))
            point("claims.settled")
            for claim, name in names.items():
                self._claims.remove(claim, name)
                self._pulse.steps += 1
