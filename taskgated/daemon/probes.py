"""Probes: commands that say whether jobs of the queues that name them may start.

``core/probe.py`` knows what follows from answers, ``looks`` has the commands run. Here is when: as long as a job
waits in a queue of a probe, the probe is asked each time that its answer ends. That a job waits is the store's to
say, and it is asked for that before the probe is; when none does, the probe rests until one comes to a shut door
(``Gate.knocked``). So a gate without jobs starts no process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar

from taskgated.control.needs import Probe
from taskgated.core.capacity import QueuePlaces
from taskgated.core.doors import Allowance, Shut
from taskgated.core.gate import Gate
from taskgated.core.job import Spec
from taskgated.core.kinds import Kind
from taskgated.core.probe import Answer, Known, Look, Says
from taskgated.core.reasons import ProbeSays, ProbeUnasked, ProbeUsedUp
from taskgated.daemon import doorkeeper
from taskgated.daemon.in_force import InForce
from taskgated.daemon.looks import Looks
from taskgated.events import Event
from taskgated.host.clock import wall
from taskgated.host.journal import Journal, Priority
from taskgated.host.loop import Loop, Timer
from taskgated.language.config import Config, ProbeConfig
from taskgated.protocol.looking import KILL_AFTER, key_of
from taskgated.protocol.messages import Run
from taskgated.store.answer import Answer as Reply
from taskgated.store.reader import Reader
from taskgated.store.turns import all_lanes

AGAIN = 1.0
"""Seconds until it is tried again to find out whether a job waits, or whether a probe may be asked."""
TOLD = 60.0
"""Seconds at least between two events in the journal about one probe."""
_STEP = 0.001
"""Seconds, a little: so much after an answer has ceased to hold it is looked for sure that it does not."""


@dataclass(slots=True)
class _Probe:
    """One that is configured; with another command it is another one. ``queues``: those that name it."""

    name: str
    config: ProbeConfig
    queues: Sequence[str]
    known: Known = field(default_factory=Known)
    wall: int | None = None  # when the last answer came
    answers: int = 0
    timer: Timer | None = None  # until it may be due
    checking: bool = False  # the store is being asked whether a job waits
    knocked: bool = False  # one came meanwhile
    told: tuple[bool, Says] | None = None  # what the journal has been told
    told_at: float = 0.0
    telling: Timer | None = None

    @property
    def grant(self) -> str:
        """The name of the allowance of its last answer."""
        return f"{self.name} {self.answers}"


class Probes:
    """A part of the doorkeeper. ``soon``: has the doors looked at."""

    kind: ClassVar[Kind] = Kind.PROBE

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        looks: Looks,
        reader: Reader,
        in_force: InForce,
        journal: Journal,
        soon: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._gate = gate
        self._looks = looks
        self._reader = reader
        self._in_force = in_force
        self._journal = journal
        self._soon = soon
        self._probes: dict[str, _Probe] = {}
        self._take(in_force.now)
        in_force.changed.add(self._reload)

    def start(self) -> None:
        """From now on they are asked."""
        for probe in self._probes.values():
            self._attend(probe)

    def knocked(self, queues: AbstractSet[str]) -> None:
        """Jobs came to these queues, which were shut."""
        for probe in self._probes.values():
            if not queues.isdisjoint(probe.queues):
                self._attend(probe)

    # -- doors -----------------------------------------------------------------------------------

    def queues(self) -> Iterable[str | None]:
        return [queue for probe in self._probes.values() for queue in probe.queues]

    def look(self, queue: str | None, now: doorkeeper.Moment) -> doorkeeper.Look:
        probe = next(probe for probe in self._probes.values() if queue in probe.queues)
        at, known = time.monotonic(), probe.known
        answer, age = known.answer, int(at - known.at) if known.answer is not None else 0
        if answer is None or not known.holds(at):
            return doorkeeper.Look(Shut(ProbeUnasked(probe.name, self._looks.stuck(key_of(probe.name)))))
        again = None if known.look is Look.ON else known.until - at + _STEP
        if not known.open:
            return doorkeeper.Look(Shut(ProbeSays(probe.name, answer.says, answer.words, age)), again)
        if known.allowance is None:
            return doorkeeper.Look(None, again)
        reason = ProbeUsedUp(probe.name, known.allowance, answer.words, age)
        return doorkeeper.Look(Allowance(self._left(probe), reason, grant=probe.grant), again)

    def _left(self, probe: _Probe) -> int:
        """How many may still start by its last answer: the gate has counted them, as far as it knows of that."""
        doors = (self._gate.doors.get(queue, self.kind) for queue in probe.queues)
        counted = [door.left for door in doors if isinstance(door, Allowance) and door.grant == probe.grant]
        return min(counted, default=probe.known.allowance or 0)

    # -- for people ------------------------------------------------------------------------------

    def shown(self) -> Sequence[Probe]:
        at = time.monotonic()
        return [
            Probe(
                name,
                "unknown" if not probe.known.holds(at) else "open" if probe.known.open else "closed",
                None if probe.known.answer is None else str(probe.known.answer.says),
                "" if probe.known.answer is None else probe.known.answer.words,
                probe.wall,
                probe.known.allowance if probe.known.lets_through(at) else None,
                probe.queues,
            )
            for name, probe in self._probes.items()
        ]

    @property
    def problems(self) -> list[str]:
        """Those that cannot be asked, for people."""
        said = []
        for probe in self._probes.values():
            stuck = self._looks.stuck(key_of(probe.name))
            if stuck or probe.known.look is Look.LATE:
                what = f"cannot be killed: process {stuck}" if stuck else "does not end"
                said.append(f"probe {probe.name} {what}; it is not asked again until it is gone")
        return said

    # -- asking ----------------------------------------------------------------------------------

    def _attend(self, probe: _Probe) -> None:
        """Ask it if it is due and a job waits for it. To attend to it once more is always right."""
        if probe.timer is not None:
            probe.timer.cancel()
            probe.timer = None
        due = probe.known.due(probe.config.rule)
        if due is None or not probe.queues or self._gate.draining:
            return
        if (left := due - time.monotonic()) > 0:
            self._later(probe, left)
        elif probe.checking:
            probe.knocked = True
        elif any(self._gate.ready.takers(QueuePlaces(queue)) for queue in probe.queues):
            self._ask(probe)
        else:
            probe.checking = True
            queues = frozenset(probe.queues)
            self._reader.ask(
                lambda store: not queues.isdisjoint(lane.queue for lane in all_lanes(store)),
                lambda reply: self._checked(probe, reply),
            )

    def _checked(self, probe: _Probe, reply: Reply[bool]) -> None:
        knocked, probe.checking, probe.knocked = probe.knocked, False, False
        if not self._there(probe):
            return
        if reply.error is not None:
            self._later(probe, AGAIN)
        elif reply.get():
            self._ask(probe)
        elif knocked:
            self._attend(probe)
        elif (left := probe.known.until - time.monotonic()) > 0:
            # Until then a job may come and start by what it said; one that is still there then has not knocked.
            self._later(probe, left + _STEP)

    def _ask(self, probe: _Probe) -> None:
        key = key_of(probe.name)
        if self._looks.taken(key):  # something of a look of an earlier daemon, or of another command, is left
            self._later(probe, AGAIN)
            return
        config = probe.config
        spec = Spec(
            command=config.command, name=probe.name, timeout=config.timeout, kill_after=KILL_AFTER, linger=0.0
        )
        probe.known = probe.known.asked(time.monotonic())
        self._looks.begin(probe.name, Run(*key, spec.to_json(), ""), config.timeout, _Asked(self, probe))
        self._soon()

    def heard(self, probe: _Probe, answer: Answer, *, over: bool) -> None:
        """An answer has come. ``over``: its look has ended; else it had to, and has not."""
        if not self._there(probe):
            return
        now, rule, before = time.monotonic(), probe.config.rule, probe.known
        probe.known = (before.answered if over else before.given_up)(answer, now, rule)
        if before.look is not Look.LATE:
            probe.answers += 1
            probe.wall = wall()
            self._tell(probe)
        self._soon()
        self._attend(probe)

    def _there(self, probe: _Probe) -> bool:
        return self._probes.get(probe.name) is probe

    def _later(self, probe: _Probe, seconds: float) -> None:
        probe.timer = self._loop.after(seconds, lambda: self._attend(probe))

    # -- the journal -----------------------------------------------------------------------------

    def _tell(self, probe: _Probe) -> None:
        """Of a change; not too often, and then of what it has come to."""
        answer = probe.known.answer
        if answer is None or not self._there(probe) or probe.telling is not None:
            return
        state = probe.known.open, answer.says
        if probe.told is not None and (probe.told[0] == state[0]) and Says.ERROR not in {probe.told[1], state[1]}:
            return
        if state == probe.told:
            return
        if probe.told is not None and (left := probe.told_at + TOLD - time.monotonic()) > 0:
            probe.telling = self._loop.after(left, lambda: self._tell_late(probe))
            return
        probe.told, probe.told_at = state, time.monotonic()
        what = "failed" if answer.says is Says.ERROR else f"says {answer.says}"
        follows = "open" if probe.known.open else "shut"
        text = f"probe {probe.name} {what}{f': {answer.words}' if answer.words else ''}; {_queues(probe)}: {follows}"
        priority = Priority.WARNING if answer.says is Says.ERROR else Priority.INFO
        self._journal.event(Event.PROBE, text, priority)

    def _tell_late(self, probe: _Probe) -> None:
        probe.telling = None
        self._tell(probe)

    # -- configuration ---------------------------------------------------------------------------

    def _reload(self, config: Config) -> None:
        self._take(config)
        self.start()

    def _take(self, config: Config) -> None:
        before, self._probes = self._probes, {}
        for name, new in config.probes.items():
            queues = [queue.name for queue in config.queues.values() if queue.probe == name]
            old = before.get(name)
            if old is None or (old.config.command, old.config.timeout) != (new.command, new.timeout):
                self._probes[name] = _Probe(name, new, queues)
            else:
                old.config, old.queues = new, queues
                self._probes[name] = old
        for name, old in before.items():
            if not self._there(old):
                for timer in (old.timer, old.telling):
                    if timer is not None:
                        timer.cancel()
                self._looks.end(key_of(name))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Hears of one look."""

    probes: Probes
    probe: _Probe

    def answered(self, answer: Answer) -> None:
        self.probes.heard(self.probe, answer, over=True)

    def late(self, answer: Answer) -> None:
        self.probes.heard(self.probe, answer, over=False)


def _queues(probe: _Probe) -> str:
    if len(probe.queues) == 1:
        return f"queue {probe.queues[0]}"
    return f"queues {', '.join(probe.queues)}" if probe.queues else "no queue"
