"""Lines, and jobs that wait for a capacity by name; see ``store/waiting``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from taskgated.core.job import Job
from taskgated.core.named import Needs, at_once, line_of, needs_of
from taskgated.core.state import State
from taskgated.errors import UnreadableRow
from taskgated.store import waiting
from taskgated.store.sqlite.rows import job_of, job_or_part
from taskgated.store.sqlite.statements import Row, Statements
from taskgated.store.waiting import First, Parking, Recalled, Room, Totals


class Lines:
    """On the statements of a store. Jobs that came out are rows with the columns of ``rank``. ``totals``: what there
    is, until ``refit`` says otherwise."""

    def __init__(self, sql: Statements) -> None:
        self._sql = sql
        self.totals = Totals()

    def joins(self, job: Job) -> tuple[int | None, bool]:
        """The line of a new job, and whether it is parked behind that. One that is not due joins it later."""
        needs = needs_of(job)
        line = line_of(job.queue, job.owner, needs)
        if line is None or job.due is not None:
            return line, False
        if job.spec.array.at_most is not None and job.array is None:
            return line, False  # the first of an array that is a line of its own, as soon as it has a number
        most = self._most(needs)
        number, later = self._sql.only("line_out", line=line, turn=job.turn, most=most)
        if number < most or later is not None:
            return line, False
        self._sql.run("line_put", line=line, most=most)
        return line, True

    def of(self, job: Job) -> int | None:
        """The line of a job that joins it later."""
        return line_of(job.queue, job.owner, needs_of(job))

    def next(self, line: int | None) -> list[Row]:
        """One of a line may be out no more: the best that is parked behind it comes out."""
        if line is None:
            return []
        rows = self._sql.rows("line_next", line=line)
        if not rows:
            self._sql.run("line_forget", line=line)
        return rows

    def come_due(self, rows: Sequence[Row]) -> list[Row]:
        """The time of these has come, each with its line behind; which of them, and of others, are out now."""
        come = [row[:-1] for row in rows if row[-1] is None]
        for line in {row[-1] for row in rows if row[-1] is not None}:
            come += self.joined(line)
        return come

    def left(self, lines: Collection[int]) -> list[Row]:
        """Many of these are out no more; who comes out."""
        return [row for line in lines for row in self._fill(line)]

    def joined(self, line: int) -> list[Row]:
        """A job has come behind it; who is out then."""
        self._fit(line)
        return self._fill(line)

    def _fit(self, line: int) -> None:
        """How many of it may be out, by any job of it."""
        for row in self._sql.rows("line_sample", line=line):
            try:
                needs = needs_of(job_of(row))
            except UnreadableRow:
                continue
            if needs:
                self._sql.run("line_put", line=line, most=self._most(needs))
                return

    def _most(self, needs: Needs) -> int:
        """How many of a line may be out."""
        return waiting.TIMES * at_once(needs, self.totals, self.totals.limit)

    def _fill(self, line: int) -> list[Row]:
        come: list[Row] = []
        while rows := self.next(line):
            come += rows
        return come

    def park(self, jobs: Sequence[Parking]) -> None:
        for job in jobs:
            self._sql.run("park", id=job.job, waits=job.waits, needs=job.needs)

    def recall(self, rooms: Mapping[str, Room]) -> Recalled:
        back: list[Job] = []
        first = []
        for name, room in rooms.items():
            for job in room.dismiss:
                self._sql.run("dismiss", waits=name, id=job)
            free, number, most = room.free, 0, min(room.most, waiting.RECALLED)
            while True:
                row = self._sql.one("first_waiting", waits=name, total=room.total)
                if row is not None and not _sound(row):
                    self._come_back(row[0], back)
                    continue
                found = First(name, number) if row is None else First(name, number, *row)
                if found.job is None or found.needs > free or number >= most:
                    break
                self._come_back(found.job, back)
                free, number = free - found.needs, number + 1
            first.append(found)
        return Recalled(back, first)

    def _come_back(self, job: object, back: list[Job]) -> None:
        back.append(job_or_part(self._sql.only("come_back", id=job), State.QUEUED))

    def refit(self, totals: Totals, after: int) -> int | None:
        self.totals = totals
        lines = [line for (line,) in self._sql.rows("lines", after=after, limit=waiting.REFITTED)]
        for line in lines:
            self._fit(line)
            self._fill(line)
        return lines[-1] if len(lines) == waiting.REFITTED else None


def _sound(row: Row) -> bool:
    """Whether what ``first_waiting`` has found can be compared with others. If not, the job comes back, to be seen as
    one that cannot be read."""
    _, turn, queue, owner, needs = row
    return type(turn) is type(needs) is int and type(queue) is type(owner) is str
