"""Reading a claimed file: its jobs go into the batch, and what becomes of the file follows from that."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence

from taskgated.core.array import Jobs, awaited, templates
from taskgated.core.job import Spec
from taskgated.core.owner import Owner
from taskgated.errors import Unexplained
from taskgated.intake import batch, lists
from taskgated.intake.batch import Batch
from taskgated.intake.claim import directory_of, inside
from taskgated.intake.claimed import Claimed
from taskgated.intake.data import DataQueues
from taskgated.intake.entitled import check_queues
from taskgated.intake.fate import Finish, Keep, More, Reject, Step, Wait, WaitForHandler, WhenStored
from taskgated.intake.plan import parts_of, plan_of
from taskgated.intake.settings import Settings
from taskgated.intake.settle import Opened, unfit
from taskgated.intake.shares import Shares
from taskgated.intake.understand import check_size, specs_of, understand
from taskgated.language import jobfile
from taskgated.language.kinds import Kind, kind_of
from taskgated.store import placement
from taskgated.store.contract import Addition
from taskgated.text import counted, to_text

GRACE = 0.5
"""Seconds from the claim of a list until it may go: a writer that had found the file by its old name, but had
not opened it yet, has done so by then, and has it open or waits for our lease; both can be seen."""
AT_ONCE = 0.05
"""The least seconds that a list waits for its end."""
CROWDED = 5.0
"""Seconds until a list goes on whose owner has as many jobs queued as one user may."""


class Reader:
    """``spool`` and ``claims``: the paths of the spool and of the directory of claims."""

    def __init__(
        self, spool: bytes, claims: bytes, files: Batch, settings: Settings, shares: Shares, data: DataQueues
    ) -> None:
        self._spool = spool
        self._claims = claims
        self._batch = files
        self._settings = settings
        self._shares = shares
        self._data = data

    def read(self, claimed: Claimed, opened: Opened) -> Step:
        """Read what is new in it, or a piece of that. Raises ``Refused`` for what is wrong with the file, and
        ``Trouble`` for what keeps it from being read now: then nothing of this step is in the batch."""
        try:
            kind = self._kind(claimed)
            if kind in (Kind.TASKS, Kind.LINES):
                return self._list(claimed, opened, kind)
            return self._whole(claimed, opened, kind)
        except Unexplained:
            return self._unexplained(claimed)

    def _kind(self, claimed: Claimed) -> Kind:
        """What kind of file it is. ``Unexplained`` when version 0.2.0 claimed it, and that cannot be said yet."""
        if claimed.kind is None:
            if self._data.lacks_handler(queue := self._settings.config.queue(claimed.queue)):
                raise Unexplained(f"queue {queue.name} takes data")
            claimed.kind = kind_of(claimed.source, queue)
            if claimed.kind is Kind.FILE and claimed.known is not None:
                raise unfit(claimed.name, "its queue has another handler now", "drop again what is left of it")
        return claimed.kind

    def _unexplained(self, claimed: Claimed) -> Step:
        """A configuration that says that its queue has no handler refuses it; it waits for one that has a handler."""
        self._batch.accept_untold(claimed)
        if not self._settings.config.queue(claimed.queue).runs:
            return WaitForHandler()
        text = f"it was dropped as data for a handler, and queue {claimed.queue} has none any more"
        return Reject(unfit(claimed.name, text, "drop it again if it is to run"))

    def _whole(self, claimed: Claimed, opened: Opened, kind: Kind) -> Step:
        """A spec, a script, or data for one job."""
        config = self._settings.config
        if claimed.jobs is not None:
            return self._arrays(claimed, opened, claimed.jobs)
        if claimed.known is not None and claimed.known >= parts_of(claimed.plan):
            return Finish()  # all its jobs are in the store, and none of them needs it
        if kind is Kind.FILE:
            check_size(claimed.name, opened, config.max_list_size)
            # Its writer may not have synced it, and its job works on it, after a power cut, too.
            understand(claimed.name, lambda: os.fsync(opened.fd))
            path = to_text(self._claims + b"/" + inside(claimed.claim, claimed.name))
            specs: Sequence[Spec] = [
                understand(claimed.name, lambda: jobfile.file_spec(claimed.source, path, claimed.queue, config))
            ]
        else:
            specs = specs_of(kind, claimed.name, claimed.queue, opened, config)
            self._batch.weigh(opened.stat.st_size)
            self._check_plan(claimed, specs)
            elsewhere = {spec.queue for spec in templates(specs)} - {claimed.queue}
            understand(claimed.name, lambda: check_queues(self._spool, claimed.name, opened.stat.st_uid, elsewhere))
            if isinstance(specs, Jobs):
                claimed.jobs, claimed.taken, claimed.awaited = specs, claimed.known or 0, awaited(templates(specs))
                return self._arrays(claimed, opened, specs)
        keep = kind is Kind.FILE
        self._add(claimed, opened, 0, specs, keep)
        for queue, jobs in Counter(spec.queue for spec in specs).items():
            self._batch.accept(claimed, queue, jobs)
        return WhenStored(Keep() if keep else Finish())

    def _check_plan(self, claimed: Claimed, specs: Sequence[Spec]) -> None:
        """Raises ``Refused`` if the jobs that are left are not those that were to come when the first were taken in:
        what is missing is for a person to say."""
        plan = plan_of(specs)
        if claimed.known is None:
            claimed.plan = plan
        elif plan != claimed.plan:
            then, now = counted(parts_of(claimed.plan), "job"), counted(parts_of(plan), "job")
            if now == then:
                now = f"{now} with other indices"
            text = f"made {then} when it was taken in, and makes {now} as it is read now"
            raise unfit(claimed.name, text, "see foreign_directives, then drop again what is missing of it")

    def _arrays(self, claimed: Claimed, opened: Opened, jobs: Jobs) -> Step:
        """One step with a file that has arrays: take in the next jobs, as many as there is room for.

        How many of them are in the store is kept there with them, as of a list. The file is read once, and after a
        crash again.
        """
        owner = self._owner(claimed, opened)
        room = max(0, min(batch.SPECS, self._shares.room, self._shares.room_of(owner)))
        first = claimed.taken
        specs: list[Spec] = []
        size = 0
        for spec in jobs.pieces(first):
            if len(specs) >= room or size >= batch.BYTES:
                break
            specs.append(spec)
            size += len(json.dumps(spec.to_json()))
        if specs:
            self._add(claimed, opened, first, specs, False)
            self._batch.weigh(size)
            claimed.taken += len(specs)
            for queue, number in Counter(spec.queue for spec in specs).items():
                if queue == claimed.queue:
                    claimed.untold += number
                else:
                    self._batch.accept(claimed, queue, number)
        if claimed.taken < len(jobs) and self._shares.admits(owner):
            return More()
        self._batch.accept_untold(claimed)
        return Wait(CROWDED) if claimed.taken < len(jobs) else WhenStored(Finish())

    def _list(self, claimed: Claimed, opened: Opened, kind: Kind) -> Step:
        """One step with a file of lines: check a piece of it, or take in a piece, or let it go at last."""

        def parse(number: int, line: bytes) -> Spec | None:
            lists.too_long(claimed.source, number, line)
            return understand(
                claimed.name,
                lambda: jobfile.line_spec(kind, claimed.source, number, line, claimed.queue, self._settings.config),
            )

        lines = claimed.lines
        if lines is None:
            check_size(claimed.name, opened, self._settings.config.max_list_size)
            lines = claimed.lines = lists.Lines(claimed.source, claimed.known or 0, claimed.earlier)
        lines.notice(opened.stat.st_size)
        while not lines.checked:
            understand(claimed.name, lambda: lines.check(opened.fd, parse))
            if not lines.checked and opened.stat.st_size > lists.CHUNK:
                return More()
        owner = self._owner(claimed, opened)
        room = max(0, min(batch.SPECS, self._shares.room, self._shares.room_of(owner)))
        age = time.monotonic() - claimed.since
        final = age >= GRACE and opened.undisturbed()
        first = lines.parts
        specs, at_end = understand(claimed.name, lambda: lines.read(opened.fd, parse, room, final))
        lines.parts += len(specs)
        claimed.untold += len(specs)
        if specs:
            self._add(claimed, opened, first, specs, False)
        if lines.refused is not None:
            return WhenStored(Reject(lines.refused))
        if not at_end and self._shares.admits(owner):
            return More()
        self._batch.accept_untold(claimed)
        if not at_end:
            return Wait(CROWDED)  # this user's alone does: the files of others need not wait for it
        if not final:
            return Wait(max(GRACE - age, AT_ONCE))
        return WhenStored(Finish(opened))

    def _owner(self, claimed: Claimed, opened: Opened) -> Owner:
        """Whose it is, asked once of each file. ``Trouble`` when that cannot be told now."""
        if claimed.owner is None:
            claimed.owner = self._shares.owner(opened.stat.st_uid)
        return claimed.owner

    def _add(self, claimed: Claimed, opened: Opened, first: int, specs: Sequence[Spec], keep: bool) -> None:
        owner = self._owner(claimed, opened)
        lay = directory_of(claimed.claim)
        self._batch.add(
            claimed,
            Addition(
                placement.claimed(claimed.claim),
                first,
                specs,
                claimed.source,
                owner.name,
                owner.uid,
                keep,
                lay,
                claimed.plan,
                claimed.awaited,
            ),
        )
        self._shares.spend(owner, len(specs))
