"""From rows of the SQLite store to what the contract speaks of. The columns are those of ``sql/queries.sql``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from taskgated.core.job import Clock, Job, Result, Spec, State, to_text
from taskgated.store.contract import Attempt, Record


def job_of(row: Sequence[Any]) -> Job:
    id_, queue, priority, state, spec, source, *counters, submitted, due, clock, expires, claim = row
    attempt, failures, crashes = counters
    return Job(
        id=id_,
        queue=queue,
        priority=priority,
        state=State(state),
        spec=Spec.from_json(json.loads(spec)),
        source=to_text(source),
        attempt=attempt,
        failures=failures,
        crashes=crashes,
        submitted=submitted,
        due=due,
        due_clock=Clock(clock) if clock else Clock.STEADY,
        expires=expires,
        claim=claim,
    )


def attempt_of(row: Sequence[Any]) -> Attempt:
    number, worker, started, finished, result, *rest = row
    return Attempt(number, worker, started, finished, Result(result) if result else None, *rest)


def record_of(row: Sequence[Any]) -> Record:
    """The columns of the queries ``record`` and ``list`` are the fields of a record, in order."""
    values = dict(zip(_RECORD_FIELDS, row, strict=True))
    values["name"], values["source"] = to_text(values["name"]), to_text(values["source"])
    values["state"] = State(values["state"])
    values["result"] = Result(values["result"]) if values["result"] else None
    return Record(**values)


_RECORD_FIELDS = tuple(f.name for f in fields(Record))
