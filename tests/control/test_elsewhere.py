"""Any process answers why: from the situation as JSON and the record of the job, for every kind of reason."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

from taskgated.core.after import Condition
from taskgated.core.capacity import Capacities, Policy, Situation
from taskgated.core.doors import Doors, Shut
from taskgated.core.job import Locks, Requires
from taskgated.core.kinds import Kind
from taskgated.core.named import WHOLE, Lock, Tokens, needs_of
from taskgated.core.promises import Waiter
from taskgated.core.reasons import DoorReason
from taskgated.core.rooms import Rooms
from taskgated.core.situation import situation_to_json
from taskgated.core.state import State
from taskgated.host.clock import wall
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waiting import Parking
from tests import REPOSITORY
from tests.control.elsewhere import said
from tests.core.test_situation import sample
from tests.store.jobs import OWNER, add, spec


def test_another_process_says_the_same(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    closed = {f"closed{n}": sample(cls) for n, cls in enumerate(get_args(DoorReason))}
    needy = spec(name="needy", tokens={"yarn": 2}, locks=Locks(("a",), ("b",)), key="k")
    specs = [
        *(spec(name=queue, queue=queue) for queue in closed),
        spec(name="held"),
        spec(name="late", delay=3600.0),
        spec(name="dated", not_before=wall() + 10**12),
        spec(name="there", requires=Requires(command=("true",))),
        spec(name="behind", after=(Condition("held"), Condition("nobody"))),
        needy,
        spec(name="promised", tokens={"yarn": 1}, locks=Locks(shared=("c",))),
        spec(name="full", queue="full"),
        spec(name="strict", queue="strict"),
        spec(name="second", queue="strict"),
    ]
    ids = {spec.name: job for spec, job in zip(specs, add(store, *specs), strict=True)}
    store.hold(ids["held"])
    store.park([Parking(ids["needy"], Tokens("yarn").name, 2)])
    policy = Policy(
        3,
        3,
        {"full": 1},
        limit=3,
        user_limits={"full": 1},
        strict=("strict",),
        tokens={"yarn": 3},
    )
    doors = Doors()
    doors.put({(queue, reason.kind): Shut(reason) for queue, reason in closed.items()})
    capacities = Capacities(policy, doors)
    capacities.promises.open = Rooms(capacities, doors).open
    running = replace(store.show(ids["needy"]).job, id=1000, state=State.RUNNING, queue="full")
    capacities.occupy(running)
    capacities.occupy(replace(store.show(ids["full"]).job, id=1001, state=State.RUNNING, queue="other"))
    first = store.show(ids["needy"]).job
    waiter = Waiter(first.id, first.rank, first.lane, 2)
    capacities.promises.parked(Tokens("yarn"), waiter, needs_of(first), again=False)
    capacities.promises.parked(Lock("c"), replace(waiter, needed=WHOLE), needs_of(first), again=False)
    now = Situation(capacities, 0, True, store.clock.now(), wall(), doors)
    assert running.owner == OWNER

    kinds = same(store, tmp_path / "db", now)
    capacities.occupy(replace(running, id=1002, spec=spec(), queue="other"))  # all places are taken
    kinds |= same(store, tmp_path / "db", Situation(capacities, 0))
    assert kinds == set(Kind)
    store.close()


def same(store: SqliteStore, database: Path, now: Situation) -> set[Kind]:
    """The kinds of reasons that another process gives, if it gives the same."""
    here = said(store, now)
    done = subprocess.run(
        [sys.executable, "-m", "tests.control.elsewhere", str(database)],
        input=json.dumps(situation_to_json(now)),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there.keys() == here.keys()
    for name, expected in json.loads(json.dumps(here)).items():
        assert list(map(_steady, there[name])) == list(map(_steady, expected)), name
    return {Kind(reason["kind"]) for found in there.values() for reason in found}


def _steady(reason: dict[str, object]) -> dict[str, object]:
    """But for what is left of a patience, which the store counts until it is asked."""
    passing = ("patience", "text") if "patience" in reason else ()
    return {name: value for name, value in reason.items() if name not in passing}
