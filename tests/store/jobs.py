"""Jobs for tests of a store, and the verbs that each test needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import pytest

from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.order import Lane, Rank
from taskgated.errors import Impossible
from taskgated.host import clock
from taskgated.host.clock import MICROSECONDS
from taskgated.store.contract import Addition, Questions, Store
from taskgated.store.placement import claimed, here
from taskgated.store.turns import all_lanes
from tests.store.conformance.faults import ByThread

T = TypeVar("T")

SUCCEED = Verdict(Verb.SUCCEED)


def spec(**values: Any) -> Spec:
    return Spec(**{"command": "true", **values})


def addition(claim: str, *specs: Spec, first: int = 0, keep: bool = False, plan: str = "") -> Addition:
    return Addition(claimed(claim), first, specs, "x.yaml", OWNER, UID, keep, plan=plan)


def add(store: Store, *specs: Spec, claim: str = "c") -> list[int]:
    return list(store.add([addition(claim, *specs)]).jobs)


def run(store: Store, job: int, attempt: int = 1, verdict: Verdict = SUCCEED, **values: Any) -> None:
    store.start(job, attempt, here('{"pid":1}'))
    store.finish(Outcome(job, attempt, **{"result": Result.SUCCEEDED, "exit_code": 0, **values}), verdict)


OWNER, UID = "alice", 1000
"""Who has all these jobs."""


def first(store: Questions, job: int) -> dict[Lane, Rank]:
    """What is told when that job is the first of its lane that came."""
    found = store.show(job).job
    return {found.lane: found.rank}


def together(store: Store, verbs: Callable[[Store], T]) -> T:
    """All of it in one group."""
    if isinstance(store, ByThread):
        return store.together(verbs)
    store.begin("", 1)
    answer = verbs(store)
    store.commit()
    return answer


class Undone(Exception):
    """Of a group that is not to be committed."""


def undone(store: Store, verbs: Callable[[Store], object]) -> None:
    """All of it in one group, which is rolled back."""

    def half(store: Store) -> None:
        verbs(store)
        raise Undone

    if isinstance(store, ByThread):
        with pytest.raises(Impossible):
            store.together(half)
        return
    store.begin("", 1)
    verbs(store)
    store.rollback()


def fetch(store: Questions, wanted: Mapping[str, int], known: Collection[int] = (), most: int = 1000) -> list[Job]:
    """The next jobs of these queues, so many of each user at most, in order."""
    found = store.fetch({lane: wanted[lane.queue] for lane in all_lanes(store) if lane.queue in wanted}, known, most)
    return sorted(found.jobs, key=lambda job: job.rank)


def passes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, while the host is up."""
    before = clock.boottime
    monkeypatch.setattr(clock, "boottime", lambda: before() + int(seconds * MICROSECONDS))


def steps(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock is stepped forward."""
    before = clock.wall
    monkeypatch.setattr(clock, "wall", lambda: before() + int(seconds * MICROSECONDS))
