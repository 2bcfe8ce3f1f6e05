"""New jobs come: what becomes of each, and of those that go for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from taskgated.core.after import FOR_OTHERS
from taskgated.core.coalesce import Skip, coalesce
from taskgated.core.job import Claim, Clock, Job, OnConflict, Spec
from taskgated.core.lifecycle import Verb, step
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from taskgated.host import clock
from taskgated.host.clock import Steady, Uptime
from taskgated.store.causes import WITH_ITS_ARRAY, replaced_by, skipped_for
from taskgated.store.contract import Added, Addition
from taskgated.store.sqlite.after import Incoming, Wait, by_name
from taskgated.store.sqlite.lines import Lines
from taskgated.store.sqlite.rows import claim_of, clock_word, earliest
from taskgated.store.sqlite.statements import Statements
from taskgated.text import to_bytes

FRESH = 16
"""New jobs that are handed back whole, so that few jobs need not be asked for again."""
RIVALS = 1000
"""Queued jobs of one key that one new job takes the place of, at most."""


@dataclass(slots=True)
class _Coming:
    """What has come of the verb until now."""

    ids: list[int] = field(default_factory=list)
    best: dict[Lane, Rank] = field(default_factory=dict)
    fresh: list[Job] = field(default_factory=list)
    timed: bool = False
    cancelled: list[int] = field(default_factory=list)
    skipped: dict[int, int] = field(default_factory=dict)
    replaced: dict[int, int] = field(default_factory=dict)
    let_go: list[Claim] = field(default_factory=list)

    def may_run(self, lane: Lane, rank: Rank) -> None:
        self.best[lane] = min(rank, self.best.get(lane, rank))

    def added(self) -> Added:
        fresh = [job for job in self.fresh if job.id not in self.replaced]
        few = len(self.fresh) <= FRESH and not self.replaced
        return Added(
            self.ids, self.best, fresh if few else (), self.timed, self.cancelled, self.skipped, self.replaced,
            self.let_go,
        )  # fmt: skip


class Adding:
    """``turn``: the turn of a job of that priority that was submitted then."""

    def __init__(
        self, sql: Statements, clock: Steady, uptime: Uptime, lines: Lines, turn: Callable[[int, int], int]
    ) -> None:
        self._sql = sql
        self._clock = clock
        self._uptime = uptime
        self._lines = lines
        self._turn = turn

    def add(self, additions: Sequence[Addition]) -> Added:
        coming = _Coming()
        for addition in additions:
            row = self._sql.one("claim_parts", host=addition.claim.host, claim=addition.claim.name)
            known, array = row if row else (0, None)
            parts = addition.first + len(addition.specs)
            if row is not None and parts <= known:
                continue
            with_its_array = False
            incoming = Incoming(self._sql, self._clock, addition)
            new = max(0, known - addition.first)
            for part, spec in enumerate(addition.specs[new:], addition.first + new):
                job, waits = self._add(addition, spec, array, coming, incoming)
                incoming.added(job, part, waits)
                array = job.array
                with_its_array = with_its_array or job.id in coming.cancelled[-1:]
            self._sql.run(
                "claim_put",
                host=addition.claim.host,
                claim=addition.claim.name,
                parts=parts,
                array=array,
                coming=addition.coming,
                plan=addition.plan,
            )
            if with_its_array and not addition.coming:
                self._sql.run("array_all_cancelled", array=array)
            if array is not None:
                self._sql.run("watch_more", array=array)
        for owner in {addition.owner for addition in additions}:
            names = {spec.name for addition in additions if addition.owner == owner for spec in addition.specs}
            by_name(self._sql, owner, names)
        return coming.added()

    def _add(
        self, addition: Addition, spec: Spec, before: int | None, coming: _Coming, incoming: Incoming
    ) -> tuple[Job, Sequence[Wait]]:
        """The job, and what it waits for. ``before``: the array of the part before it."""
        since = self._uptime.now()
        job = addition.job(spec, clock.wall(), self._clock.now(), self._turn(since, spec.priority))
        job = replace(job, array=before if spec.array.place > 0 else None)
        reason, other = "", None
        if job.array is not None and self._sql.one("array_cancelled", array=job.array):
            reason = WITH_ITS_ARRAY
        elif spec.key and (other := self._rival(job)) is not None:
            reason = skipped_for(other)
        line = None
        waits = incoming.waits(spec, job.array) if spec.after and not reason else []
        if reason:
            job = replace(job, state=step(State.QUEUED, Verb.CANCEL))
        elif waits:
            if job.due_clock is Clock.LOOK:  # when it waits for no other any more
                job = replace(job, due=None, due_clock=Clock.STEADY)
            line, job = self._lines.of(job), replace(job, parked=True, waits=FOR_OTHERS)
        else:
            line, parked = self._lines.joins(job)
            job = replace(job, parked=parked)
        job = self._insert(job, addition, since, reason, line)
        coming.ids.append(job.id)
        if spec.key and not reason:
            self._replace(job, coming, incoming)
        if other is not None:
            coming.skipped[job.id] = other
        elif reason:
            coming.cancelled.append(job.id)
        if reason:
            coming.let_go += [job.claim] if job.claim is not None else []
            return job, waits
        timed = job.due is not None or job.expires is not None or any(wait.timed for wait in waits)
        coming.timed = coming.timed or timed
        if job.due is None and not job.parked:
            coming.may_run(job.lane, job.rank)
            if len(coming.fresh) <= FRESH:
                coming.fresh.append(job)
        return job, waits

    def _insert(self, job: Job, addition: Addition, since: int, reason: str, line: int | None) -> Job:
        spec = job.spec
        id_ = self._sql.insert(
            "add",
            state=job.state,
            queue=job.queue,
            priority=job.priority,
            name=to_bytes(spec.name),
            source=to_bytes(job.source),
            owner=job.owner,
            uid=addition.uid,
            submitted=job.submitted,
            finished=job.submitted if job.state.final else None,
            reason=reason,
            since=since,
            turn=job.turn,
            due=job.due,
            due_clock=clock_word(job),
            expires=job.expires,
            deadline=job.deadline,
            claim=None if job.claim is None else job.claim.name,
            host="" if job.claim is None else job.claim.host,
            array=job.array,
            parked=int(job.parked),
            waits=job.waits,
            nested=None if job.nested is None else int(job.nested),
            key=_key(job),
            line=line,
            spec=json.dumps(spec.to_json(), separators=(",", ":")),
        )
        job = replace(job, id=id_)
        if spec.array.count and job.array is None:
            job = replace(job, array=id_)
            if job.state.final:
                line = None
            else:
                line = self._lines.joins(job)[0] if job.waits is None else self._lines.of(job)
            self._sql.run("array_head", id=id_, line=line)
        return job

    # -- others with the same key ------------------------------------------------------------------

    def _rivals(self, job: Job, state: State) -> list[int]:
        rows = self._sql.rows("key_rivals", key=_key(job), state=state, array=job.array, id=job.id, limit=RIVALS)
        return [id_ for (id_,) in rows]

    def _rival(self, job: Job) -> int | None:
        """The job for which this one is not taken."""
        how = job.spec.on_conflict
        if how in (OnConflict.QUEUE, OnConflict.REPLACE):
            return None
        decided = coalesce(how, self._rivals(job, State.QUEUED), self._rivals(job, State.RUNNING))
        return decided.other if isinstance(decided, Skip) else None

    def _replace(self, job: Job, coming: _Coming, incoming: Incoming) -> None:
        """Those of which it takes the place go."""
        if job.spec.on_conflict is not OnConflict.REPLACE:
            return
        decided = coalesce(OnConflict.REPLACE, self._rivals(job, State.QUEUED), ())
        for other in () if isinstance(decided, Skip) else decided.instead_of:
            row = self._sql.one(
                "replaced",
                id=other,
                state=step(State.QUEUED, Verb.CANCEL),
                finished=clock.wall(),
                since=self._uptime.now(),
                reason=replaced_by(job.id),
            )
            if row is None:
                continue
            claim, host, line = row
            coming.replaced[other] = job.id
            incoming.replaced(other)
            if (kept := claim_of(claim, host)) is not None:
                coming.let_go.append(kept)
            for lane, rank in earliest(self._lines.next(line)).items():
                coming.may_run(lane, rank)


def _key(job: Job) -> str | None:
    """Keys are of one user."""
    return f"{job.owner}:{job.spec.key}" if job.spec.key else None
