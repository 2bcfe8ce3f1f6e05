"""A gate in one thread, with its own time: the daemon's parts as they are, from the store to what answers ``why``.

The loop, the clocks and the other threads are played: nothing happens but when a test says so, in the order that it
says. Workers and looks are what a test makes of them. A ``crash`` takes the daemon away between any two steps, with
all that was under way in it; the database and the workers stay.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from taskgated.control.waiting import Waiting, standing
from taskgated.core.gate import Gate
from taskgated.core.job import Claim, Job, Outcome, Result, Spec
from taskgated.core.reasons import Reason
from taskgated.core.state import State
from taskgated.daemon import machine, uses
from taskgated.daemon.byhand import JobsByHand
from taskgated.daemon.cancelling import Cancelling
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.dependants import Dependants
from taskgated.daemon.doorway import Doorway
from taskgated.daemon.in_force import InForce
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.limits import Limits
from taskgated.daemon.members import Members
from taskgated.daemon.overrides import Overrides
from taskgated.daemon.requirements import Requirements
from taskgated.daemon.roster import Roster
from taskgated.daemon.stocktaking import Stocktaking
from taskgated.daemon.survey import Survey
from taskgated.errors import Impossible
from taskgated.host import clock
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop
from taskgated.host.names import Names
from taskgated.host.paths import Layout
from taskgated.host.pressure import Reading
from taskgated.language.config import Config
from taskgated.language.configfiles import load
from taskgated.protocol.looking import Look, Seen
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition, Details, Filter
from taskgated.store.placement import here
from taskgated.store.reader import Reader
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.thread import _Group
from taskgated.store.turns import all_lanes

SECOND = 1_000_000
BEGAN = 1_790_000_000 * SECOND
"""The wall clock at the start; an hour of it begins 2,800 s later."""


class PlayedLoop(Loop):
    """Its timers run when they are due by the played time; there is nothing to poll."""

    def wake(self) -> None:
        pass

    def turn(self) -> None:
        while self._posted:
            self._posted.popleft()()
        self._run_timers()
        for call in self._at_end:
            call()

    def woken(self) -> None:
        """A thread has done something."""
        for call in self._on_wake:
            call()

    @property
    def next(self) -> float | None:
        """When a timer is due."""
        return min((timer.at for _, _, timer in self._timers if timer.call is not None), default=None)


class PlayedHelper:
    def __init__(self, loop: Loop, name: str) -> None:
        self._loop = loop

    def start(self) -> None:
        pass

    def stop(self, timeout: float) -> None:
        pass

    def do(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._loop.post(lambda: done(work()))


class PlayedSupervisor:
    """It is asked for looks, which wait to be answered."""

    def __init__(self) -> None:
        self.sighted = Listeners[Any]()
        self.prober_buried = Listeners[Any, int]()
        self.prober_held_up = Listeners[Any, Any]()
        self.server_died = Listeners[int]()
        self.looks: list[Look] = []

    def look(self, message: object) -> bool:
        if isinstance(message, Look):
            self.looks.append(message)
        return True


@dataclass
class PlayedWorker:
    """``has``: the attempt that it runs; ``outcome``: how the last one ended, until it hears that this is known."""

    name: str
    has: tuple[int, int] | None = None
    outcome: Outcome | None = None


@dataclass
class World:
    """What outlasts the daemon. ``now``: microseconds since boot; ``load``: the machine's; ``started``: each start
    that the store has, with the moment."""

    directory: Path
    now: int = 1000 * SECOND
    load: float = 0.0
    workers: dict[str, PlayedWorker] = field(default_factory=dict)
    started: list[tuple[int, Job]] = field(default_factory=list)

    @property
    def wall(self) -> int:
        return BEGAN + self.now


class AuditedStore(SqliteStore):
    """``starts`` hears of each job that is about to start, before it has."""

    starts: Callable[[Job], None]

    def start(self, job: int, *args: Any, **more: Any) -> int:
        at = super().start(job, *args, **more)
        self.starts(self.show(job, limit=0).job)
        return at


@lru_cache(100)
def configured(text: str) -> Config:
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout.under(Path(directory))
        main = Path(directory) / "taskgated.yaml"
        main.write_text(text)
        return load(layout, main)


class Simulation:
    """``starts`` as of ``AuditedStore``."""

    def __init__(self, config: str, starts: Callable[[Job], None] = lambda job: None) -> None:
        self._stack = ExitStack()
        directory = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.world = World(Path(directory))
        self.config = configured(config)
        self._starts = starts
        self.claims = 0
        self._play_time()
        self._begin()

    def close(self) -> None:
        self._end()
        self._stack.close()

    def _play_time(self) -> None:
        enter, world = self._stack.enter_context, self.world
        enter(mock.patch.object(clock, "boottime", lambda: world.now))
        played = SimpleNamespace(
            monotonic=lambda: world.now / SECOND, monotonic_ns=lambda: world.now * 1000, thread_time=lambda: 0.0
        )
        real = clock.wall
        for name, module in list(sys.modules.items()):
            if not name.startswith("taskgated."):
                continue
            if getattr(module, "wall", None) is real:
                enter(mock.patch.object(module, "wall", lambda: world.wall))
            if name.startswith(("taskgated.daemon.", "taskgated.host.loop")) and hasattr(module, "time"):
                enter(mock.patch.object(module, "time", played))
        enter(mock.patch.object(machine, "Helper", PlayedHelper))
        enter(mock.patch.object(machine, "read", lambda wanted, group: Reading(dict.fromkeys(wanted, world.load))))

    # -- a daemon begins and ends, as in daemon/daemon.py --------------------------------------------

    def _begin(self) -> None:
        world, config = self.world, self.config
        layout = Layout.under(world.directory)
        layout.state.mkdir(exist_ok=True)
        journal: Any = SimpleNamespace(event=lambda *args, **more: None, flush=lambda: None)
        self.loop = loop = PlayedLoop()
        self.store = store = AuditedStore(layout.database)
        store.starts = self._began
        self.view = SqliteQuestions(layout.database)
        self.client = client = StoreClient(store, loop.wake, store.queued())
        self.reader = reader = Reader(self.view, loop.wake)
        loop.at_end_of_turn(client.flush)
        self.in_force = in_force = InForce(layout, None, config, journal)
        helper: Any = PlayedHelper(loop, "helper")
        self.roster = roster = Roster(loop)
        self.ledger = ledger = Ledger(client, journal, store.memory())
        overrides = Overrides(client, journal, store.overrides())
        self.limits = Limits(overrides, Members(loop, helper, Names(), lambda: in_force.now), config)
        self.gate = gate = Gate(self.limits.policy(config), all_lanes(store), lambda: 0.5, uptime=store.uptime.now)
        uses.revive(gate.fair, ledger)
        self.conductor = conductor = Conductor(
            layout, loop, gate, client, roster, ledger, journal, store.clock.now, lambda last: None
        )
        cancelling = Cancelling(client, gate, conductor)
        Dependants(client, gate, conductor, journal)
        self.supervisor: Any = PlayedSupervisor()
        self.doorway = doorway = Doorway(
            loop, gate, conductor, store.uptime.now, in_force, ledger, overrides, self.supervisor, reader, journal
        )
        self.requirements = Requirements(loop, gate, client, conductor, doorway.looks, store.clock.now)
        stocktaking = Stocktaking(loop, gate, client, conductor, self.requirements, cancelling, journal)
        self.limits.changed.add(self._decide_by)
        self.by_hand = JobsByHand(layout, client, gate, conductor, journal, helper)
        survey = Survey(
            gate, roster, doorway.keeper, doorway.adaptives, doorway.probes.shown, self.requirements.reason,
            store.clock.now, lambda job: "",
        )  # fmt: skip
        self.waiting = Waiting(survey, cast(Any, SimpleNamespace(store_trouble="")))
        doorway.probes.start()
        doorway.keeper.look()
        self._recover()
        doorway.keeper.soon()
        stocktaking.begin()
        doorway.machine.start()
        conductor.wake_at(0)
        self.turn()

    def _decide_by(self, policy: Any) -> None:
        self.conductor.do(self.gate.reload(policy))
        self.conductor.waiters.policy(policy)

    def _recover(self) -> None:
        """Workers run on; of an attempt that none has nobody can say how it ended."""
        lost = []
        for before in self.store.before():
            job = before.job
            worker = self.world.workers.get(before.placement.worker)
            ended = None if worker is None or worker.outcome is None else (worker.outcome.job, worker.outcome.attempt)
            ours = worker is not None and (job.id, job.attempt) in (worker.has, ended)
            self.gate.attempts.adopt(
                job, before.placement.worker if ours else f"lost {job.id}", cancelled=before.cancelled
            )
            if not ours:
                lost.append(Outcome(job.id, job.attempt, Result.LOST))
        for worker in self.world.workers.values():
            self._connect(worker)
        for outcome in lost:
            self.conductor.do(self.gate.ended(outcome, None))
        for worker in self.world.workers.values():
            if worker.outcome is not None:
                self.conductor.do(self.gate.ended(worker.outcome, worker.name))
            if worker.has is None:
                self.conductor.do(self.gate.worker_idle(worker.name))

    def _end(self) -> None:
        self.store.rollback()
        self.store.close()
        self.view.close()
        self.loop.close()

    def crash(self) -> None:
        """The daemon is killed, and another one begins."""
        self._end()
        self._begin()

    def reload(self, config: str) -> None:
        self.config = new = configured(config)
        self.in_force.put(new)
        self._decide_by(self.limits.policy(new))
        self.turn()

    # -- workers -----------------------------------------------------------------------------------

    def _began(self, job: Job) -> None:
        self.world.started.append((self.world.now, job))
        self._starts(job)

    def _connect(self, worker: PlayedWorker) -> None:
        def queue(message: dict[str, Any]) -> None:
            ((what, body),) = message.items()
            if what == "run":
                assert worker.has is None, "two jobs on one worker"
                worker.has = (body["job"], body["attempt"])
            elif what == "ack":
                worker.outcome = None

        connection = SimpleNamespace(queue=queue, flush=lambda: None, closed=False, unread=False, close=lambda: None)
        identity = SimpleNamespace(key=worker.name, process=SimpleNamespace(pid=1))
        known: Any = SimpleNamespace(
            connection=connection, identity=identity, placement=here(worker.name), running=worker.has, retiring=False,
            answers=False, features=(), owes=False, untaken=False, unheard=set(), acks=[], key=worker.name,
        )  # fmt: skip
        self.roster.workers[worker.name] = known

    def worker(self, name: str) -> None:
        worker = self.world.workers[name] = PlayedWorker(name)
        self._connect(worker)
        self.conductor.do(self.gate.worker_idle(name))
        self.turn()

    def die(self, name: str) -> None:
        worker = self.world.workers.pop(name)
        self.roster.remove(self.roster.workers[name])
        job = self.gate.worker_died(name)
        if job is not None:
            result = Result.LOST if worker.outcome is None else worker.outcome.result
            self.conductor.do(self.gate.ended(Outcome(job.id, job.attempt, result), None, crashed=True))
        self.turn()

    def finish(self, name: str, result: Result, exit_code: int | None = None) -> None:
        worker = self.world.workers[name]
        assert worker.has is not None
        worker.outcome, worker.has = Outcome(*worker.has, result, exit_code), None
        self.roster.workers[name].running = None
        self.conductor.do(self.gate.ended(worker.outcome, name))
        self.conductor.do(self.gate.worker_idle(name))
        self.turn()

    @property
    def busy(self) -> list[str]:
        return [worker.name for worker in self.world.workers.values() if worker.has is not None]

    @property
    def idle(self) -> int:
        """Workers that have nothing, by what they know themselves."""
        return len(self.world.workers) - len(self.busy)

    # -- steps ---------------------------------------------------------------------------------------

    def add(self, specs: list[Spec], owner: str) -> None:
        self.claims += 1
        addition = Addition(Claim("here", f"{self.claims:04}"), 0, specs, "x.yaml", owner, int(owner))

        def done(answer: Any) -> None:
            self.conductor.added(answer.get())

        self.client.submit(lambda store: store.add([addition]), done)
        self.turn()

    def turn(self) -> None:
        self.loop.turn()

    def step(self) -> bool:
        """One thing happens that has to: an answer is heard, or the store or its reader does the next. False: nothing
        had to."""
        self.turn()
        if self.client._answered:
            self.client._answered.popleft()()
        elif self.reader._answered:
            self.reader._answered.popleft()()
        elif not self.client._thread.idle:
            thread = self.client._thread
            requests = thread._requests.get()
            assert requests is not None
            thread._number += 1
            thread._do(group := _Group(requests, thread._number))
            for request in group.requests:
                self._possible(request)
            self.loop.woken()
        elif self.reader._lanes:
            question = self.reader._next()
            assert question is not None
            self.reader._answer(question)
            self._possible(question)
            self.reader._answered.append(question.tell)
        elif self.loop._posted or ((next_ := self.loop.next) is not None and next_ <= self.world.now / SECOND):
            pass
        else:
            return False
        self.turn()
        self.gate.sanity_check()
        return True

    def _possible(self, question: Any) -> None:
        """No disk fails here, so what cannot be done is a mistake of ours, even if the daemon could live with it."""
        if isinstance(error := question._answer.error, Impossible):
            raise error

    def settle(self) -> None:
        for _ in range(5000):
            if not self.step():
                return
        raise AssertionError("it never comes to rest")

    def sleep(self, seconds: float) -> None:
        """Time passes, and what is due in it happens in its order."""
        end = self.world.now + int(seconds * SECOND)
        for _ in range(2000):
            self.settle()
            next_ = self.loop.next
            if next_ is None or next_ * SECOND > end:
                break
            self.world.now = max(self.world.now, int(next_ * SECOND) + 1)
            self.turn()
        self.world.now = max(self.world.now, end)
        self.turn()

    def answer(self, look: Look, exit_code: int, line: str = "") -> None:
        """A look ends so."""
        self.supervisor.looks.remove(look)
        self.supervisor.sighted.tell(Seen(look.id, exit_code, line, "so it is"))
        self.turn()

    # -- what there is ---------------------------------------------------------------------------------

    def jobs(self) -> Iterator[Details]:
        for record in self.view.list(0, 10_000, Filter()).records:
            yield self.view.show(record.id, limit=0)

    def why(self, job: int) -> list[Reason]:
        return self.waiting.reasons(standing(self.view, job, limit=0))

    def waiting_jobs(self) -> Iterator[Job]:
        """Those that are not over, and do not run."""
        return (one.job for one in self.jobs() if one.record.state in (State.QUEUED, State.HELD))
