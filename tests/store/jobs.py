"""Jobs for tests of a store, and the verbs that each test needs."""

from __future__ import annotations

from typing import Any

import pytest

from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.host import clock
from taskgated.host.clock import MICROSECONDS
from taskgated.store.contract import Addition, Store

SUCCEED = Verdict(Verb.SUCCEED)


def spec(**values: Any) -> Spec:
    return Spec(**{"command": "true", **values})


def addition(claim: str, *specs: Spec, first: int = 0, keep: bool = False, plan: str = "") -> Addition:
    return Addition(claim, first, specs, "x.yaml", 1000, keep, plan=plan)


def add(store: Store, *specs: Spec, claim: str = "c") -> list[int]:
    return list(store.add([addition(claim, *specs)]).jobs)


def run(store: Store, job: int, attempt: int = 1, verdict: Verdict = SUCCEED, **values: Any) -> None:
    store.start(job, attempt, '{"pid":1}')
    store.finish(Outcome(job, attempt, **{"result": Result.SUCCEEDED, "exit_code": 0, **values}), verdict)


def passes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, while the host is up."""
    before = clock.boottime
    monkeypatch.setattr(clock, "boottime", lambda: before() + int(seconds * MICROSECONDS))
