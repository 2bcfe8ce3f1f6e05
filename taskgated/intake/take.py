"""From claimed files to jobs in the store, many files at a time.

The order in which things reach the disk is what makes a crash harmless:

1. The file is renamed into its claim, and the directory it came from is synced: if the power goes after the
   jobs were committed, the name must not be back in the spool, to be taken in again under another id.
2. Its jobs are added under the claim's id, and are on stable storage when ``add`` returns.
3. The claim is put by: renamed within ``.claims``, which is then synced. Only now may the store forget the
   id, for a claim that came back would have to be known.
4. When the store has forgotten it, the claim is removed with its file.

So after a crash every claim that is left is taken up again: unknown to the store, it is at 2; known, at 3 (or
a list that goes on from there); put by, at 4. A claim whose file a job works on is left alone, or is at 3 when
that job is over: the store knows that by itself, and looks at nothing that the job could have changed.

Nothing of a claim that is gone may meet the next one. At 4 the directory is given to another claim only if nothing is
in it; else it is moved out of the way as a whole, which is one rename, and what is in it goes by and by (``litter``).
A crash before that rename finds the claim put by, one after it finds litter, and neither is looked into.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence

from taskgated.config import Config
from taskgated.core.job import Spec, to_text
from taskgated.errors import Refused, Trouble, Unexplained
from taskgated.formats import jobfile
from taskgated.formats.jobfile import Kind
from taskgated.intake import lists, settle
from taskgated.intake.aside import Aside
from taskgated.intake.batch import Batch
from taskgated.intake.claim import Claims, inside
from taskgated.intake.data import DataQueues
from taskgated.intake.entitled import check_queues
from taskgated.intake.events import FileLost, IntakeEvent, Sink
from taskgated.intake.patient import Progress
from taskgated.intake.recover import recovered
from taskgated.intake.settle import Later, Opened
from taskgated.intake.shares import Shares
from taskgated.intake.taken import Pending, Taken
from taskgated.intake.understand import check_size, specs_of, understand
from taskgated.store.contract import Addition
from taskgated.trace import point

GRACE = 0.5
"""Seconds from the claim of a list until it may go: whoever had found the file by its old name, but had not
opened it yet, has done so by then, and has it open or waits for our lease; both can be seen."""
FILES = 256
"""Files in one batch: each may hold a descriptor until the batch is in the store."""
SPECS = 1000
BYTES = 4 * 1024 * 1024
PENDING = 4096
"""Claimed files that wait, most of them lists for their end; beyond it no more are claimed for a while."""
NAMESAKES = 16
"""Lists of one name that may wait for their end; the next file of that name stays in the spool meanwhile."""
CROWDED = 5.0
"""Seconds until a list goes on whose owner has as many jobs queued as one user may."""
SETTLE = 256
SETTLE_AFTER = 1.0
"""Claims that are done with are forgotten together, with one sync: so many, or after so many seconds."""


class Taker:
    """Holds one batch at a time. ``flush`` must follow before anything that ``advance`` took in is durable.

    ``OSError`` from a method means trouble with the claims' disk; what was under way is then found again
    by recovery, as after a crash.
    """

    def __init__(
        self,
        claims: Claims,
        aside: Aside,
        spool: bytes,
        config: Config,
        sink: Sink,
        tell: Callable[[IntakeEvent], None],
        progress: Progress,
        shares: Shares,
        data: DataQueues,
    ) -> None:
        self.config = config
        self.pending = Pending(PENDING)
        self.unexplained: dict[str, Taken] = {}  # claimed files that wait for a configuration with a handler
        self.room = 0
        self._shares = shares
        self._data = data
        self._progress = progress
        self._claims = claims
        self._spool = spool
        self.aside = aside
        self._sink = sink
        self._tell = tell
        self._any_link = settle.hard_links_protected()
        self._batch = Batch(sink, tell)
        self._after: list[tuple[Taken, Callable[[], None]]] = []  # once the batch is durable
        self._open: list[Opened] = []  # until then
        self._changed: set[int] = set()  # directories that a file was renamed out of
        self._files = self._specs = self._bytes = 0
        self._done: dict[str, bytes | None] = {}  # claims that were put by, with the names of their files
        self._settle_at = float("inf")

    # -- one batch -------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """No more may be taken before ``flush``."""
        return self._files >= FILES or self._specs >= SPECS or self._bytes >= BYTES or self.stalled

    @property
    def holds(self) -> bool:
        """Something was done since the last ``flush``."""
        return self._files > 0

    @property
    def stalled(self) -> bool:
        """No more may be taken before something else happens."""
        return self.room <= 0 or self.pending.full

    def flush(self) -> None:
        """Put what the batch holds on stable storage, then let its files go."""
        for directory in self._changed:
            os.fsync(directory)
        self._changed.clear()
        point("batch.synced")
        self._batch.store()
        self._shares.stored()
        point("batch.added")
        after, self._after = self._after, []
        self._files = self._specs = self._bytes = 0
        for taken, call in after:
            if taken.unfit is None:
                call()
            else:
                self.pending.resume(taken)
                self._reject(taken, taken.unfit)
            self._progress.steps += 1
        self.abandon()

    def abandon(self) -> None:
        """Let go of the files of the batch; those whose jobs are not in the store are found by recovery."""
        while self._open:
            self._open.pop().close()

    # -- files in the spool ----------------------------------------------------------------------

    def look(self, directory: int, name: bytes, later: Later) -> Opened | float | None:
        """Open a file in the spool if nobody writes to it; as ``settle.open_settled``."""
        return settle.open_settled(directory, name, name, later, self.config.settle_time, self._any_link)

    def claim(self, directory: int, name: bytes, queue: str, opened: Opened) -> Taken | None:
        """Take a settled file out of the spool and in; returns it if there is more of it to be taken in."""
        self._open.append(opened)
        self._progress.steps += 1
        kind = jobfile.kind_of(to_text(name), self.config.queue(queue))
        claim = self._claims.make(queue, kind, name)
        try:
            self._claims.take(directory, name, claim)
        except OSError as error:
            self._claims.drop(claim)
            if not isinstance(error, FileNotFoundError):
                self.aside.stuck(name, queue, f"cannot be taken out of the spool: {error.strerror}")
            return None
        self._changed.add(directory)
        self.aside.free(name, queue)
        taken = Taken(claim, queue, name, kind)
        # The name may have been given to another file since it was opened: then look at that one.
        stat = os.stat(inside(claim, name), dir_fd=self._claims.fd, follow_symlinks=False)
        if (stat.st_dev, stat.st_ino) == (opened.stat.st_dev, opened.stat.st_ino):
            taken.opened = opened
        return taken if self.advance(taken) else None

    def catch_up(self, name: bytes, queue: str) -> tuple[list[Taken], bool]:
        """Before a file is claimed that has the name of lists which still wait for their end: what somebody
        appended to those, perhaps a moment ago, comes before what is in it.

        Returns those that have more than could be taken in, and whether the file has to wait for others:
        because somebody is writing to them, or there are too many to ask.
        """
        older = self.pending.named(queue, name)
        if len(older) > NAMESAKES:
            return [], True
        more = [taken for taken in older if self.advance(taken)]
        return more, any(taken.busy for taken in older)

    def refuse(self, directory: int, name: bytes, queue: str, error: Refused) -> None:
        """Move something from the spool to ``rejected``."""
        self._files += 1
        self._progress.steps += 1
        self.aside.put(directory, name, name, queue, str(error))

    # -- claimed files ---------------------------------------------------------------------------

    def advance(self, taken: Taken) -> bool:
        """One step with a claimed file, also with one from before a crash; True if it can go on from here.

        If not, the file is done with when the batch is flushed, or it is among ``pending`` until its time
        has come.
        """
        self._files += 1
        self._progress.steps += 1
        self.pending.resume(taken)
        try:
            if taken.unfit is not None:
                raise taken.unfit
            opened, taken.opened = taken.opened or self._reopen(taken), None
            taken.busy = isinstance(opened, float)
            if isinstance(opened, Opened):
                return self._take_in(taken, opened)
            if opened is None:
                self._lose(taken)
            else:
                self.pending.wait(taken, opened)
        except Refused as error:
            self._reject(taken, error)
        except Unexplained:
            self._keep_unexplained(taken)
        except Trouble as error:
            self.pending.wait(taken, self.aside.waits(("", taken.key), taken.name, taken.queue, error))
        return False

    def release(self, claims: Sequence[str]) -> None:
        """The jobs that worked on these files are over."""
        for claim in claims:
            self._put_by(claim, None)
            self._progress.steps += 1

    def recover(self, claim: str, done: bool) -> Taken | None:
        """Take up a claim from before, as ``recover.recovered``."""
        return recovered(self._claims, self._sink, self.aside, self._put_by, claim, done)

    def settle(self, now: bool = False) -> None:
        """Let the store forget what is gone, if it is time."""
        if self._done and (now or len(self._done) >= SETTLE or time.monotonic() >= self._settle_at):
            self.aside.sync()
            self._claims.sync()
            point("claims.synced")
            done, self._done, self._settle_at = self._done, {}, float("inf")
            self._sink.settle(list(done))
            point("claims.settled")
            for claim, name in done.items():
                self._claims.remove(claim, name)
                self._progress.steps += 1

    @property
    def next(self) -> float:
        """When there is something to do again (monotonic clock); infinity if never."""
        return min(self._settle_at, self.pending.later.next())

    def explain_again(self) -> list[Taken]:
        """There is another configuration: those that waited for it, the oldest first."""
        found, self.unexplained = self.unexplained, {}
        return sorted(found.values(), key=lambda taken: taken.claim)

    # -- inside ----------------------------------------------------------------------------------

    def _kind(self, taken: Taken) -> Kind:
        """What kind of file it is. ``Unexplained`` when version 0.2.0 claimed it, and that cannot be said yet."""
        if taken.kind is None:
            if self._data.lacks_handler(queue := self.config.queue(taken.queue)):
                raise Unexplained(f"queue {queue.name} takes data")
            taken.kind = jobfile.kind_of(taken.source, queue)
            if taken.kind is Kind.FILE and taken.known is not None:
                raise settle.unfit(taken.name, "its queue has another handler now", "drop again what is left of it")
        return taken.kind

    def _keep_unexplained(self, taken: Taken) -> None:
        """It waits for a configuration with a handler; it is refused by one that says that its queue has none."""
        self._batch.accept_untold(taken)
        if self.config.queue(taken.queue).runs:
            text = f"it was dropped as data for a handler, and queue {taken.queue} has none any more"
            self._reject(taken, settle.unfit(taken.name, text, "drop it again if it is to run"))
        else:
            self.unexplained[taken.claim] = taken

    def _reopen(self, taken: Taken) -> Opened | float | None:
        path = inside(taken.claim, taken.name)
        opened = settle.open_settled(
            self._claims.fd, path, taken.key, self.pending.later, self.config.settle_time, self._any_link
        )
        if isinstance(opened, Opened):
            self._open.append(opened)
        return opened

    def _take_in(self, taken: Taken, opened: Opened) -> bool:
        kind = self._kind(taken)
        if kind in (Kind.TASKS, Kind.LINES):
            return self._list(taken, opened, kind)
        if taken.known is not None:
            self._finish(taken)  # all its jobs are in the store, and none of them needs it
            return False
        if kind is Kind.FILE:
            check_size(taken.name, opened, self.config.max_list_size)
            # Whoever wrote it may not have, and its job works on it, after a power cut, too.
            understand(taken.name, lambda: os.fsync(opened.fd))
            path = to_text(self._claims.path + b"/" + inside(taken.claim, taken.name))
            specs = [understand(taken.name, lambda: jobfile.file_spec(taken.source, path, taken.queue, self.config))]
        else:
            specs = specs_of(kind, taken.name, taken.queue, opened, self.config)
            self._bytes += opened.stat.st_size
            elsewhere = {spec.queue for spec in specs} - {taken.queue}
            understand(taken.name, lambda: check_queues(self._spool, taken.name, opened.stat.st_uid, elsewhere))
        keep = kind is Kind.FILE
        self._add(taken, opened, 0, specs, keep)
        for queue, jobs in Counter(spec.queue for spec in specs).items():
            self._batch.accept(taken, queue, jobs)

        def after() -> None:
            if not keep:
                self._finish(taken)

        self._after.append((taken, after))
        return False

    def _list(self, taken: Taken, opened: Opened, kind: Kind) -> bool:
        """One step with a file of lines: check a piece of it, or take in a piece, or let it go at last."""

        def parse(number: int, line: bytes) -> Spec | None:
            lists.too_long(taken.source, number, line)
            return understand(
                taken.name,
                lambda: jobfile.line_spec(kind, taken.source, number, line, taken.queue, self.config),
            )

        lines = taken.lines
        if lines is None:
            check_size(taken.name, opened, self.config.max_list_size)
            lines = taken.lines = lists.Lines(taken.source, taken.known or 0)
        lines.notice(opened.stat.st_size)
        while not lines.checked:
            understand(taken.name, lambda: lines.check(opened.fd, parse))
            if not lines.checked and opened.stat.st_size > lists.CHUNK:
                return True
        owner = opened.stat.st_uid
        room = max(0, min(SPECS, self.room, self._shares.room(owner)))
        age = time.monotonic() - taken.since
        final = age >= GRACE and opened.undisturbed()
        first = lines.parts
        specs, at_end = understand(taken.name, lambda: lines.read(opened.fd, parse, room, final))
        lines.parts += len(specs)
        taken.untold += len(specs)
        if specs:
            self._add(taken, opened, first, specs, False)
        if lines.refused is not None:
            refused = lines.refused
            self._after.append((taken, lambda: self._reject(taken, refused)))
            return False
        if not at_end and not self._shares.admits(owner):  # of this user alone: who comes next need not wait
            self._batch.accept_untold(taken)
            self.pending.wait(taken, CROWDED)
            return False
        if not at_end:
            return True
        self._batch.accept_untold(taken)
        if not final:
            self.pending.wait(taken, max(GRACE - age, 0.05))
            return False

        def after() -> None:
            # Still under the lease: had a writer come meanwhile, it would be waiting, or have made it longer.
            if opened.undisturbed():
                self._finish(taken)
            else:
                self.pending.wait(taken, 0.05)

        self._after.append((taken, after))
        return False

    def _add(self, taken: Taken, opened: Opened, first: int, specs: list[Spec], keep: bool) -> None:
        owner = opened.stat.st_uid
        self._batch.add(taken, Addition(taken.claim, first, specs, taken.source, owner, keep))
        self._specs += len(specs)
        self._shares.spend(owner, len(specs))
        self.room -= len(specs)

    def _reject(self, taken: Taken, error: Refused) -> None:
        note = ""
        self._batch.tell_untold(taken)
        if taken.parts:
            which = "those before the line at fault" if taken.lines and taken.lines.refused else "of its first lines"
            note = f"\n\n{taken.parts} jobs of this list, {which}, were taken in."
        path = inside(taken.claim, taken.name)
        if self.aside.put(self._claims.fd, path, taken.name, taken.queue, f"{error}{note}"):
            self._finish(taken)
        else:
            self.pending.wait(taken, self.config.rescan_interval)

    def _lose(self, taken: Taken) -> None:
        """Nobody else has business in ``.claims``: a file that is gone from there was not taken back, it is lost."""
        self._batch.tell_untold(taken)
        self._tell(FileLost(taken.source, taken.queue, taken.claim, taken.parts))
        self._finish(taken)

    def _finish(self, taken: Taken) -> None:
        self.pending.later.forget(taken.key)
        self._put_by(taken.claim, taken.name)

    def _put_by(self, claim: str, name: bytes | None) -> None:
        self._claims.put_by(claim)
        self.aside.done(claim)
        if not self._done:
            self._settle_at = time.monotonic() + SETTLE_AFTER
        self._done[claim] = name
