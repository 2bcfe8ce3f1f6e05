"""Whatever waits for what others have, an event looks at no more than what it is about."""

from __future__ import annotations

import pytest

from taskgated.core.capacity import Capacities, Policy
from taskgated.core.inventory import Inventory, Numbers
from taskgated.core.job import Job, Locks, Spec
from taskgated.core.named import WHOLE, Lock, Named, Tokens
from taskgated.core.order import Lane
from taskgated.core.parking import Asked, Back, Parking, Recall
from taskgated.core.promises import Waiter
from taskgated.core.state import State

AWAITED = 1000


class Counting(Capacities):
    """It counts how often it is asked what is free."""

    looks = 0

    def free(self, capacity: Named) -> int:
        self.looks += 1
        return super().free(capacity)


def job(id_: int, *locks: str, queue: str = "q", owner: str = "1", **tokens: int) -> Job:
    return Job(id_, queue, 50, State.QUEUED, Spec(locks=Locks(locks), tokens=tokens), owner, turn=id_)


class Scene:
    """Each of many locks is held by one job, and another one waits for it; jobs of the lanes in ``full`` cannot
    start."""

    def __init__(self) -> None:
        self.full: set[Lane] = set()
        self.places = 16
        self.capacities = Counting(Policy(2 * AWAITED, 16, tokens={"yarn": 3}))
        self.parking = Parking(
            self.capacities, lambda lane: lane not in self.full, lambda rank: self.places, Numbers()
        )
        for n in range(AWAITED):
            self.capacities.occupy(job(n, f"lock{n}"))
        waiting = [job(AWAITED + n, f"lock{n}") for n in range(AWAITED)]
        assert not any(map(self.parking.admits, waiting))
        self.parking.actions()
        self.parking.parked([one.id for one in waiting])
        assert not self.parking.actions()
        self.capacities.looks = 0

    def ends(self, job: Job) -> None:
        self.capacities.vacate(job)
        self.parking.freed(job)

    def take(self, more: dict[str, int]) -> None:
        """An inventory: jobs wait for these as well, each with the first."""
        self.parking.taken(Inventory(0, waiting={f"lock:lock{n}": AWAITED + n for n in range(AWAITED)} | more))

    def recalled(self) -> dict[str, Asked]:
        """What is asked for."""
        found: dict[str, Asked] = {}
        for action in self.parking.actions():
            assert isinstance(action, Recall)
            self.asked = action
            found.update(action.rooms)
        return found


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("event", ["a start", "an end", "a job goes", "a door opens"])
def test_what_is_held_by_others_is_not_looked_at(scene: Scene, event: str) -> None:
    match event:
        case "a start":
            scene.parking.started(job(5000, "free"))
            assert scene.recalled() == {}
        case "an end":
            scene.ends(job(7, "lock7"))
            assert list(scene.recalled()) == ["lock:lock7"]
        case "a job goes":
            scene.parking.gone(AWAITED + 7)
            assert list(scene.recalled()) == ["lock:lock7"]
        case "a door opens":
            scene.parking.opened()
            assert scene.recalled() == {}
    assert scene.capacities.looks < 10


@pytest.mark.parametrize("event", ["a start", "a door"])
@pytest.mark.parametrize("known", ["as it was sent to wait", "from the store"])
def test_what_is_free_and_promised_goes_to_another_when_the_lane_is_full(
    scene: Scene, known: str, event: str
) -> None:
    """Three tokens are promised to one who needs them all; they are free one by one."""
    holders = [job(5000 + n, yarn=1) for n in range(3)]
    for holder in holders:
        scene.capacities.occupy(holder)
    first = job(6000, yarn=3)
    waiter = Waiter(first.id, first.rank, first.lane, 3)
    if known == "from the store":
        scene.ends(holders[0])
        scene.take({"token:yarn": first.id})
        assert scene.recalled() == {"token:yarn": Asked(1, 3, 0)}
        scene.parking.recalled(scene.asked, {"token:yarn": Back(0, waiter)}, [])
    else:
        assert not scene.parking.admits(first)
        scene.parking.actions()
        scene.parking.parked([first.id])
        scene.ends(holders[0])
    assert scene.recalled() == {}
    scene.full.add(first.lane)
    if event == "a start":
        scene.parking.started(job(5010))
    else:
        scene.parking.opened()
    assert scene.recalled() == {"token:yarn": Asked(1, 3, 0, waiter)}


def test_what_is_taken_again_is_looked_at_no_more(scene: Scene) -> None:
    taken = [job(5000 + n, f"shared{n}") for n in range(50)]
    scene.take({f"lock:shared{one.id - 5000}": 6000 for one in taken})
    (asked,) = scene.parking.actions()
    assert isinstance(asked, Recall)
    waiter = Waiter(6000, (6000, 6000), Lane("q", "1"), 1)
    scene.parking.recalled(asked, {name: Back(0, waiter) for name in asked.rooms}, [])
    for one in taken:
        scene.capacities.occupy(one)
        scene.parking.started(one)
    assert scene.recalled() == {}
    scene.capacities.looks = 0
    scene.parking.started(job(5500))
    assert scene.recalled() == {} and scene.capacities.looks == 0


def test_no_more_come_back_than_could_be_ready(scene: Scene) -> None:
    scene.places = 2
    for n in (9, 7, 8):
        scene.ends(job(n, f"lock{n}"))
    asked = scene.recalled()
    one = Asked(WHOLE, WHOLE, 1)
    assert asked == {"lock:lock7": one, "lock:lock8": one}, "what the best wait for comes first"
    scene.places = 0
    back = [job(AWAITED + n, f"lock{n}") for n in (7, 8)]
    scene.parking.recalled(scene.asked, {name: Back(1, None) for name in asked}, back)
    assert scene.recalled() == {}
    scene.places = 1
    assert scene.recalled() == {"lock:lock9": one}


def test_who_share_a_lock_come_back_as_many_as_could_be_ready(scene: Scene) -> None:
    scene.capacities.occupy(job(5000, "shared"))
    scene.take({"lock:shared": 6000})
    assert scene.recalled() == {"lock:shared": Asked(0, WHOLE, 0)}
    waiter = Waiter(6000, (6000, 6000), Lane("q", 1), 1)
    scene.parking.recalled(scene.asked, {"lock:shared": Back(0, waiter)}, [])
    assert scene.recalled() == {}
    scene.ends(job(5000, "shared"))
    assert scene.recalled() == {"lock:shared": Asked(WHOLE, WHOLE, scene.places)}


def test_a_new_policy_has_all_that_is_awaited_looked_at(scene: Scene) -> None:
    scene.capacities.occupy(job(5000, yarn=3))
    assert not scene.parking.admits(job(6000, yarn=1))
    scene.parking.actions()
    scene.parking.parked([6000])
    assert scene.recalled() == {}
    before, scene.capacities.policy = scene.capacities.policy, Policy(2 * AWAITED, 16, tokens={"yarn": 4})
    scene.parking.look_again(before)
    scene.parking.sanity_check()
    assert list(scene.recalled()) == ["token:yarn"]


def test_what_nobody_waits_for_any_more_is_forgotten(scene: Scene) -> None:
    promises = scene.capacities.promises
    assert promises.first_for(AWAITED + 7) == [Lock("lock7")]
    promises.first_is(Lock("lock7"), Waiter(9000, (9000, 9000), Lane("q", "1"), 1))
    assert promises.first_for(AWAITED + 7) == []
    promises.first_is(Lock("lock7"), None)
    assert promises.first_for(9000) == []
    assert Tokens("yarn") not in promises.awaited and len(promises.awaited) == AWAITED - 1
