"""Queues that the machine has to have room for: its figures are read, and what follows is ``core/machine.py``'s.

They are read every few seconds while a job waits in such a queue. Whether one does the store says, and it is asked
before they are read; when none does, the queue is shut and nothing is read until a job comes to the shut door
(``Gate.knocked``). So a gate without jobs sleeps. What a file of the kernel does not say in time is not known then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar

from taskgated.core.doors import Allowance, Door, Shut
from taskgated.core.gate import Gate
from taskgated.core.kinds import Kind
from taskgated.core.machine import Figure, Machine, Seen, Verdict, judge, unseen
from taskgated.core.reasons import JustStarted, LoadToCome, MachineTight, MachineUnread
from taskgated.daemon import figures
from taskgated.daemon.doorkeeper import Look, Moment
from taskgated.daemon.in_force import InForce
from taskgated.events import Event
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop, Timer
from taskgated.host.pressure import Reading, Wanted, read
from taskgated.language.config import Config
from taskgated.store.answer import Answer
from taskgated.store.reader import Reader
from taskgated.store.turns import all_lanes

EVERY = 5.0
"""Seconds from one look to the next. The kernel makes a new load average as often, and pressures every two."""
PATIENCE = 10.0
"""Seconds after which a file that has not been read counts as one that cannot be."""
AGAIN = 1.0
"""Seconds until it is tried again to find out whether a job waits."""
TOLD = 60.0
"""Seconds at least between two events in the journal about one queue."""


@dataclass(slots=True)
class _Queue:
    """``due``: when the next look is (monotonic). ``door``: as the last look left it; ``new``: the gate has not been
    told of that. ``looks``: how many there were. ``resting``: no job waited. ``told``: whether the journal knows it
    to be shut."""

    name: str
    machine: Machine
    door: Door = field(init=False)
    verdict: Verdict = field(default_factory=Verdict)
    due: float = 0.0
    new: bool = True
    looks: int = 0
    resting: bool = True
    told: bool = False
    told_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.door = Shut(MachineUnread(self.name))


class MachineDoors:
    """A part of the doorkeeper. ``soon``: has the doors looked at; ``group``: the control group of the gate."""

    kind: ClassVar[Kind] = Kind.MACHINE

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        reader: Reader,
        in_force: InForce,
        journal: Journal,
        group: str | None,
        soon: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._gate = gate
        self._reader = reader
        self._in_force = in_force
        self._journal = journal
        self._group = group
        self._soon = soon
        self._queues: dict[str, _Queue] = {}
        self._helper: Helper | None = None
        self._since: dict[tuple[int, int], float] = {}  # when an attempt that runs was first seen here (monotonic)
        self._lacking: Mapping[Wanted, str] = {}
        self._timer: Timer | None = None
        self._checking = False  # the store is being asked whether a job waits
        self._again = False  # there was a reason to attend meanwhile
        self._reading: object | None = None  # a reading that is under way, and not over ``PATIENCE``
        self._hangs = False
        self._take(in_force.now)
        in_force.changed.add(self._reload)

    def start(self) -> None:
        """From now on the machine is looked at."""
        wanted = figures.all_wanted(self._in_force.now)
        if wanted and self._reading is None and not self._hangs:  # what is lacking is told before a job comes
            self._read(wanted, lambda reading: None)
        self.attend()

    def stop(self, timeout: float) -> None:
        if self._helper is not None:
            self._helper.stop(timeout)

    # -- doors -----------------------------------------------------------------------------------

    def queues(self) -> Iterable[str | None]:
        return list(self._queues)

    def look(self, queue: str | None, now: Moment) -> Look:
        assert queue is not None
        mine, counted = self._queues[queue], self._gate.doors.get(queue, self.kind)
        if isinstance(mine.door, Allowance) and isinstance(counted, Allowance) and not mine.new:
            return Look(counted)  # what is left of it
        mine.new = False
        return Look(mine.door)

    @property
    def degraded(self) -> list[str]:
        """What of the machine cannot be known, for people."""
        return list(figures.in_words(self._lacking))

    # -- when there is to be a look ----------------------------------------------------------------

    def knocked(self, queues: AbstractSet[str]) -> None:
        """Jobs came to these queues, which were shut."""
        if not queues.isdisjoint(self._queues):
            self.attend()

    def attend(self) -> None:
        """Look at the machine if it is time to, and a job waits for that. To attend once more is always right."""
        if self._checking or self._reading is not None:
            self._again = True
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        due = [mine for mine in self._queues.values() if mine.due <= now]
        if self._gate.draining or not due:
            self._later(now)
            return
        self._checking = True
        self._reader.ask(
            lambda store: {lane.queue for lane in all_lanes(store)}, lambda said: self._checked(due, said)
        )

    def _later(self, now: float) -> None:
        """Attend again when the first look that is not due yet is."""
        dues = [mine.due for mine in self._queues.values() if not mine.resting]
        if dues and not self._gate.draining:
            self._timer = self._loop.after(max(0.0, min(dues) - now), self.attend)

    def _checked(self, due: Iterable[_Queue], said: Answer[set[str]]) -> None:
        self._checking = False
        if said.error is not None:
            self._timer = self._loop.after(AGAIN, self.attend)
            return
        waiting = said.get()
        found = []
        for mine in due:
            if mine.name in waiting:
                found.append(mine)
            elif not mine.resting:
                mine.resting, mine.verdict, mine.door, mine.new = (
                    True,
                    Verdict(),
                    Shut(MachineUnread(mine.name)),
                    True,
                )
                self._soon()
        self._look_for(found)

    def _look_for(self, found: Collection[_Queue]) -> None:
        found = [mine for mine in found if self._queues.get(mine.name) is mine]
        if not found:
            self._attended()
        elif self._hangs:
            self._judge(found, {})
        else:
            wanted = dict.fromkeys(one for mine in found for one in figures.wanted(mine.machine).values())
            self._read(wanted, lambda reading: self._judge(found, reading.figures))

    def _attended(self) -> None:
        again, self._again = self._again, False
        if again:
            self.attend()
        else:
            self._later(time.monotonic())

    # -- the look --------------------------------------------------------------------------------

    def _read(self, wanted: Collection[Wanted], done: Callable[[Reading], None]) -> None:
        """``done`` is told what was read, or of nothing if that takes too long."""
        if self._helper is None:
            self._helper = Helper(self._loop, "machine")
            self._helper.start()
        this = self._reading = object()
        group = self._group

        def over(reading: Reading) -> None:
            if self._reading is this:
                patience.cancel()
                self._reading = None
                self._note(reading)
                done(reading)
                self._attended()
            elif self._hangs:
                self._hangs = False
                self._note(reading)

        def hangs() -> None:
            if self._reading is not this:
                return
            self._reading, self._hangs = None, True
            reading = Reading({}, dict.fromkeys(wanted, f"what the kernel says is not there after {PATIENCE:.0f} s"))
            self._note(reading)
            done(reading)
            self._attended()

        patience = self._loop.after(PATIENCE, hangs)
        self._helper.do(lambda: read(wanted, group), over)

    def _judge(self, found: Collection[_Queue], read: Mapping[Wanted, float]) -> None:
        now = time.monotonic()
        coming = self._coming(now)
        among = sum(mine.machine.load is not None for mine in found)
        for mine in found:
            if self._queues.get(mine.name) is not mine:  # another configuration holds meanwhile
                continue
            wanted = figures.wanted(mine.machine)
            values = {figure: read[one] for figure, one in wanted.items() if one in read}
            mine.verdict = judge(mine.machine, Seen(values, coming, among), mine.verdict, self._started(mine))
            mine.looks += 1
            mine.door, mine.new, mine.resting = self._door(mine, values), True, False
            mine.due = now + EVERY
            self._tell(mine, now)
        self._soon()

    def _started(self, mine: _Queue) -> int:
        """How many of its jobs have started since the last look."""
        counted = self._gate.doors.get(mine.name, self.kind)
        if mine.new or not (isinstance(mine.door, Allowance) and isinstance(counted, Allowance)):
            return 0
        return mine.door.left - counted.left

    def _coming(self, now: float) -> float:
        """The load that what runs, of whatever queue, will bring, and that its figure does not have yet."""
        running = {(course.job.id, course.job.attempt) for course in self._gate.attempts.courses()}
        self._since = {key: self._since.get(key, now) for key in running}
        return unseen(now - since for since in self._since.values())

    def _door(self, mine: _Queue, values: Mapping[Figure, float]) -> Door:
        verdict, queue = mine.verdict, mine.name
        if verdict.tight:
            return Shut(MachineTight(queue, verdict.tight))
        if not verdict.allowed:
            return Shut(LoadToCome(queue, values[Figure.LOAD], verdict.coming, mine.machine.load or 0.0))
        return Allowance(verdict.allowed, JustStarted(queue, verdict.allowed), grant=f"{queue} {mine.looks}")

    # -- what is told ----------------------------------------------------------------------------

    def _tell(self, mine: _Queue, now: float) -> None:
        shut = bool(mine.verdict.tight)
        if shut == mine.told or now - mine.told_at < TOLD:
            return
        mine.told, mine.told_at = shut, now
        if shut:
            what = ", ".join(f"{one.figure} is {one.value:g}, bound {one.bound:g}" for one in mine.verdict.tight)
            text = f"queue {mine.name} starts nothing, the machine has no room: {what}"
        else:
            text = f"queue {mine.name} starts jobs again, the machine has room"
        self._journal.event(Event.MACHINE, text, Priority.INFO, queue=mine.name)

    def _note(self, reading: Reading) -> None:
        """What could be read of what was lacking is not lacking any more."""
        before = self.degraded
        still = {one: why for one, why in self._lacking.items() if one not in reading.figures}
        self._lacking = {**still, **reading.lacking}
        for text in self.degraded:
            if text not in before:
                self._journal.event(Event.MACHINE_UNKNOWN, text, Priority.WARNING)

    # -- configuration ---------------------------------------------------------------------------

    def _reload(self, config: Config) -> None:
        self._take(config)
        self._lacking = {one: why for one, why in self._lacking.items() if one in figures.all_wanted(config)}
        self.start()

    def _take(self, config: Config) -> None:
        before, self._queues = self._queues, {}
        for name, queue in config.queues.items():
            if queue.machine is not None:
                old = before.get(name)
                same = old is not None and old.machine == queue.machine
                self._queues[name] = old if old is not None and same else _Queue(name, queue.machine)
