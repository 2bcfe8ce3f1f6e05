"""Jobs that are short of something by name: which are sent to wait for it, and when they come back.

A job that is ready and finds too little of a token, a lock, its key or its array is sent to wait for the first of
these (``Park``), so that the ready queue holds none that could not go. The store knows them from then on; here is
only kept who is the first for each, as ``core/promises.py`` has it. That is bounded by what runs: only what somebody
has is short. When there is some again, the best of those that wait are asked back (``Recall``), and are told to the
gate themselves, so that nobody comes between.

Everything that may be lost on the way is made good by ``taken``: what jobs wait for can be said at any time.

No more come back than could be ready, so that of a million who share a lock but few have to wait anew for the next
one who locks it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from taskgated.core.capacity import Capacities, Policy
from taskgated.core.inventory import Inventory, Numbers
from taskgated.core.job import Job
from taskgated.core.named import Named, Retries, Tokens, named, needs_of
from taskgated.core.order import LAST, Lane, Rank
from taskgated.core.promises import Waiter


@dataclass(frozen=True, slots=True)
class Park:
    """Have the store note what these jobs wait for: per id the name of that, and how much they need; then call
    ``parked``."""

    jobs: Mapping[int, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a capacity so much is ``free``, in ``total`` at best, and ``most`` jobs may come back. ``dismiss``: who need
    not wait for it any more, as its lane could not start it."""

    free: int
    total: int
    most: int
    dismiss: Waiter | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask the store for those that wait for these, by their names, and have room now; then call ``recalled``.
    ``number``: which question of the gate that is."""

    rooms: Mapping[str, Asked]
    number: int


@dataclass(frozen=True, slots=True)
class Back:
    """What the store said of one capacity: how many came back, and who is the first that still waits."""

    number: int
    first: Waiter | None


class Parking:
    """``open_``: whether a lane could start a job now, were it not for what its jobs need by name. ``places``: how
    many jobs of that rank could be ready beside those that are, or in place of one of them."""

    def __init__(
        self,
        capacities: Capacities,
        open_: Callable[[Lane], bool],
        places: Callable[[Rank], int],
        numbers: Numbers,
    ) -> None:
        self._capacities = capacities
        self._places = places
        self._promises = capacities.promises
        self._promises.open = open_
        self._promises.asked = lambda capacity: capacity in self._asked or capacity in self._look
        self._open = open_
        self._numbers = numbers
        self._ready: dict[int, Job] = {}  # those of the ready queue that need something
        self._stirred = False  # one of these may lack something now
        self._to_park: dict[int, tuple[str, int]] = {}
        self._told: dict[int, tuple[Named, Waiter]] = {}  # sent to wait; the store has not answered
        self._sent: dict[int, int] = {}  # those again, by which question
        self._back: dict[Named, dict[int, int]] = {}  # came back and have not started: what they need
        self._loose: dict[Named, None] = {}  # awaited, and some of it may be free
        self._look: dict[Named, None] = {}  # there may be room for those that wait
        self._later: dict[Named, None] = {}  # the same, and no more could be ready
        self._asked: dict[Named, int] = {}  # by which question
        self._coming: dict[Named, Waiter] = {}  # of these: who comes back, if all is as it was
        self._unknown: set[Named] = set()  # who is first for it has to be asked
        self._in_vain: dict[Named, tuple[int, int]] = {}  # who was first, and what was free, when none came back
        self._differing: dict[
            Named, tuple[int, int | None]
        ] = {}  # at the last inventory: who is first there, and here

    # -- the ready queue -------------------------------------------------------------------------

    def admits(self, job: Job) -> bool:
        """Whether a job may be ready. If not, it is short of something by name, and is sent to wait for that."""
        needs = needs_of(job)
        for capacity, amount in needs:
            if self._capacities.lacks(capacity, amount, job):
                self._park(job, capacity, amount)
                return False
        if needs:
            self._ready[job.id] = job
        return True

    def turned_away(self) -> list[Job]:
        """Those of the ready queue that have come to be short of something, and are sent to wait for it."""
        if not self._stirred:
            return []
        self._stirred = False
        return [job for job in list(self._ready.values()) if not self.admits(job)]

    def left(self, job: Job) -> None:
        """It is not in the ready queue any more, and has not started."""
        self._ready.pop(job.id, None)
        self._forget_back(job)

    def _park(self, job: Job, capacity: Named, amount: int) -> None:
        self.left(job)
        self._stirred = True
        waiter = Waiter(job.id, job.rank, job.lane, amount)
        self._to_park[job.id] = (capacity.name, amount)
        self._told[job.id] = capacity, waiter
        if amount <= self._total(capacity):
            needs = needs_of(job)
            again = job.waited and all(needed <= self._total(of) for of, needed in needs)
            self._look.update(dict.fromkeys(self._promises.parked(capacity, waiter, needs, again=again)))
            self._weigh(capacity)

    def _total(self, capacity: Named) -> int:
        return capacity.total(self._capacities.policy)

    def _weigh(self, capacity: Named) -> None:
        """See whether it is loose. How many retries may start is said by doors, and may be more at any time."""
        free = isinstance(capacity, Retries) or self._capacities.free(capacity) > 0
        if free and self._promises.first(capacity) is not None:
            self._loose[capacity] = None
        else:
            self._loose.pop(capacity, None)

    def _forget_back(self, job: Job) -> None:
        for capacity, _ in needs_of(job):
            back = self._back.get(capacity)
            if back is not None and back.pop(job.id, None) is not None:
                self.changed(capacity)
                if not back:
                    del self._back[capacity]

    # -- events ----------------------------------------------------------------------------------

    def started(self, job: Job) -> None:
        """What is awaited by others of its queue or user may not be promised to them any more."""
        needs = needs_of(job)
        for capacity, _ in needs:
            self._weigh(capacity)
        self._look.update(dict.fromkeys(self._promises.settled(job.id)))
        self._look.update(dict.fromkeys(self._promises.of_lane(job.queue, job.owner, self._loose)))
        self._stirred = self._stirred or bool(needs)
        self.left(job)

    def freed(self, job: Job) -> None:
        """What it had is free. What is promised to others of its queue or user may be so again."""
        for capacity, _ in needs_of(job):
            self._weigh(capacity)
            self.changed(capacity)
        self._stirred = self._stirred or bool(self._promises.of_lane(job.queue, job.owner, self._loose))

    def changed(self, capacity: Named) -> None:
        """There may be more of it."""
        if self._promises.first(capacity) is not None:
            self._look[capacity] = None

    def gone(self, job: int) -> None:
        """A queued job waits no more, as it is held, over, or in another queue: if others wait behind it, they may
        go."""
        self._look.update(dict.fromkeys(self._promises.settled(job)))
        if (ready := self._ready.get(job)) is not None:
            self.left(ready)
        for capacity in self._promises.first_for(job):
            self._ask(capacity)

    def look_again(self, before: Policy) -> None:
        """The policy is another: all that is awaited is looked at. Who needs more of a token than there was is known
        to the store alone, so where there is more now it is asked."""
        self._differing.clear()
        for name, total in self._capacities.policy.tokens.items():
            if total > before.tokens.get(name, 0):
                self._unknown.add(Tokens(name))
                self._look[Tokens(name)] = None
        self._look.update(dict.fromkeys(self._promises.void(self._total)))
        for capacity in self._promises.awaited:
            self._weigh(capacity)
            self._look[capacity] = None
        self.opened()

    def opened(self) -> None:
        """Other lanes than before may be open: what is promised may be another's now, or nobody's."""
        self._in_vain.clear()
        self._stirred = True
        self._look.update(self._loose)

    def parked(self, jobs: Iterable[int]) -> None:
        """The store has noted what these wait for."""
        for job in jobs:
            self._sent.pop(job, None)
            if (told := self._told.pop(job, None)) is not None:
                self._in_vain.pop(told[0], None)  # it was asked for before the store knew of it
                self._look[told[0]] = None

    def taken(self, inventory: Inventory) -> None:
        """That is what jobs wait for. What was asked before is given up, and who is first is asked where that is
        another one; but not again and again, where it is one that needs more than there is."""
        self.parked([job for job, number in self._sent.items() if number <= inventory.asked])
        for capacity in [capacity for capacity, number in self._asked.items() if number <= inventory.asked]:
            del self._asked[capacity]
            self._coming.pop(capacity, None)
            self._ask(capacity)
        differing: dict[Named, tuple[int, int | None]] = {}
        for name, job in inventory.waiting.items():
            if (awaited := named(name)) is None:
                continue
            first = self._promises.first(awaited)
            if first is None or first.id != job:
                differing[awaited] = job, None if first is None else first.id
                if self._differing.get(awaited) != differing[awaited]:
                    self._ask(awaited)
        self._differing = differing
        for capacity in self._promises.awaited:
            if capacity.name not in inventory.waiting:
                self._ask(capacity)

    def coming(self, rank: Rank) -> list[Lane]:
        """The lanes of those before that rank which the store is asked for, and which are to start then."""
        return [waiter.lane for waiter in self._coming.values() if waiter.rank < rank]

    @property
    def asks(self) -> bool:
        """Whether anything that was sent to the store has no answer yet."""
        return bool(self._asked or self._sent)

    def _ask(self, capacity: Named) -> None:
        """Have the store say who is first for it."""
        self._unknown.add(capacity)
        self._look[capacity] = None

    def recalled(self, asked: Recall, answer: Mapping[str, Back], jobs: Iterable[Job]) -> bool:
        """The store's answer. ``jobs``: those that came back. Returns whether it was still waited for."""
        if any(self._asked.get(_known(name)) != asked.number for name in asked.rooms):
            return False
        for job in jobs:
            for capacity, amount in needs_of(job):
                if capacity.name in asked.rooms:
                    self._back.setdefault(capacity, {})[job.id] = amount
        told: dict[Named, list[Waiter]] = {}
        for capacity, waiter in self._told.values():
            told.setdefault(capacity, []).append(waiter)
        for name, room in asked.rooms.items():
            capacity = _known(name)
            del self._asked[capacity]
            self._coming.pop(capacity, None)
            back = answer.get(name, Back(0, None))
            waiting = [*told.get(capacity, ()), *([back.first] if back.first else [])]
            first = min(waiting, key=lambda one: one.rank, default=None)
            self._promises.first_is(capacity, first)
            self._weigh(capacity)
            self._stirred = True
            self._in_vain.pop(capacity, None)
            if first is not None and not back.number and room.most and room.dismiss is None:
                self._in_vain[capacity] = first.id, room.free
            elif first is not None:
                self._look[capacity] = None
        return True

    # -- what follows ----------------------------------------------------------------------------

    def actions(self) -> list[Park | Recall]:
        """What is to be told to the store, and asked of it."""
        found: list[Park | Recall] = []
        if self._to_park:
            self._sent.update(dict.fromkeys(self._to_park, self._numbers.next()))
            found.append(Park(self._to_park))
            self._to_park = {}
        rooms: dict[str, Asked] = {}
        coming = 0
        for capacity in self._looked_at():
            if (asked := self._room(capacity, coming)) is not None:
                rooms[capacity.name] = asked
                coming += asked.most
                self._asked[capacity] = self._numbers.last + 1
                if asked.most and (first := self._promises.first(capacity)) is not None:
                    self._coming[capacity] = first
                self._unknown.discard(capacity)
        if rooms:
            found.append(Recall(rooms, self._numbers.next()))
        return found

    def _looked_at(self) -> list[Named]:
        """Of what there may be some, but for that of which the store has not answered yet: what the best wait for
        first."""
        if self._later and self._places(LAST) > 0:
            self._look.update(self._later)
            self._later.clear()
        found = [capacity for capacity in self._look if capacity not in self._asked]
        for capacity in found:
            del self._look[capacity]
        return sorted(found, key=self._rank) if len(found) > 1 else found

    def _rank(self, capacity: Named) -> Rank:
        first = self._promises.first(capacity)
        return LAST if first is None else first.rank

    def _room(self, capacity: Named, coming: int) -> Asked | None:
        """What to ask for; None: it would be in vain. ``coming``: so many jobs may come back for something else."""
        total = self._total(capacity)
        free = max(0, self._capacities.free(capacity) - sum(self._back.get(capacity, {}).values()))
        first = self._promises.first(capacity)
        if first is None or capacity in self._unknown:
            return Asked(free, total, 0)
        if first.id in self._told or not free:
            return None  # the store does not know yet that it waits, or there is nothing to have
        if not self._open(first.lane):
            return Asked(free, total, 0, first)
        if self._promises.before(capacity, first.id, first.rank, free - first.needed) is not None:
            return None  # it is for another
        if self._in_vain.get(capacity) == (first.id, free):
            return None
        if free < first.needed <= total:
            return None
        most = self._places(first.rank) - coming
        if most <= 0:
            self._later[capacity] = None
            return None
        return Asked(free, total, min(most, max(1, free // max(1, first.needed))))

    def sanity_check(self) -> None:
        """Every invariant that must hold between two events; for tests."""
        unseen = [one for one in self._promises.awaited if one not in self._loose and self._capacities.free(one) > 0]
        assert not unseen, f"of {unseen} there is some, and nobody looks"


def _known(name: str) -> Named:
    """The capacity of a name that was made of one."""
    capacity = named(name)
    assert capacity is not None
    return capacity
