"""What becomes of a claimed file after a step with it: values, and the one place that carries them out."""

from __future__ import annotations

from dataclasses import dataclass

from taskgated.errors import Refused
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims, inside
from taskgated.intake.claimed import Claimed
from taskgated.intake.done import Done
from taskgated.intake.events import Accepted, FileLost, Tell
from taskgated.intake.pending import Pending
from taskgated.intake.settings import Settings
from taskgated.intake.settle import Opened
from taskgated.text import counted

DISTURBED = 0.05
"""Seconds until a list is looked at again to which something is being added at its end."""


@dataclass(frozen=True, slots=True)
class More:
    """There is more of it that can be taken in now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It is looked at again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitForHandler:
    """It waits for a configuration that has a handler for it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """All of it is in the store, so its claim is put by. A list, which is ``opened``, goes on instead when it has
    been disturbed: then a writer adds to it."""

    opened: Opened | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """A job works on the file: its claim stays until that job is over."""


@dataclass(frozen=True, slots=True)
class Reject:
    """It is put aside, and its claim is put by."""

    why: Refused


@dataclass(frozen=True, slots=True)
class Lose:
    """Nobody else has business in ``.claims``: a file that is gone from there was not taken back, it is lost."""


Fate = Wait | WaitForHandler | Finish | Keep | Reject | Lose


@dataclass(frozen=True, slots=True)
class WhenStored:
    """That fate, as soon as the batch is on stable storage: not before, for it rests on the jobs in it."""

    fate: Finish | Keep | Reject


Step = More | Fate | WhenStored
"""What comes of one step with a claimed file."""


class Fates:
    """Carries them out. ``OSError`` means trouble with the claims' disk."""

    def __init__(
        self, claims: Claims, pending: Pending, done: Done, aside: Aside, settings: Settings, tell: Tell
    ) -> None:
        self._claims = claims
        self._pending = pending
        self._done = done
        self._aside = aside
        self._settings = settings
        self._tell = tell

    def carry_out(self, claimed: Claimed, fate: Fate) -> None:
        match fate:
            case Wait(seconds):
                self._pending.wait(claimed, seconds)
            case WaitForHandler():
                self._pending.wait_for_handler(claimed)
            case Finish(opened):
                # Still under the lease: had a writer come meanwhile, it would be waiting, or have made it longer.
                if opened is None or opened.undisturbed():
                    self._put_by(claimed)
                else:
                    self._pending.wait(claimed, DISTURBED)
            case Keep():
                pass
            case Reject(why):
                self._reject(claimed, why)
            case Lose():
                self._tell_untold(claimed)
                self._tell(FileLost(claimed.source, claimed.queue, claimed.claim, claimed.parts))
                self._put_by(claimed)

    def _reject(self, claimed: Claimed, why: Refused) -> None:
        note = ""
        self._tell_untold(claimed)
        if claimed.parts and (claimed.jobs is not None or claimed.lines is None):
            note = f"\n\n{claimed.parts} of its jobs, the first, were taken in."
        elif claimed.parts:
            at_fault = claimed.lines is not None and claimed.lines.refused is not None
            which = "those before the line at fault" if at_fault else "of its first lines"
            were = "was" if claimed.parts == 1 else "were"
            note = f"\n\n{counted(claimed.parts, 'job')} of this list, {which}, {were} taken in."
        path = inside(claimed.claim, claimed.name)
        if self._aside.put(self._claims.fd, path, claimed.name, claimed.queue, f"{why}{note}"):
            self._put_by(claimed)
        else:
            self._pending.wait(claimed, self._settings.config.rescan_interval)

    def _tell_untold(self, claimed: Claimed) -> None:
        """Tell of the jobs that were accepted since that was told last; they are in the store already."""
        if claimed.untold:
            self._tell(Accepted(claimed.source, claimed.queue, claimed.untold))
            claimed.untold = 0

    def _put_by(self, claimed: Claimed) -> None:
        self._pending.forget(claimed)
        self._done.put_by(claimed.claim, claimed.name)
