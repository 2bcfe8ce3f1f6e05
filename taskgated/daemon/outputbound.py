"""No more output than ``retention.output``: when all of it together takes more of the disk, the oldest goes.

What it takes is not counted along, for such a count drifts: other people delete, too, and a kill comes at any moment.
It is measured, a directory at a time and in the background; again only where a name came or went since, where jobs
run, and of the others one each time, so that nothing stays unseen for good. So a look costs little at any number of
outputs, and is the same after a crash.

The oldest are those of jobs that were over first. Of a job that is not over nothing is removed, also nothing of its
earlier attempts. Its record says that the output goes before it goes: what a crash in between has left goes at the
first look after it, also if there is room now, so that no record says what is not so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from taskgated.attempts.outputs import directory_of, number_in, remove
from taskgated.attempts.usage import Usage, directories, measure, sizes
from taskgated.events import Event
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import FIRST_OVER, OverPage

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between directories that are measured, or pages of jobs that are looked at."""
PAGE = 200
"""Jobs whose output is looked at, or removed, in one go."""
STUCK = 1000
"""So many jobs whose output cannot be removed speak of the disk: no more are tried in this look."""
AGAIN = 60
"""Looks after which those that could not be removed, or were passed over, are tried again: about an hour."""
SLOW = 60.0
"""Seconds without an answer of the disk, after which somebody should look at it."""


class OutputBound:
    """``most``: bytes, as the configuration has it at that moment; None: there is no bound. ``running``: the jobs
    that are running now."""

    def __init__(
        self,
        layout: Layout,
        loop: Loop,
        store: StoreClient,
        journal: Journal,
        helper: Helper,
        most: Callable[[], int | None],
        running: Callable[[], Iterable[int]],
    ) -> None:
        self._layout = layout
        self._loop = loop
        self._store = store
        self._journal = journal
        self._helper = helper
        self._most = most
        self._running = running
        self._busy = False
        self._known: dict[int, Usage] = {}  # by directory; the one that was measured first is the first
        self._growing: set[int] = set()  # directories in which jobs ran at the last look
        self._due: deque[int] = deque()  # to be measured in this look
        self._excess = 0
        self._after = FIRST_OVER  # of all that were over until then the output is gone, or stuck
        self._stuck: set[int] = set()
        self._looks = 0
        self._cleared = False  # what a crash has left of outputs that are noted to be removed
        self._removed: list[int] = []  # in this look
        self._freed = 0
        self._told_rest = False

    @property
    def total(self) -> int:
        """Bytes that all outputs took when they were measured last."""
        return sum(usage.size for usage in self._known.values())

    def look(self) -> None:
        """Have a look, if none is under way, and remove what is too much; all of it happens later."""
        if self._busy:
            return
        if self._most() is None:
            self._known.clear()
            return
        self._busy = True
        self._looks += 1
        if self._looks % AGAIN == 0:
            self._after = FIRST_OVER
            self._stuck.clear()
        if self._cleared:
            self._list()
        else:
            self._clear(FIRST_OVER)

    # -- what a crash has left ---------------------------------------------------------------------

    def _clear(self, after: tuple[int, int]) -> None:
        """Once, for all that were over before."""

        def found(answer: Answer[OverPage]) -> None:
            if answer.error is not None:
                self._done()
                return
            page = answer.get()
            if page.next is None:
                self._cleared = True
                self._list()
            else:
                going_on = page.next
                self._on_disk(lambda: left(page.noted), lambda what: cleared(*what, going_on))

        def left(noted: Sequence[int]) -> tuple[Mapping[int, int], Mapping[int, str]]:
            there = sizes(self._layout.log, noted) if noted else {}
            return there, remove(self._layout.log, there) if there else {}

        def cleared(there: Mapping[int, int], stuck: Mapping[int, str], going_on: tuple[int, int]) -> None:
            self._removed += (gone := [job for job in there if job not in stuck])
            self._freed += sum(there[job] for job in gone)
            self._keep(stuck)
            self._loop.after(PAUSE, lambda: self._clear(going_on))

        self._store.ask(lambda store: store.over(after, PAGE), found)

    # -- how much there is -----------------------------------------------------------------------

    def _list(self) -> None:
        self._on_disk(lambda: directories(self._layout.log), self._listed)

    def _listed(self, found: Mapping[int, int] | None) -> None:
        if found is None:
            self._done()
            return
        running = {number_in(job) for job in self._running()}
        self._known = {number: usage for number, usage in self._known.items() if number in found}
        fresh = {number: usage for number, usage in self._known.items() if usage.changed == found[number]}
        due = found.keys() - (fresh.keys() - running - self._growing)
        if fresh:
            due.add(next(iter(fresh)))
        self._growing = running
        self._due.extend(sorted(due))
        self._measure()

    def _measure(self) -> None:
        if not self._due:
            self._judge()
            return
        number = self._due.popleft()
        directory = directory_of(self._layout.log, number)
        self._on_disk(lambda: measure(directory), lambda usage: self._measured(number, usage))

    def _measured(self, number: int, usage: Usage | None) -> None:
        self._known.pop(number, None)
        if usage is not None:
            self._known[number] = usage
        self._loop.after(PAUSE, self._measure)

    def _judge(self) -> None:
        most = self._most()
        self._excess = 0 if most is None else self.total - most
        if self._excess > 0:
            self._next_page()
        else:
            self._told_rest = False
            self._done()

    # -- what goes -------------------------------------------------------------------------------

    def _next_page(self) -> None:
        after = self._after
        self._store.ask(lambda store: store.over(after, PAGE), self._found)

    def _found(self, answer: Answer[OverPage]) -> None:
        if answer.error is not None or len(self._stuck) >= STUCK:
            self._done()
            return
        page = answer.get()
        if page.next is None:
            self._tell_rest()
            self._done()
            return
        # Of those whose output is noted to go some may have it, after a crash: they were to go before all others.
        jobs = [job for job in (*page.noted, *page.jobs) if job not in self._stuck]
        self._on_disk(lambda: sizes(self._layout.log, jobs), lambda found: self._choose(page, jobs, found))

    def _choose(self, page: OverPage, jobs: Sequence[int], found: Mapping[int, int]) -> None:
        """The first of them, until it is enough."""
        chosen: list[int] = []
        left = self._excess
        for job in jobs:
            if left <= 0:
                break
            if job in found:
                chosen.append(job)
                left -= found[job]
        if left > 0 and page.next is not None:  # all of the page is dealt with
            self._after = page.next
        if not chosen:
            self._loop.after(PAUSE, self._next_page)
            return

        def noted(answer: Answer[None]) -> None:
            if answer.error is not None:
                self._done()
                return
            self._on_disk(lambda: remove(self._layout.log, chosen), lambda stuck: self._gone(chosen, found, stuck))

        self._store.submit(lambda store: store.note_output(chosen, removed=True), noted)

    def _gone(self, chosen: Sequence[int], found: Mapping[int, int], stuck: Mapping[int, str]) -> None:
        gone = [job for job in chosen if job not in stuck]
        freed = sum(found[job] for job in gone)
        self._removed += gone
        self._freed += freed
        self._excess -= freed
        self._keep(stuck)
        if self._excess > 0:
            self._loop.after(PAUSE, self._next_page)
        else:
            self._done()

    def _keep(self, stuck: Mapping[int, str]) -> None:
        """The output of these jobs cannot be removed, so it is there still."""
        if stuck:
            still = list(stuck)
            self._store.submit(lambda store: store.note_output(still, removed=False))
            self._tell_stuck({job: why for job, why in stuck.items() if job not in self._stuck})
            self._stuck.update(stuck)

    # -- what is said ----------------------------------------------------------------------------

    def _done(self) -> None:
        self._due.clear()
        if removed := self._removed:
            whose = f"that of job {removed[0]}"
            if len(removed) > 1:
                whose = f"those of {len(removed)} jobs, from job {removed[0]} to job {removed[-1]},"
            text = (
                f"all outputs together took more than retention.output: the oldest, {whose} "
                f"went, which is {self._freed} bytes; the records stay"
            )
            self._journal.event(Event.OUTPUT_REMOVED, text, Priority.INFO)
        self._removed, self._freed = [], 0
        self._busy = False

    def _tell_stuck(self, stuck: Mapping[int, str]) -> None:
        if stuck:
            job, why = next(iter(stuck.items()))
            others = f" and {len(stuck) - 1} more" if len(stuck) > 1 else ""
            text = f"the output of job {job}{others} is to go (retention.output), and cannot be removed: {why}"
            self._journal.event(Event.OUTPUT_STUCK, text, Priority.WARNING, job_id=job)

    def _tell_rest(self) -> None:
        """Once, until there is room again."""
        if self._told_rest:
            return
        self._told_rest = True
        text = (
            f"all outputs together take {self._excess} bytes more than retention.output, and no more can be removed: "
            f"what is left in {self._layout.log} is of jobs that are not over, or that the database does not know"
        )
        self._journal.event(Event.OUTPUT_STUCK, text, Priority.WARNING)

    def _on_disk(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """``work`` on the helper's thread, and ``then`` with its result on the loop; told if the disk takes long."""
        slow = self._loop.after(SLOW, self._tell_slow)

        def worked(result: T) -> None:
            slow.cancel()
            then(result)

        self._helper.do(work, worked)

    def _tell_slow(self) -> None:
        text = f"the outputs in {self._layout.log} cannot be looked at for {SLOW:.0f} s: does their disk hang?"
        self._journal.event(Event.OUTPUT_STUCK, text, Priority.WARNING)
