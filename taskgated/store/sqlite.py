"""The store on one host: SQLite in write-ahead mode, synced at every commit.

The statements are in ``sql/queries.sql``; ``database`` opens it and brings its schema up to date.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from pathlib import Path
from typing import Any

from taskgated.clock import MICROSECONDS, boot_id, wall
from taskgated.core.job import Clock, Job, Outcome, Spec, State, to_bytes, to_text
from taskgated.core.lifecycle import WHILE_RUNNING, Verb, Verdict, step
from taskgated.errors import Damaged, IllegalTransition, NoSuchJob
from taskgated.store import database
from taskgated.store.clocks import Clocks
from taskgated.store.contract import (
    ATTEMPTS,
    DELAYED_COUNTED,
    QUEUES,
    SCANNED,
    WOKEN,
    Added,
    Addition,
    Backlog,
    Before,
    Details,
    Ended,
    Filter,
    Page,
    Record,
    Woken,
)
from taskgated.store.rows import STATES, attempt_of, job_or_part, moment, per_queue, rank_of, record_of, text_or_none
from taskgated.store.sqlfiles import statements

FRESH = 16
"""New jobs that an ``add`` hands back whole, so that few jobs need not be asked for again."""

KEEP_CLOCK = 60 * MICROSECONDS
"""How far the clocks go before that is written down again, with what is written anyway."""


class SqliteStore:
    """``Store`` on a file. One thread at a time; ``read_only`` opens a second view for listings, which
    sees what was committed and is never in a writer's way. ``at_work``: as for ``database.connect``."""

    def __init__(self, path: Path, *, read_only: bool = False, at_work: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._sql = statements()
        self._early = False
        self._wal = -1
        self._kept = 0  # how far the steady clock had come when the clocks were written down
        self._read_only = read_only
        self._begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        self._db = database.connect(path, read_only=read_only, at_work=at_work)
        try:
            self._clocks = Clocks.carried_on(boot_id(), lambda key: self._one("meta_get", key=key))
            self.clock, self.uptime = self._clocks.steady, self._clocks.uptime
            if not read_only:
                self.tick()
        except sqlite3.Error as error:
            self._db.close()
            raise database.cannot_open(path, error) from error

    def tick(self) -> None:
        self._kept = self.clock.now()
        for key, value in self._clocks.facts():
            self._do("meta_put", key=key, value=value)

    # -- statements ------------------------------------------------------------------------------

    def _do(self, name: str, /, **values: Any) -> sqlite3.Cursor:
        return self._db.execute(self._sql[name], values)

    def _one(self, name: str, /, **values: Any) -> Any:
        return self._db.execute(self._sql[name], values).fetchone()

    # -- groups ----------------------------------------------------------------------------------

    def begin(self, *, early: bool = False) -> None:
        if early != self._early:
            self._db.execute(f"PRAGMA synchronous = {'NORMAL' if early else 'FULL'}")
            self._early = early
        self._db.execute(self._begin)
        if early and self._wal < 0:  # not only in ``sync``, where to have no descriptor would pass for a lost write
            self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)

    def commit(self) -> None:
        if self.clock.now() - self._kept > KEEP_CLOCK:
            self.tick()
        self._db.execute("COMMIT")

    def sync(self) -> None:
        # What a commit does at FULL, and leaves out at NORMAL (https://sqlite.org/wal.html): sync the log.
        os.fdatasync(self._wal)

    def damage(self, error: Exception) -> Damaged | None:
        return database.damage_of(self._path, error)

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        if self._wal >= 0:
            os.close(self._wal)
        try:
            if not self._read_only:
                self.tick()
        except sqlite3.Error:
            pass  # the next start makes do with what was written last
        self._db.close()

    # -- verbs -----------------------------------------------------------------------------------

    def add(self, additions: Sequence[Addition]) -> Added:
        ids: list[int] = []
        best: dict[str, int] = {}
        fresh: list[Job] = []
        timed = False
        for addition in additions:
            row = self._one("claim_parts", claim=addition.claim)
            known = row[0] if row else 0
            parts = addition.first + len(addition.specs)
            if row is not None and parts <= known:
                continue
            self._do("claim_put", claim=addition.claim, parts=parts)
            for spec in addition.specs[max(0, known - addition.first) :]:
                job = self._add(addition, spec)
                ids.append(job.id)
                timed = timed or job.due is not None or job.expires is not None
                if job.due is None:
                    best[job.queue] = max(job.priority, best.get(job.queue, 0))
                    if len(fresh) <= FRESH:
                        fresh.append(job)
        return Added(ids, best, fresh if len(fresh) <= FRESH else (), timed)

    def _add(self, addition: Addition, spec: Spec) -> Job:
        job = addition.job(spec, wall(), self.clock.now())
        cursor = self._do(
            "add",
            queue=job.queue,
            priority=job.priority,
            name=to_bytes(spec.name),
            source=to_bytes(job.source),
            owner=addition.owner,
            submitted=job.submitted,
            since=self.uptime.now(),
            due=job.due,
            due_clock=None if job.due is None else job.due_clock,
            expires=job.expires,
            claim=job.claim,
            spec=json.dumps(spec.to_json(), separators=(",", ":")),
        )
        assert cursor.lastrowid is not None
        return replace(job, id=cursor.lastrowid)

    def last_id(self) -> int:
        row = self._one("last_id")
        return 0 if row is None else int(row[0])

    def skip_ids(self, last: int) -> None:
        try:
            self._do("first_id" if self._one("last_id") is None else "skip_ids", id=last)
        except sqlite3.Error as error:
            raise database.cannot_open(self._path, error) from error

    def fetch(self, wanted: Mapping[str, int], known: Collection[int] = (), most: int = 1000) -> list[Job]:
        steady = self.clock.now()
        rows: list[Any] = []
        for queue in wanted if len(wanted) <= most else self._best_queues(wanted, steady, most + len(known)):
            found = self._do("fetch", queue=queue, steady=steady, limit=wanted[queue])
            rows += (row for row in found if row[0] not in known)
            if len(rows) > 2 * most:
                rows = nsmallest(most, rows, key=rank_of)
        if len(rows) > most:
            rows = nsmallest(most, rows, key=rank_of)
        return [job_or_part(row, State.QUEUED) for row in rows]

    def _best_queues(self, wanted: Collection[str], steady: int, most: int) -> list[str]:
        """The best jobs of all, so many of them, are in no more queues than that: those with the best first jobs."""
        heads = self._do("heads", queues=json.dumps(list(wanted)), steady=steady)
        return [head[1] for head in nsmallest(most, heads, key=rank_of) if head[1] in wanted]

    def condemn(self, job: int, reason: str) -> Ended | None:
        at = wall()
        row = self._do("condemn", id=job, finished=at, uptime=self.uptime.now(), reason=reason).fetchone()
        self._do("condemn_attempt", id=job, finished=at, reason=reason)
        if row is None:
            self._place(job)
            return None
        return Ended(State.FAILED, text_or_none(row[0]))

    def start(self, job: int, attempt: int, worker: str) -> int:
        at = wall()
        if self._do("start", id=job, attempt=attempt, at=at, steady=self.clock.now()).rowcount != 1:
            state, current, _ = self._place(job)
            at_now = f"is {state} after attempt {current}"
            if state is State.QUEUED and current == attempt - 1:
                at_now += ", and has expired"
            raise IllegalTransition(f"job {job} {at_now}: it cannot start attempt {attempt}")
        self._do("start_attempt", id=job, attempt=attempt, worker=worker, at=at)
        return at

    def finish(self, outcome: Outcome, verdict: Verdict) -> Ended:
        state = step(State.RUNNING, verdict.verb)
        finished = outcome.finished if outcome.finished is not None else wall()
        due = None
        if verdict.delay is not None:
            due = self.clock.now() + int(verdict.delay * MICROSECONDS)
        rows = self._do(
            "finish",
            id=outcome.job,
            attempt=outcome.attempt,
            state=state,
            started=outcome.started,
            again=not state.final,
            finished=finished,
            uptime=self.uptime.now(),
            due=due,
            due_clock=None if due is None else Clock.STEADY,
            failures=verdict.failures,
            crashes=verdict.crashes,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            result=outcome.result,
            reason=verdict.reason,
            cancelled=WHILE_RUNNING,
        ).fetchall()
        if not rows:
            raise self._no_such_attempt(outcome)
        self._do(
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
        state = State(rows[0][0])
        return Ended(state, rows[0][1] if state.final else None)

    def _no_such_attempt(self, outcome: Outcome) -> IllegalTransition:
        state, attempt, _ = self._place(outcome.job)
        return IllegalTransition(
            f"job {outcome.job} is {state} at attempt {attempt}: nothing more is heard of attempt {outcome.attempt}"
        )

    def cancel(self, job: int) -> Ended:
        state, _, claim = self._place(job)
        if state is State.RUNNING:
            self._do("mark_cancelled", id=job)
            return Ended(state, None)
        return Ended(self._move(job, Verb.CANCEL, "cancelled before it started", wall()), claim)

    def hold(self, job: int) -> None:
        self._move(job, Verb.HOLD, "held", None)

    def release(self, job: int) -> tuple[str, int]:
        self._move(job, Verb.RELEASE, "", None)
        queue, priority = self._one("rank", id=job)
        return queue, priority

    def _move(self, job: int, verb: Verb, reason: str, finished: int | None) -> State:
        before, _, _ = self._place(job)
        state = step(before, verb)
        since = self.uptime.now() if state.final else None
        values = {"id": job, "state": state, "from": before, "reason": reason, "finished": finished, "since": since}
        self._db.execute(self._sql["move"], values)
        return state

    def _place(self, job: int) -> tuple[State, int, str | None]:
        row = self._one("place", id=job)
        if row is None:
            raise NoSuchJob(job)
        return State(row[0]), row[1], row[2]

    def wake(self, wall: int) -> Woken:
        steady = self.clock.now()
        best: dict[str, int] = {}
        expired, released = [], []
        expiry = self._do("expire", steady=steady, finished=wall, uptime=self.uptime.now(), limit=WOKEN)
        for id_, queue, name, claim in expiry.fetchall():
            expired.append((id_, str(queue), to_text(name) if isinstance(name, bytes) else ""))
            if (kept := text_or_none(claim)) is not None:
                released.append(kept)
        for clock, now in ((Clock.STEADY, steady), (Clock.WALL, wall)):
            for queue, priority in self._do("release_due", clock=clock, now=now, limit=WOKEN).fetchall():
                if isinstance(queue, str) and isinstance(priority, int):
                    best[queue] = max(priority, best.get(queue, 0))
        next_steady = moment(self._one("next_due", clock=Clock.STEADY)[0])
        next_wall = moment(self._one("next_due", clock=Clock.WALL)[0])
        next_expiry = moment(self._one("next_expiry")[0])
        soonest = min((t for t in (next_steady, next_expiry) if t is not None), default=None)
        return Woken(best, expired, released, soonest, next_wall)

    def settle(self, claims: Sequence[str]) -> None:
        for claim in claims:
            self._do("claim_forget", claim=claim)

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        self._do("meta_put", key="data_queues", value=json.dumps(list(queues)))

    def prunable(self, age: float, count: int, limit: int) -> Sequence[int]:
        (over,) = self._one("over")
        old = self._do("prunable", until=self.uptime.now() - int(age * MICROSECONDS), limit=limit).fetchall()
        if over - len(old) > count and len(old) < limit:  # by number, whatever their age
            old = self._do("prunable", until=2**62, limit=min(limit, over - count)).fetchall()
        return [id_ for (id_,) in old]

    def prune(self, jobs: Sequence[int]) -> None:
        for id_ in jobs:
            if self._do("prune", id=id_).rowcount:
                self._do("prune_attempts", id=id_)

    # -- questions -------------------------------------------------------------------------------

    def before(self) -> list[Before]:
        return [
            Before(job_or_part(row[:-2], State.RUNNING), text_or_none(row[-1]) or "", row[-2] is not None)
            for row in self._do("before").fetchall()
        ]

    def queued(self) -> int:
        """Queued jobs in all queues."""
        (number,) = self._one("queued")
        return int(number)

    def queued_by(self, owner: int) -> int:
        (number,) = self._one("queued_by", owner=owner)
        return int(number)

    def queues(self) -> list[str]:
        return [queue for queue, states in self.counts().items() if states.get(State.QUEUED)]

    def counts(self) -> dict[str, dict[State, int]]:
        return per_queue(self._do("counts"))

    def known(self, claim: str) -> int | None:
        row = self._one("claim_parts", claim=claim)
        return None if row is None else int(row[0])

    def keeper(self, claim: str) -> State | None:
        row = self._one("claim_keeper", claim=claim)
        if row is None:
            return None
        return State(row[0]) if row[0] in STATES else State.HELD  # damaged: the file stays for whoever looks at it

    def data_queues(self) -> Sequence[str]:
        return database.names_of(self._path, "data_queues", self._one("meta_get", key="data_queues"))

    def show(self, job: int, before: int = 2**62, limit: int = ATTEMPTS) -> Details:
        row = self._one("job", id=job)
        if row is None:
            raise NoSuchJob(job)
        record = record_of(self._one("record", id=job))
        attempts = self._do("attempts", id=job, before=before, limit=min(limit, ATTEMPTS)).fetchall()
        shown = [attempt_of(attempt) for attempt in reversed(attempts)]
        return Details(record, job_or_part(row[:-1], record.state), shown, row[-1] is not None)

    def records(self, jobs: Sequence[int]) -> Sequence[Record]:
        rows = (self._one("record", id=job) for job in jobs)
        return [record_of(row) for row in rows if row is not None]

    def list(self, after: int, limit: int, only: Filter) -> Page:
        first, last = self._one("first_after", after=after)
        if first is None:
            return Page([], None)
        until = first + SCANNED - 1
        rows = self._do(
            "list",
            after=after,
            until=until,
            limit=limit,
            states=json.dumps(list(only.states)),
            queues=json.dumps(list(only.queues)),
        ).fetchall()
        seen = rows[-1][0] if len(rows) == limit else until
        return Page([record_of(row) for row in rows], seen if seen < last else None)

    def backlog(self, always: Sequence[str] = ()) -> Backlog:
        with database.snapshot(self._db):
            counts = per_queue(self._do("busiest", always=json.dumps(list(always)), limit=QUEUES))
            (used,) = self._one("queues_used")
            totals = {State(state): int(jobs) for state, jobs in self._do("totals") if state in STATES}
            delayed = dict(self._do("delayed", limit=DELAYED_COUNTED).fetchall())
            row = self._one("oldest_queued")
        submitted, since = (None, None) if row is None else map(moment, row)
        waited = 0.0 if since is None else max(0, self.uptime.now() - since) / MICROSECONDS
        return Backlog(counts, totals, max(0, used - len(counts)), delayed, submitted, waited)
