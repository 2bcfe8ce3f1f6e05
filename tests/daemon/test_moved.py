"""A job goes over to another queue while its start is under way: it starts there, whoever heard of what, and when."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.core.job import Job, Spec
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.roster import Roster
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition, Store
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.turns import all_lanes


def test_a_refused_start_is_looked_for_where_the_job_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout.under(tmp_path)
    layout.state.mkdir()
    loop = Loop()
    store = SqliteStore(layout.database)
    store.add([Addition(claimed("claim"), 0, [Spec(command="true")], "x.tasks", "alice", 1000)])
    client = StoreClient(store, loop.wake)
    loop.on_wake(client.deliver)
    loop.at_end_of_turn(client.flush)
    gate = Gate(Policy(1, 1), all_lanes(store), lambda: 0.5)
    roster = Roster(loop)
    roster.workers["w"] = cast(
        Any, SimpleNamespace(placement=here("{}"), identity=SimpleNamespace(process=SimpleNamespace(pid=1)))
    )
    ran: list[Job] = []

    def run(worker: object, job: Job, *_: object) -> None:
        ran.append(job)
        loop.stop()

    monkeypatch.setattr(roster, "run", run)
    conductor = Conductor(
        layout,
        loop,
        gate,
        client,
        roster,
        Ledger(client, Journal(), {}),
        Journal(),
        store.clock.now,
        lambda last: None,
    )
    start = client.submit
    moved = []

    def submit(verb: Any, *args: Any, **values: Any) -> None:
        if not moved:  # before its start, and the gate does not hear of it
            moved.append(True)
            start(move)
        start(verb, *args, **values)

    def move(store: Store) -> None:
        store.move(1, "etl")

    monkeypatch.setattr(client, "submit", submit)
    client.start()
    try:
        loop.post(lambda: conductor.do(gate.worker_idle("w")))
        loop.after(20, loop.stop)
        loop.run()
        assert [(job.id, job.queue) for job in ran] == [(1, "etl")]
    finally:
        client.stop(10)
        loop.close()
