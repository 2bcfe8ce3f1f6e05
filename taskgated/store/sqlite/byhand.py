"""What people have the SQLite store do with single jobs."""

from __future__ import annotations

from collections.abc import Sequence

from taskgated.core.lifecycle import Verb, step
from taskgated.core.named import line_of, needs_of
from taskgated.core.order import per_point
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.store.byhand import Came
from taskgated.store.causes import AT_ONCE, BY_HAND, HELD
from taskgated.store.sqlite.places import Places
from taskgated.store.sqlite.rows import earliest
from taskgated.store.sqlite.statements import Row
from taskgated.store.waking import ends


class SqliteByHand(Places):
    """``ByHand``."""

    def hold(self, job: int) -> Sequence[Came]:
        place = self._place(job)
        self._move(job, place.state, Verb.HOLD, HELD)
        return self._out(self._lines.next(place.line))

    def release(self, job: int) -> Sequence[Came]:
        place = self._place(job)
        self._move(job, place.state, Verb.RELEASE, "")
        return self._joined(job, place.line)

    def retry(self, job: int) -> Sequence[Came]:
        place = self._place(job)
        if place.state is State.QUEUED and self._sql.rows("hasten", id=job, steady=self.clock.now(), reason=AT_ONCE):
            return ()  # its time has come, as for any other
        state = step(place.state, Verb.RETRY_BY_HAND)
        if place.claim is not None:
            text = (
                f"job {job} worked on a file, which was let go when it was over: drop that again, from failed/{job}/"
            )
            raise IllegalTransition(text)
        if place.array is not None and self._sql.one("array_cancelled", array=place.array):
            raise IllegalTransition(f"job {job} is of array {place.array}, which is being cancelled")
        since = self.uptime.now()
        steady = self.clock.now()
        expires, deadline = ends(self.show(job, limit=0).job.spec, steady)
        self._sql.run(
            "retry",
            id=job,
            before=place.state,
            state=state,
            since=since,
            steady=steady,
            per_point=self._per_point(),
            expires=expires,
            deadline=deadline,
            reason=BY_HAND,
        )
        return self._joined(job, place.line)

    def move(self, job: int, queue: str) -> Sequence[Came]:
        place = self._place(job)
        step(place.state, Verb.MOVE)
        before = self.show(job, limit=0).job
        line = line_of(queue, before.owner, needs_of(before))
        self._sql.run("change_queue", id=job, queue=queue, line=line)
        left = self._out(self._lines.next(place.line))
        return [*left, *self._joined(job, line)] if place.state is State.QUEUED else left

    def prioritize(self, job: int, priority: int) -> Sequence[Came]:
        place = self._place(job)
        step(place.state, Verb.PRIORITIZE)
        self._sql.run("change_priority", id=job, priority=priority, per_point=self._per_point())
        return self._joined(job, place.line) if place.state is State.QUEUED else ()

    def _joined(self, job: int, line: int | None) -> Sequence[Came]:
        """A job is behind that line now, if there is one; who is out then."""
        return self._at(job) if line is None else self._out(self._lines.joined(line))

    def _at(self, job: int) -> Sequence[Came]:
        return self._out(self._sql.rows("rank", id=job))

    def _out(self, rows: Sequence[Row]) -> Sequence[Came]:
        return list(earliest(rows).items())

    def _per_point(self) -> int:
        return per_point(self._order.ageing)
