"""The store on one host: SQLite in write-ahead mode, synced at every commit. Here is what it changes, and when that
is durable; ``questions`` has what it can be asked.

What follows from a verb says ``core.lifecycle``; the statements, in ``sql/queries.sql``, do what they are told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from taskgated.core.job import Claim, Clock, Outcome, Result
from taskgated.core.lifecycle import Verb, Verdict, cancelled_meanwhile, step
from taskgated.core.order import per_point, turn
from taskgated.core.state import State
from taskgated.errors import DiskTrouble, IllegalTransition, Lost, NotFirst, StoreError
from taskgated.host import clock
from taskgated.host.clock import MICROSECONDS
from taskgated.store import arrays, contract
from taskgated.store.after import Resolved
from taskgated.store.arrays import Swept
from taskgated.store.causes import BEFORE_IT_STARTED, EXPIRED, PAST_DEADLINE, in_words
from taskgated.store.contract import Added, Addition, Ended
from taskgated.store.placement import Placement
from taskgated.store.sqlite import after, database
from taskgated.store.sqlite.adding import Adding
from taskgated.store.sqlite.after import Resolving
from taskgated.store.sqlite.byhand import SqliteByHand
from taskgated.store.sqlite.lines import Lines
from taskgated.store.sqlite.naming import SqliteNaming
from taskgated.store.sqlite.order import Order
from taskgated.store.sqlite.rows import claim_of, earliest
from taskgated.store.sqlite.statements import Row
from taskgated.store.turns import REORDERED
from taskgated.store.waiting import Parking, Recalled, Room, Totals
from taskgated.store.waking import Woken
from taskgated.text import to_text

KEEP_CLOCK = 60 * MICROSECONDS
"""How far the clocks go before that is written down again, with what is written anyway."""


class SqliteStore(SqliteByHand, SqliteNaming):
    """``Store`` on a file. ``at_work``: as for ``database.open_up``. Raises ``StoreError``."""

    def __init__(self, path: Path, *, at_work: Callable[[], None] = lambda: None) -> None:
        super().__init__(path, lambda path: database.open_up(path, at_work))
        self._early = False
        self._wal = -1
        self._kept = 0  # how far the steady clock had come when the clocks were written down
        try:
            with database.as_when_opened(path):
                self.tick()
                self._order = Order.of(self._sql.one("meta_get", key="order"))
                self._order_before = self._order
                self._lines = Lines(self._sql)
                self._adding = Adding(self._sql, self.clock, self.uptime, self._lines, self._turn)
        except StoreError:
            self._db.close()
            raise

    def tick(self) -> None:
        self._kept = self.clock.now()
        for key, value in self._clocks.facts():
            self._sql.run("meta_put", key=key, value=value)

    # -- groups ----------------------------------------------------------------------------------

    def begin(self, who: str, number: int, *, early: bool = False) -> bool:
        self._order_before = self._order
        if early != self._early:
            self._sql.execute(f"PRAGMA synchronous = {'NORMAL' if early else 'FULL'}")
            self._early = early
        self._sql.execute("BEGIN IMMEDIATE")
        if early and self._wal < 0:  # not only in ``sync``, where to have no descriptor would pass for a lost write
            try:
                self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise DiskTrouble(str(error)) from error
        return True  # of a file one knows whether it was committed, and there is nobody else

    def commit(self) -> None:
        if self.clock.now() - self._kept > KEEP_CLOCK:
            self.tick()
        self._sql.execute("COMMIT")
        self._order_before = self._order

    def sync(self) -> None:
        # What a commit does at FULL, and leaves out at NORMAL (https://sqlite.org/wal.html): sync the log. What could
        # not be synced the kernel may have dropped, and says so once (fsync(2), "errors").
        try:
            os.fdatasync(self._wal)
        except OSError as error:
            raise Lost(f"the disk failed to sync: {error}") from error

    def rollback(self) -> None:
        self._order = self._order_before
        if self._db.in_transaction:
            self._sql.execute("ROLLBACK")

    def close(self) -> None:
        if self._wal >= 0:
            os.close(self._wal)
        try:
            self.tick()
        except StoreError:
            pass  # the next start makes do with what was written last
        super().close()

    # -- verbs -----------------------------------------------------------------------------------

    def _turn(self, since: int, priority: int) -> int:
        return turn(since, priority, per_point(self._order.ageing))

    def add(self, additions: Sequence[Addition]) -> Added:
        return self._adding.add(additions)

    def park(self, jobs: Sequence[Parking]) -> None:
        self._lines.park(jobs)

    def recall(self, rooms: Mapping[str, Room]) -> Recalled:
        return self._lines.recall(rooms)

    def refit(self, totals: Totals, after: int) -> int | None:
        return self._lines.refit(totals, after)

    def skip_ids(self, last: int) -> None:
        with database.as_when_opened(self._path):
            self._sql.run("first_id" if self._sql.one("last_id") is None else "skip_ids", id=last)

    def condemn(self, job: int, reason: str) -> Ended | None:
        at = clock.wall()
        since = self.uptime.now()
        row = self._sql.one("condemn", id=job, state=State.FAILED, finished=at, since=since, reason=reason)
        self._sql.run("condemn_attempt", id=job, finished=at, result=Result.LOST, reason=reason)
        if row is None:
            self._place(job)
            return None
        claim, host, line = row
        return Ended(State.FAILED, claim_of(claim, host), self._next_of(line))

    def start(
        self, job: int, attempt: int, placement: Placement, queue: str | None = None, *, strict: bool = False
    ) -> int:
        if strict and (first := self._sql.one("kept_before", id=job)) is not None:
            raise NotFirst(job, (first[0], first[1]))
        at = clock.wall()
        state = step(State.QUEUED, Verb.START)
        steady = self.clock.now()
        if self._sql.run("start", id=job, state=state, attempt=attempt, queue=queue, at=at, steady=steady) != 1:
            place = self._place(job)
            at_now = f"is {place.state} after attempt {place.attempt}"
            if place.state is State.QUEUED and place.attempt == attempt - 1:
                at_now += ", and is parked" if place.parked else ", and has expired or moved"
            raise IllegalTransition(f"job {job} {at_now}: it cannot start attempt {attempt}")
        where = asdict(placement)
        self._sql.run("start_attempt", id=job, attempt=attempt, at=at, **where)
        return at

    def finish(self, outcome: Outcome, verdict: Verdict) -> Ended:
        place = self._place(outcome.job)
        if place.state is not State.RUNNING or place.attempt != outcome.attempt:
            raise IllegalTransition(
                f"job {outcome.job} is {place.state} at attempt {place.attempt}: "
                f"nothing more is heard of attempt {outcome.attempt}"
            )
        if place.to_be_cancelled:
            verdict = cancelled_meanwhile(verdict)
        state = step(place.state, verdict.verb)
        finished = outcome.finished if outcome.finished is not None else clock.wall()
        due = None
        if verdict.delay is not None:
            due = self.clock.now() + int(verdict.delay * MICROSECONDS)
        self._sql.run(
            "finish",
            id=outcome.job,
            state=state,
            started=outcome.started,
            finished=finished if state.final else None,
            since=self.uptime.now() if state.final else None,
            due=due,
            due_clock=None if due is None else Clock.STEADY,
            look=self.clock.now() if state is State.QUEUED and due is None else None,
            failures=verdict.failures,
            crashes=verdict.crashes,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            result=outcome.result,
            reason=in_words(verdict.cause),
        )
        self._sql.run(
            "finish_attempt",
            id=outcome.job,
            attempt=outcome.attempt,
            started=outcome.started,
            finished=finished,
            result=outcome.result,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            user=outcome.user,
            system=outcome.system,
            max_rss=outcome.max_rss,
            output=outcome.output,
            omitted=outcome.omitted,
            message=outcome.message,
        )
        came = (
            self._next_of(place.line) if state.final or due is not None else self._put_back(outcome.job, place.line)
        )
        return Ended(state, place.claim if state.final else None, came)

    def cancel(self, job: int) -> Ended:
        place = self._place(job)
        if place.state is State.RUNNING:
            self._sql.run("mark_cancelled", id=job)
            return Ended(place.state, None)
        state = self._move(job, place.state, Verb.CANCEL, BEFORE_IT_STARTED)
        return Ended(state, place.claim, self._next_of(place.line))

    def cancel_array(self, array: int, after: int) -> Swept:
        (coming,) = self._sql.only("array_coming", array=array)
        until, last = self._sql.only("last_of_array", array=array, after=after, scanned=contract.SCANNED - 1)
        self._sql.run("array_cancel", array=array)
        rows = self._sql.rows(
            "array_sweep",
            array=array,
            after=after,
            until=until,
            limit=arrays.CANCELLED,
            state=step(State.QUEUED, Verb.CANCEL),
            reason=BEFORE_IT_STARTED,
            finished=clock.wall(),
            since=self.uptime.now(),
        )
        over = sorted(id_ for id_, _, _, _ in rows)
        seen = over[-1] if len(over) == arrays.CANCELLED else until
        ending = self._sql.rows("array_end", array=array, after=after, until=seen)
        let_go = [kept for _, claim, host, _ in rows if (kept := claim_of(claim, host)) is not None]
        out = self._lines.left({line for _, _, _, line in rows if line is not None})
        done = seen is None or seen >= last
        if done:
            self._sql.run("array_swept" if coming else "array_forget", array=array)
        return Swept(over, [id_ for (id_,) in ending], let_go, None if done else seen, earliest(out))

    def reorder(self, ageing: float, after: int) -> int | None:
        if self._order == Order(ageing, whole=True):
            return None
        until, last = self._sql.only("reorder_until", after=after, scanned=REORDERED)
        if until is not None:
            self._sql.run("reorder", after=after, until=until, per_point=per_point(ageing))
        self._order = Order(ageing, whole=until is None or until >= last)
        self._sql.run("meta_put", key="order", value=self._order.fact)
        return None if until is None else int(until)

    def wake(self) -> Woken:
        wall, steady = clock.wall(), self.clock.now()
        come: list[Row] = []
        expired, let_go, late = [], [], []
        expiry = self._sql.rows(
            "expire",
            state=step(State.QUEUED, Verb.CANCEL),
            reason=EXPIRED,
            late=PAST_DEADLINE,
            steady=steady,
            finished=wall,
            since=self.uptime.now(),
            limit=contract.WOKEN,
        )
        for id_, queue, name, claim, host, line, is_late in expiry:
            come += self._lines.next(line)
            expired.append((id_, str(queue), to_text(name) if isinstance(name, bytes) else ""))
            if is_late:
                late.append(id_)
            if (kept := claim_of(claim, host)) is not None:
                let_go.append(kept)
        for which, now in ((Clock.STEADY, steady), (Clock.WALL, wall)):
            self._sql.run("come_to_look", clock=which, now=now, steady=steady, limit=contract.WOKEN)
            due = self._sql.rows("come_due", clock=which, now=now, limit=contract.WOKEN)
            come += self._lines.come_due(due)
        return Woken(earliest(come), expired, let_go, self.coming(), late)

    def looked(self, job: int, again: float | None) -> None:
        if again is None:
            self._sql.run("looked", id=job, due=0, clock=Clock.STEADY)
        else:
            self._sql.run("looked", id=job, due=self.clock.now() + int(again * MICROSECONDS), clock=None)

    def resolve(self) -> Resolved:
        return Resolving(self._sql, self.clock, self.uptime, self._lines).piece()

    def forget_claims(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            after.file_gone(self._sql, claim)
            self._sql.run("array_comes_no_more", host=claim.host, claim=claim.name)
            self._sql.run("claim_forget", host=claim.host, claim=claim.name)

    def override(self, values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                self._sql.run("override_end", name=name)
            else:
                self._sql.run("override", name=name, value=value)

    def remember(self, values: Mapping[str, str | None]) -> None:
        for key, value in values.items():
            if value is None:
                self._sql.run("forget", key=key)
            else:
                self._sql.run("remember", key=key, value=value)

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        self._sql.run("meta_put", key="data_queues", value=json.dumps(list(queues)))

    def prune(self, jobs: Sequence[int]) -> None:
        for id_ in jobs:
            if self._sql.run("prune", id=id_):
                self._sql.run("prune_attempts", id=id_)

    def note_output(self, jobs: Sequence[int], *, removed: bool) -> None:
        at = clock.wall() if removed else None
        for id_ in jobs:
            self._sql.run("note_output", id=id_, at=at)
