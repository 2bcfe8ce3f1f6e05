"""What people have the SQLite store do with single jobs."""

from __future__ import annotations

from taskgated.core.lifecycle import Verb, step
from taskgated.core.order import per_point
from taskgated.core.state import State
from taskgated.errors import IllegalTransition
from taskgated.store.byhand import Came
from taskgated.store.causes import BY_HAND, HELD
from taskgated.store.sqlite.places import Place, Places
from taskgated.store.sqlite.rows import earliest
from taskgated.store.waking import ends


class SqliteByHand(Places):
    """``ByHand``."""

    def hold(self, job: int) -> Came | None:
        place = self._place(job)
        self._move(job, place.state, Verb.HOLD, HELD)
        if place.bounded is None or place.parked:
            return None
        self._sql.run("park", id=job)  # others of its array have its place meanwhile
        return self._next_of(place.bounded)

    def release(self, job: int) -> Came | None:
        place = self._place(job)
        self._move(job, place.state, Verb.RELEASE, "")
        return self._next_of(place.bounded) if place.parked else self._at(job)

    def retry(self, job: int) -> Came | None:
        place = self._place(job)
        state = step(place.state, Verb.RETRY_BY_HAND)
        if place.claim is not None:
            text = (
                f"job {job} worked on a file, which was let go when it was over: drop that again, from failed/{job}/"
            )
            raise IllegalTransition(text)
        if place.array is not None and self._sql.one("array_cancelled", array=place.array):
            raise IllegalTransition(f"job {job} is of array {place.array}, which is being cancelled")
        parked = place.bounded is not None
        since = self.uptime.now()
        expires, deadline = ends(self.show(job, limit=0).job.spec, self.clock.now())
        self._sql.run(
            "retry",
            id=job,
            before=place.state,
            state=state,
            since=since,
            per_point=self._per_point(),
            expires=expires,
            deadline=deadline,
            reason=BY_HAND,
            parked=int(parked),
        )
        return self._next_of(place.bounded) if parked else self._at(job)

    def move(self, job: int, queue: str) -> Came | None:
        place = self._place(job)
        step(place.state, Verb.MOVE)
        self._sql.run("change_queue", id=job, queue=queue)
        return self._if_ready(job, place)

    def prioritize(self, job: int, priority: int) -> Came | None:
        place = self._place(job)
        step(place.state, Verb.PRIORITIZE)
        self._sql.run("change_priority", id=job, priority=priority, per_point=self._per_point())
        return self._if_ready(job, place)

    def _if_ready(self, job: int, place: Place) -> Came | None:
        return self._at(job) if place.state is State.QUEUED and not place.parked else None

    def _at(self, job: int) -> Came | None:
        return next(iter(earliest(self._sql.rows("rank", id=job)).items()), None)

    def _per_point(self) -> int:
        return per_point(self._order.ageing)
