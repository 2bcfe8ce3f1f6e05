"""Claims from before: what there is still to do with each, after a crash or a stop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from itertools import islice

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.core.state import State
from taskgated.errors import StoreClosed, StoreError, Trouble
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims, inside, kind_of, queue_of
from taskgated.intake.claimed import Claimed
from taskgated.intake.done import Done
from taskgated.intake.events import Sink
from taskgated.intake.required import remove_after_crash
from taskgated.intake.settings import Settings
from taskgated.intake.settle import OURS_TO_SOLVE
from taskgated.language.kinds import Kind
from taskgated.text import printable, to_text

RECOVER = 256
"""Claims from before that are looked at in one turn."""
MIXED = "several files lie in one claim of version 0.2.0, some left by a handler: drop again what is to run"


class Recovery:
    """``resumed``: where claimed files go on that have more to be taken in; at the end the oldest is first."""

    def __init__(
        self,
        spool: bytes,
        claims: Claims,
        sink: Sink,
        aside: Aside,
        done: Done,
        resumed: deque[Claimed],
        settings: Settings,
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._claims = claims
        self._sink = sink
        self._aside = aside
        self._done = done
        self._resumed = resumed
        self._left: Iterator[tuple[str, bool]] | None = claims.all()  # that were not looked at yet
        self._troubled: list[tuple[str, bool]] = []  # that could not be looked at, and are to be later

    @property
    def over(self) -> bool:
        """All of them were looked at."""
        return self._left is None

    def step(self) -> None:
        """Take up the next of them."""
        if self._left is None:
            return
        claims = list(islice(self._left, RECOVER))
        for claim, done in claims:
            try:
                claimed = self._take_up(claim, done)
            except Trouble:
                if len(self._troubled) < RECOVER:
                    self._troubled.append((claim, done))
                continue
            if claimed is not None:
                self._resumed.append(claimed)
        if not claims:
            in_order = sorted(self._resumed, key=lambda claimed: claimed.claim)
            self._resumed.clear()
            self._resumed.extend(in_order)
            self._left = None

    def try_again(self) -> None:
        """What could not be looked at is to be tried again."""
        if self._troubled and self._left is None:
            self._left, self._troubled = iter(self._troubled), []

    def _take_up(self, claim: str, done: bool) -> Claimed | None:
        """Take up a claim; None if there is nothing more to take in from it.

        What a handler put beside its file is of no interest: whether a job works on the file, and whether that is
        over, the store knows. Raises ``Trouble`` for this claim alone, which is told; then it is as it was.
        """
        try:
            claimed = self._found(claim, done)
        except StoreClosed:
            raise
        except (StoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno in OURS_TO_SOLVE:
                raise
            why = error.strerror if isinstance(error, OSError) else str(error)
            text = f"this claim cannot be taken up again: {why}"
            self._aside.stuck(claim.encode("ascii"), queue_of(claim), text)
            raise Trouble(why) from error
        self._aside.free(claim.encode("ascii"), queue_of(claim))
        return claimed

    def _found(self, claim: str, done: bool) -> Claimed | None:
        keeper = None if done else self._sink.keeper(claim)
        if keeper is not None and not keeper.final:
            return None
        if keeper is not None and keeper is not State.SUCCEEDED:
            self._done.let_go([claim], failed=True)
            return None
        names = [] if done or keeper is not None else self._claims.names(claim)
        known = self._sink.known(claim) if names else None
        if len(names) == 1 and known is None:
            self._remove_companion(claim, names[0])
        if not names or (known is not None and kind_of(claim) is Kind.FILE):
            self._done.put_by(claim, None)
        elif len(names) == 1:
            earlier = known is not None and self._sink.known_to_earlier(claim)
            plan = "" if known is None else self._sink.plan(claim)
            return Claimed(claim, queue_of(claim), names[0], kind_of(claim), known, earlier, plan)
        elif self._scattered(claim, names, known):
            self._done.put_by(claim, None)
        return None

    def _remove_companion(self, claim: str, name: bytes) -> None:
        """What said that the claimed file is whole, if a crash left it."""
        queue = queue_of(claim)
        if (require := self._settings.config.queue(queue).require) is not None:
            directory = self._spool if queue == DEFAULT_QUEUE else self._spool + b"/" + queue.encode("ascii")
            claimed = os.stat(inside(claim, name), dir_fd=self._claims.fd, follow_symlinks=False)
            remove_after_crash(directory, name, require, claimed)

    def _scattered(self, claim: str, names: list[bytes], known: int | None) -> bool:
        """Put all files of a claim aside; whether none is left.

        Version 0.2.0 let handlers work where the claimed file lay, and claimed into directories that it had not
        emptied. Which of these files was dropped nobody can say: so none of them runs, and none is lost.
        """
        note = f"\n\n{known} jobs of the one that was dropped were taken in." if known else ""
        queue = queue_of(claim)
        left = list(names)
        for name in names:
            path = inside(claim, name)
            if self._aside.put(self._claims.fd, path, name, queue, f"{printable(to_text(name))}: {MIXED}{note}"):
                left.remove(name)
        return not left
