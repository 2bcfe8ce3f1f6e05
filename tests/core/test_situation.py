"""The situation as JSON: whoever reads it gives the same reasons."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core import capacity, named, situation, tagged
from taskgated.core.capacity import Capacities, Policy, Situation, reasons
from taskgated.core.doors import Allowance, Door, Doors, Shut
from taskgated.core.job import Job, Spec
from taskgated.core.kinds import Kind
from taskgated.core.named import Tokens
from taskgated.core.order import Lane
from taskgated.core.promises import Waiter
from taskgated.core.reasons import DoorReason, Paused, QueueFull
from taskgated.core.shortages import TokensPromised
from taskgated.core.situation import situation_from_json, situation_to_json
from taskgated.core.state import State

QUEUES = ("etl", "x")
USERS = ("alice", "bob", "4711")


def again(now: Situation) -> Situation:
    return situation_from_json(json.loads(json.dumps(situation_to_json(now))))


def job(id_: int, queue: str, owner: str, **values: Any) -> Job:
    return replace(Job(id_, queue, 50, State.QUEUED, Spec(command="true"), owner), **values)


def doors(**by_queue: Door) -> Doors:
    found = Doors()
    found.put({(queue, door.reason.kind): door for queue, door in by_queue.items()})
    return found


@given(
    running=st.lists(st.tuples(st.sampled_from(QUEUES), st.sampled_from(USERS)), max_size=6),
    waiting=st.lists(st.tuples(st.sampled_from(QUEUES), st.sampled_from(USERS)), min_size=1, max_size=3),
    policy=st.builds(
        Policy,
        workers=st.integers(1, 4),
        ready_queue=st.just(2),
        limits=st.dictionaries(st.sampled_from(QUEUES), st.integers(1, 3)),
        limit=st.none() | st.integers(1, 4),
        user_limit=st.none() | st.integers(1, 2),
        users=st.dictionaries(st.sampled_from(USERS), st.integers(1, 3)),
        user_limits=st.dictionaries(st.sampled_from(QUEUES), st.integers(1, 2)),
        strict=st.just(()) | st.just(("etl",)),
        fair=st.just(()) | st.just(QUEUES),
        weights=st.dictionaries(st.sampled_from(USERS), st.sampled_from([1.0, 2.5, 3.0])),
    ),
    idle=st.integers(0, 2),
    draining=st.booleans(),
    left=st.none() | st.integers(0, 2),
    due=st.none() | st.integers(0, 20),
)
def test_the_reasons_are_the_same(
    running: list[tuple[str, str]],
    waiting: list[tuple[str, str]],
    policy: Policy,
    idle: int,
    draining: bool,
    left: int | None,
    due: int | None,
) -> None:
    capacities = Capacities(policy)
    for id_, (queue, owner) in enumerate(running):
        capacities.occupy(job(id_, queue, owner))
    door = Shut(Paused("etl")) if left is None else Allowance(left, QueueFull("etl", 1, 1))
    now = Situation(capacities, idle, draining, 10, 10, doors(etl=door))
    for id_, (queue, owner) in enumerate(waiting):
        one = job(100 + id_, queue, owner, due=due)
        assert reasons(one, again(now)) == reasons(one, now)


def test_what_is_promised_is_written_as_well() -> None:
    """A job that comes after another that is short of something does not take that; so say both."""
    capacities = Capacities(Policy(9, 9, tokens={"yarn": 3, "db": 1}))
    capacities.occupy(replace(job(1, "q", "alice"), spec=Spec(command="x", tokens={"yarn": 1})))
    needs = ((Tokens("yarn"), 3), (Tokens("db"), 1))
    first, senior = Waiter(2, (0, 2), Lane("q", "alice"), 3), Waiter(3, (1, 3), Lane("q", "alice"), 1)
    capacities.promises.parked(Tokens("yarn"), first, needs, again=False)
    capacities.promises.parked(Tokens("db"), senior, needs, again=True)
    now = Situation(capacities, 9)
    late = replace(job(4, "q", "alice"), spec=Spec(command="x", tokens={"yarn": 1, "db": 1}), turn=9)
    assert {type(reason) for reason in reasons(late, now)} == {TokensPromised}
    assert reasons(late, again(now)) == reasons(late, now)


SAMPLES: dict[object, object] = {int: 3, str: "etl", float: 1.5, bool: True}


def sample(hint: Any) -> Any:
    """A value of that type, whatever it is."""
    arguments = [one for one in get_args(hint) if one not in (type(None), Ellipsis)]
    if hint in SAMPLES:
        return SAMPLES[hint]
    if arguments:
        return (sample(arguments[0]),) if getattr(hint, "__origin__", None) is tuple else sample(arguments[0])
    if hasattr(hint, "__members__"):
        return next(iter(hint))
    hints = get_type_hints(hint)
    return hint(**{field.name: sample(hints[field.name]) for field in fields(hint)})


@pytest.mark.parametrize("cls", get_args(DoorReason))
def test_every_reason_to_shut_a_queue_can_be_written(cls: type[DoorReason]) -> None:
    reason = sample(cls)
    assert list(again(Situation(Capacities(Policy(1, 1)), doors=doors(etl=Shut(reason)))).doors.shut()) == [
        ("etl", reason)
    ]


def test_every_capacity_can_be_written() -> None:
    there = {
        cls
        for cls in [*vars(capacity).values(), *vars(named).values()]
        if isinstance(cls, type) and {"total", "short"} <= vars(cls).keys() and cls is not capacity.Capacity
    }
    (keys, _) = get_args(get_type_hints(situation._Written)["in_use"])
    assert there == set(get_args(keys))


@dataclass(frozen=True)
class Some:
    number: int
    kind: Kind
    perhaps: int | str | None


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"is": "Other", "number": 1, "kind": "held", "perhaps": None},
        {"is": "Some", "number": 1, "kind": "held"},
        {"is": "Some", "number": 1, "kind": "held", "perhaps": None, "more": 1},
        {"is": "Some", "number": True, "kind": "held", "perhaps": None},
        {"is": "Some", "number": 1, "kind": "unheard-of", "perhaps": None},
        {"is": "Some", "number": 1, "kind": "held", "perhaps": 1.5},
    ],
)
def test_what_was_not_written_so_is_not_read(data: object) -> None:
    with pytest.raises(ValueError):
        tagged.read(Some, data)
    with pytest.raises(ValueError):
        situation_from_json(data)


def test_what_was_written_is_read() -> None:
    for perhaps in (None, 1, "x"):
        one = Some(7, Kind.TIME, perhaps)
        assert tagged.read(Some, json.loads(json.dumps(tagged.written(one)))) == one
