"""What the SQLite store can be asked. A view for reading has this alone: nothing in it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection

from taskgated.core.after import Waited
from taskgated.core.job import Claim, Clock
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.errors import NoSuchArray, NoSuchJob, StoreError
from taskgated.host.clock import MICROSECONDS, boot_id, wall
from taskgated.store import after, byhand, contract, turns, waiting
from taskgated.store.after import LISTED
from taskgated.store.arrays import Group
from taskgated.store.contract import (
    Backlog,
    Before,
    Details,
    Filter,
    OverPage,
    Page,
    Record,
)
from taskgated.store.requirements import Due
from taskgated.store.sqlite import database
from taskgated.store.sqlite.clocks import Clocks
from taskgated.store.sqlite.next import fetch
from taskgated.store.sqlite.rows import (
    STATES,
    attempt_of,
    earliest,
    job_or_part,
    lane_of,
    moment,
    per_queue,
    placement_of,
    rank_of,
    record_of,
    waited,
)
from taskgated.store.sqlite.statements import Row, Statements
from taskgated.store.turns import Found, Lanes
from taskgated.store.waiting import Beyond, Own, Waits
from taskgated.store.waking import Coming


class SqliteQuestions:
    """``Questions`` on a file. A view of its own sees what was committed, and is never in a writer's way.

    ``connect`` opens the file; raises ``StoreError``.
    """

    def __init__(self, path: Path, connect: Callable[[Path], Connection] = database.view) -> None:
        self._path = path
        self._db = connect(path)
        self._sql = Statements(path, self._db)
        try:
            with database.as_when_opened(path):
                self._clocks = Clocks.carried_on(boot_id(), lambda key: self._sql.one("meta_get", key=key))
                self.clock, self.uptime = self._clocks.steady, self._clocks.uptime
        except StoreError:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    # -- what is next ----------------------------------------------------------------------------

    def fetch(self, wanted: Mapping[Lane, int], known: Collection[int] = (), most: int = 1000) -> Found:
        return fetch(self._sql, self.clock.now(), wanted, known, most)

    def ranks(self, jobs: Collection[int]) -> dict[int, tuple[str, Rank]]:
        rows = [row for job in jobs for row in self._sql.rows("queued_rank", id=job)]
        lanes = ((rank_of(row), lane_of(row)) for row in rows)
        return {rank[1]: (lane.queue, rank) for rank, lane in lanes if lane is not None}

    def lanes(self, after: Lane = turns.START) -> Lanes:
        rows = self._sql.rows("lanes", queue=after.queue, owner=after.owner, steps=turns.LANES + 1)
        found = earliest(rows)
        last = max(found, default=after)
        return Lanes(found, last if len(rows) == turns.LANES and last > after else None)

    def coming(self) -> Coming:
        next_steady = moment(self._sql.only("next_due", clock=Clock.STEADY)[0])
        dated = moment(self._sql.only("next_due", clock=Clock.WALL)[0])
        until_date = None if dated is None else (dated - wall()) / MICROSECONDS
        next_expiry = moment(self._sql.only("next_expiry")[0])
        patience = moment(self._sql.only("next_patience")[0])
        soonest = min((t for t in (next_steady, next_expiry, patience) if t is not None), default=None)
        return Coming(soonest, until_date, moment(self._sql.only("next_look", after=-1)[0]))

    def looks(self, known: Collection[int], limit: int, of_one: int) -> Due:
        steady, under = self.clock.now(), json.dumps(list(known))
        found: list[Row] = []
        for owner, under_way, _ in self._sql.rows("looking_users", steady=steady, known=under):
            most = min(of_one - under_way, limit - len(found))
            if most > 0:
                found += self._sql.rows("looks", steady=steady, known=under, owner=owner, limit=most)
        following = moment(self._sql.only("next_look", after=steady)[0])
        return Due([job_or_part(row, State.QUEUED) for row in found], following)

    def before_it(self, job: int) -> int:
        row = self._sql.one("rank", id=job)
        if row is None:
            raise NoSuchJob(job)
        _, queue, _, turn = row
        (better,) = self._sql.only("before_it", id=job, queue=queue, turn=turn, limit=byhand.COUNTED)
        return int(better)

    def first_before(self, job: int) -> int | None:
        row = self._sql.one("rank", id=job)
        if row is None:
            raise NoSuchJob(job)
        _, queue, _, turn = row
        found = [
            self._sql.one("ready_before", id=job, queue=queue, turn=turn),
            self._sql.one("kept_before", id=job),
        ]
        ranks = [(int(row[0]), int(row[1])) for row in found if row is not None]
        return min(ranks)[1] if ranks else None

    def line_before(self, job: int) -> bool:
        return self._sql.one("line_before", id=job) is not None

    def before(self) -> list[Before]:
        return [
            Before(job_or_part(row[:-4], State.RUNNING), placement_of(row[-3:]), row[-4] is not None)
            for row in self._sql.rows("before")
        ]

    def waiting(self, after: str = "") -> Mapping[str, int]:
        return {str(name): job for name, job in self._sql.rows("waiting", after=after, limit=waiting.FIRSTS)}

    def beyond(self, tokens: Mapping[str, int]) -> Sequence[Beyond]:
        found: list[Beyond] = []
        for (token,) in self._sql.rows("tokens_demanded"):
            total = tokens.get(token, 0)
            (jobs,) = self._sql.only("demands_beyond", token=token, total=total, limit=waiting.BEYOND_COUNTED)
            if jobs:
                some: dict[int, int] = dict(
                    self._sql.rows("some_beyond", token=token, total=total, limit=waiting.BEYOND_SHOWN)
                )
                found.append(Beyond(str(token), total, jobs, some))
        return found

    def waits(self, users: Collection[str]) -> Waits:
        rows = self._sql.rows("own_waits", limit=waiting.WAITS_COUNTED)
        queued = self._sql.rows("queued_of", users=json.dumps(list(users)))
        return Waits(
            [Own(Lane(queue, owner), what, jobs) for queue, owner, what, jobs in rows],
            {Lane(queue, owner): jobs for queue, owner, jobs in queued},
        )

    # -- how much there is ------------------------------------------------------------------------

    def queued(self) -> int:
        (number,) = self._sql.only("queued")
        return int(number)

    def queued_by(self, owner: str) -> int:
        (number,) = self._sql.only("queued_by", owner=owner)
        return int(number)

    def counts(self) -> dict[str, dict[State, int]]:
        return per_queue(self._sql.each("counts"))

    def last_id(self) -> int:
        return database.last_id_of(self._path, self._sql.one("last_id"))

    # -- what intake has to know ------------------------------------------------------------------

    def known(self, claim: Claim) -> int | None:
        row = self._sql.one("claim_parts", host=claim.host, claim=claim.name)
        return None if row is None else int(row[0])

    def plan(self, claim: Claim) -> str:
        row = self._sql.one("claim_plan", host=claim.host, claim=claim.name)
        return "" if row is None else str(row[0])

    def known_to_earlier(self, claim: Claim) -> bool:
        row = self._sql.one("claim_earlier", host=claim.host, claim=claim.name)
        return row is not None and bool(row[0])

    def keeper(self, claim: Claim) -> State | None:
        row = self._sql.one("claim_keeper", host=claim.host, claim=claim.name)
        if row is None:
            return None
        return State(row[0]) if row[0] in STATES else State.HELD  # damaged: the file stays, to be looked at

    def worked_on(self, claim: Claim) -> Record | None:
        row = self._sql.one("record_of_claim", host=claim.host, claim=claim.name)
        return None if row is None else record_of(row)

    def data_queues(self) -> Sequence[str]:
        return database.names_of(self._path, "data_queues", self._sql.one("meta_get", key="data_queues"))

    def unnamed(self) -> Sequence[int]:
        noted = database.names_of(self._path, "unnamed", self._sql.one("meta_get", key="unnamed"))
        return [int(uid) for uid in noted if uid.isdecimal()]

    def overrides(self) -> Mapping[str, str]:
        return {str(name): str(value) for name, value in self._sql.rows("overrides")}

    def memory(self) -> Mapping[str, str]:
        return {str(key): str(value) for key, value in self._sql.rows("memory")}

    # -- what waits for others ----------------------------------------------------------------------

    def waits_for(self, job: int, limit: int = after.SHOWN) -> Sequence[Waited]:
        now = self.clock.now()
        return [waited(row, now) for row in self._sql.rows("waits_for", id=job, limit=limit)]

    def unresolved(self) -> bool:
        return bool(self._sql.only("unresolved", steady=self.clock.now())[0])

    # -- for people --------------------------------------------------------------------------------

    def show(self, job: int, before: int = 2**62, limit: int = contract.ATTEMPTS) -> Details:
        with self._sql.snapshot():  # it may start, or wait for less, in this very moment
            row, row_of_record = self._sql.one("job", id=job), self._sql.one("record", id=job)
            if row is None or row_of_record is None:
                raise NoSuchJob(job)
            attempts = self._sql.rows("attempts", id=job, before=before, limit=min(limit, contract.ATTEMPTS))
            removed = self._sql.one("output_removed", id=job)
            conditions = self.waits_for(job)
        record = record_of(row_of_record)
        return Details(
            record,
            job_or_part(row[:-1], record.state),
            [attempt_of(attempt) for attempt in reversed(attempts)],
            row[-1] is not None,
            None if removed is None else moment(removed[0]),
            conditions,
        )

    def records(self, jobs: Sequence[int]) -> Sequence[Record]:
        rows = (self._sql.one("record", id=job) for job in jobs)
        return [record_of(row) for row in rows if row is not None]

    def prunable(self, age: float, count: int, limit: int) -> Sequence[int]:
        (over,) = self._sql.only("over")
        old = self._sql.rows("prunable", until=self.uptime.now() - int(age * MICROSECONDS), limit=limit)
        if over - len(old) > count and len(old) < limit:  # by number, whatever their age
            old = self._sql.rows("prunable", until=2**62, limit=min(limit, over - count))
        return [id_ for (id_,) in old]

    def over(self, after: tuple[int, int], limit: int) -> OverPage:
        since, id_ = after
        rows = self._sql.rows("over_after", since=since, id=id_, limit=limit)
        jobs = [job for job, _, removed in rows if removed is None]
        noted = tuple(job for job, _, removed in rows if removed is not None)
        return OverPage(jobs, (rows[-1][1], rows[-1][0]) if rows else None, noted)

    def list(self, after: int, limit: int, only: Filter) -> Page:
        if only.array is None:
            first, last = self._sql.only("first_after", after=after)
            until = None if first is None else first + contract.SCANNED - 1
        else:
            until, last = self._sql.only("last_of_array", array=only.array, after=after, scanned=contract.SCANNED - 1)
        if until is None:
            return Page([], None)
        rows = self._sql.rows(
            "list" if only.array is None else "list_array",
            after=after,
            until=until,
            limit=limit,
            states=json.dumps(list(only.states)),
            queues=json.dumps(list(only.queues)),
            array=only.array,
            **({} if only.array is None else {"index": only.index}),
        )
        seen = rows[-1][0] if len(rows) == limit else until
        records = [record_of(row) for row in rows]
        waiting_ = [record.id for record in records if record.state in (State.QUEUED, State.HELD)]
        conditions = {job: found for job in waiting_ if (found := self.waits_for(job, LISTED))}
        return Page(records, seen if seen < last else None, conditions)

    def array(self, array: int) -> Group:
        (coming,) = self._sql.only("array_coming", array=array)
        row = self._sql.one("array_owner", array=array)
        if row is None and not coming:
            job = self._sql.one("record", id=array)
            raise NoSuchArray(array, None if job is None else record_of(job).array)
        return Group(array, row[0] if row and isinstance(row[0], str) else None, coming)

    def cancelling(self) -> Sequence[int]:
        return [array for (array,) in self._sql.rows("array_cancelling")]

    def backlog(self, always: Sequence[str] = ()) -> Backlog:
        with self._sql.snapshot():
            counts = per_queue(self._sql.each("busiest", always=json.dumps(list(always)), limit=contract.QUEUES))
            (used,) = self._sql.only("queues_used")
            totals = {State(state): int(jobs) for state, jobs in self._sql.rows("totals") if state in STATES}
            delayed: dict[str, int] = dict(self._sql.rows("delayed", limit=contract.DELAYED_COUNTED))
            row = self._sql.one("oldest_queued")
        submitted, since = (None, None) if row is None else map(moment, row)
        waited = 0.0 if since is None else max(0, self.uptime.now() - since) / MICROSECONDS
        return Backlog(counts, totals, max(0, used - len(counts)), delayed, submitted, waited)
