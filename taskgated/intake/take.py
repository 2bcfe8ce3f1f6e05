"""From claimed files to jobs in the store, many files at a time.

The order in which things reach the disk is what makes a crash harmless:

1. The file is renamed into its claim, and the directory it came from is synced: if the power goes after the
   jobs were committed, the name must not be back in the spool, to be taken in again under another id. In between
   the companion that its queue requires is removed, so that it is gone when the jobs are there.
2. Its jobs are added under the claim's id, and are on stable storage when ``add`` returns.
3. The claim is put by: renamed within ``.claims``, which is then synced. Only now may the store forget the
   id, for a claim that came back would have to be known.
4. When the store has forgotten it, the claim is removed with its file.

Step 1 is taken here, 2 by ``batch``, 3 and 4 by ``done``. A file that comes to its end by jobs which are only in the
batch does so ``WhenStored`` (``fate``): the batch carries that out after 2.

So after a crash every claim that is left is taken up again: unknown to the store, it is at 2, and its companion, if
one older than the claim is there, is removed; known, at 3; put by, at 4. A list that is known goes on from there, and
so does a file with an array of which the store has not all jobs (``plan``), if it still makes the same. A claim whose
file a job works on is left alone, or is at 3 when that job is over, where a file whose job did not succeed is moved
first (``failed``): the store knows that by itself, and looks at nothing that the job could have changed.

Nothing of a claim that is gone may meet the next one. At 4 the directory is given to another claim only if nothing is
in it; else it is moved out of the way as a whole, which is one rename, and what is in it goes by and by (``litter``).
A crash before that rename finds the claim put by, one after it finds litter, and neither is looked into.
"""

from __future__ import annotations

import os
import time

from taskgated.errors import Refused, Trouble
from taskgated.faultpoints import point
from taskgated.intake import settle
from taskgated.intake.aside import Aside
from taskgated.intake.batch import FILES, Batch
from taskgated.intake.claim import Claims, inside
from taskgated.intake.claimed import Claimed
from taskgated.intake.fate import Fates, Lose, More, Reject, Step, Wait, WhenStored
from taskgated.intake.later import Later
from taskgated.intake.pending import Pending
from taskgated.intake.read import Reader
from taskgated.intake.settings import Settings
from taskgated.intake.settle import Opened
from taskgated.intake.shares import Shares
from taskgated.intake.understand import check_size, read_at
from taskgated.language.bynames import not_taken
from taskgated.language.kinds import Kind, kind_of
from taskgated.language.names import looks_temporary
from taskgated.text import to_text

NAMESAKES = 16
"""Lists of one name that may wait for their end; the next file of that name stays in the spool meanwhile."""


class Taker:
    """The batch must be flushed before anything that ``advance`` took in is durable.

    ``OSError`` from a method means trouble with the claims' disk; what was under way is then found again
    by recovery, as after a crash.
    """

    def __init__(
        self,
        claims: Claims,
        batch: Batch,
        pending: Pending,
        fates: Fates,
        reader: Reader,
        aside: Aside,
        shares: Shares,
        settings: Settings,
    ) -> None:
        self._claims = claims
        self._batch = batch
        self._pending = pending
        self._fates = fates
        self._reader = reader
        self._aside = aside
        self._shares = shares
        self._settings = settings
        self._any_link = settle.hard_links_protected()

    @property
    def full(self) -> bool:
        """No more may be taken before the batch is flushed."""
        return self._batch.full or self.stalled

    @property
    def stalled(self) -> bool:
        """No more may be taken before something else happens."""
        return self._shares.room <= 0 or self._pending.full

    # -- files in the spool ----------------------------------------------------------------------

    def look(self, directory: int, name: bytes, later: Later, as_of: float | None = None) -> Opened | float | None:
        """Open a file in the spool if it is settled; as ``settle.open_settled``."""
        settle_time = self._settings.config.settle_time
        return settle.open_settled(directory, name, name, later, settle_time, self._any_link, as_of)

    def approach(
        self, directory: int, name: bytes, queue: str, later: Later, as_of: float | None
    ) -> Opened | float | None:
        """The same of one that may be taken.

        What seems to be in the making rests ``settle_time``: if its writer renames it meanwhile, that succeeds.
        ``Refused`` is raised then for what a handler does not take.
        """
        found = self.look(directory, name, later, as_of)
        wrong = not_taken(name, self._settings.config.queue(queue))
        if not isinstance(found, Opened) or (wrong is None and not self._doubtful(name, queue, found)):
            return found
        rest = self._settings.config.settle_time - settle.rested(found.stat, name, later, time.time())
        if rest <= 0 and wrong is None:
            return found
        found.close()
        if rest <= 0 and wrong is not None:
            raise wrong
        return rest

    def _doubtful(self, name: bytes, queue: str, opened: Opened) -> bool:
        """Whether its writer may rename it next: its name looks so, or neither that nor its content fits anything."""
        kind = kind_of(to_text(name), self._settings.config.queue(queue))
        if kind in (Kind.SPEC, Kind.TASKS):
            return False
        return looks_temporary(name) or (kind is Kind.SCRIPT and self._head(opened) != b"#!")

    def check_size(self, name: bytes, queue: str, opened: Opened) -> None:
        """Raises ``Refused`` for what is larger than it may be: it need not be read for that, nor be claimed."""
        config = self._settings.config
        whole = kind_of(to_text(name), config.queue(queue)) in (Kind.SPEC, Kind.SCRIPT)
        check_size(name, opened, config.max_file_size if whole else config.max_list_size)

    def _head(self, opened: Opened) -> bytes:
        try:
            return read_at(opened.fd, 2, 0)
        except OSError:
            return b""  # it is told when all of it is read

    def claim(
        self, directory: int, name: bytes, queue: str, opened: Opened, beside: bytes | None = None, *, nested: bool
    ) -> Claimed | None:
        """Take a settled file out of the spool and in; returns it if there is more of it to be taken in. ``beside``:
        the companion that said that it is whole, which goes. ``nested``: it is in a directory of the queue's name."""
        self._batch.hold(opened)
        kind = kind_of(to_text(name), self._settings.config.queue(queue))
        claim = self._claims.make(queue, kind, name, nested=nested)
        try:
            self._claims.take(directory, name, claim)
        except OSError as error:
            self._claims.drop(claim)
            if not isinstance(error, FileNotFoundError):
                self._aside.stuck(name, queue, f"cannot be taken out of the spool: {error.strerror}")
            return None
        if beside is not None:
            self.remove_companion(directory, beside, queue)
            point("take.companion")
        self._batch.sync(directory)
        self._aside.free(name, queue)
        claimed = Claimed(claim, queue, name, kind)
        # The name may have been given to another file since it was opened: then look at that one.
        stat = os.stat(inside(claim, name), dir_fd=self._claims.fd, follow_symlinks=False)
        if (stat.st_dev, stat.st_ino) == (opened.stat.st_dev, opened.stat.st_ino):
            claimed.opened = opened
        elif beside is not None:
            claimed.unfit = settle.unfit(name, "was replaced while it was taken", "drop it and its companion again")
        return claimed if self.advance(claimed) else None

    def remove_companion(self, directory: int, beside: bytes, queue: str) -> None:
        """What said of a file that it is whole shall not say it of the next."""
        try:
            os.unlink(beside, dir_fd=directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            text = f"cannot be removed: {error.strerror}; it lets in the next file of that name, whole or not"
            self._aside.stuck(beside, queue, text)

    def catch_up(self, name: bytes, queue: str) -> tuple[list[Claimed], bool]:
        """Before a file is claimed that has the name of lists which still wait for their end: what was
        appended to those, perhaps a moment ago, comes before what is in it.

        Returns those that have more than could be taken in, and whether the file has to wait for others:
        because they are being written to, or there are too many to ask.
        """
        older = self._pending.named(queue, name)
        if len(older) > NAMESAKES:
            return [], True
        more = [claimed for claimed in older if self.advance(claimed)]
        return more, any(claimed.busy for claimed in older)

    def refuse(self, directory: int, name: bytes, queue: str, error: Refused) -> None:
        """Move something from the spool to ``rejected``."""
        self._batch.touch()
        self._aside.put(directory, name, name, queue, str(error))

    # -- claimed files ---------------------------------------------------------------------------

    def advance_due(self) -> list[Claimed]:
        """One step with each of the claimed files whose time has come; returns those that can go on from there."""
        return [claimed for claimed in self._pending.due(FILES) if self.advance(claimed)]

    def advance(self, claimed: Claimed) -> bool:
        """One step with a claimed file, also with one from before a crash; True if it can go on from here.

        If not, the file is done with when the batch is flushed, or it is among the pending ones until its time
        has come.
        """
        self._batch.touch()
        self._pending.resume(claimed)
        step = self._step(claimed)
        if isinstance(step, WhenStored):
            self._batch.then(claimed, step.fate)
        elif not isinstance(step, More):
            self._fates.carry_out(claimed, step)
        return isinstance(step, More)

    def _step(self, claimed: Claimed) -> Step:
        if claimed.unfit is not None:
            return Reject(claimed.unfit)
        try:
            opened, claimed.opened = claimed.opened or self._reopen(claimed), None
            claimed.busy = isinstance(opened, float)
            if isinstance(opened, Opened):
                return self._reader.read(claimed, opened)
            return Lose() if opened is None else Wait(opened)
        except Refused as error:
            return Reject(error.alone())
        except Trouble as error:
            return Wait(self._aside.waits(("", claimed.key), claimed.name, claimed.queue, error))

    def _reopen(self, claimed: Claimed) -> Opened | float | None:
        path = inside(claimed.claim, claimed.name)
        opened = settle.open_settled(
            self._claims.fd, path, claimed.key, self._pending.later, self._settings.config.settle_time, self._any_link
        )
        if isinstance(opened, Opened):
            self._batch.hold(opened)
        return opened
