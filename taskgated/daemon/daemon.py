"""The daemon: the only place that sees every part. It puts them together, runs the loop, and takes them apart."""

from __future__ import annotations

import atexit
import gc
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from taskgated.control.callers import Callers
from taskgated.control.interface import gate_interface
from taskgated.control.reading import Outputs
from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.daemon import troubles, uses
from taskgated.daemon.byhand import JobsByHand
from taskgated.daemon.cancelling import Cancelling
from taskgated.daemon.checks import Answers, Check, Descriptors, Doors
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.deadlines import Deadlines
from taskgated.daemon.dependants import Dependants
from taskgated.daemon.dispatch import Dispatch
from taskgated.daemon.doorway import Doorway
from taskgated.daemon.hand import Hand
from taskgated.daemon.health import Health
from taskgated.daemon.ids import LastId
from taskgated.daemon.in_force import InForce
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.life import Life
from taskgated.daemon.limits import Limits
from taskgated.daemon.lock import only_one
from taskgated.daemon.members import Members
from taskgated.daemon.news import News
from taskgated.daemon.opening import open_store, with_help
from taskgated.daemon.ordering import Ordering
from taskgated.daemon.outputbound import OutputBound
from taskgated.daemon.overrides import Overrides
from taskgated.daemon.reload import Reload
from taskgated.daemon.requirements import Requirements
from taskgated.daemon.retention import Retention
from taskgated.daemon.roster import Roster
from taskgated.daemon.sink import Sink, ours
from taskgated.daemon.starting import Start
from taskgated.daemon.status import Status, StatusLine, cannot_write
from taskgated.daemon.stocktaking import Stocktaking
from taskgated.daemon.stopping import ENOUGH, Stopping
from taskgated.daemon.supervise import Supervisor
from taskgated.daemon.survey import Survey
from taskgated.daemon.vigil import Vigil
from taskgated.daemon.workforce import Workforce
from taskgated.early import HELD, MEANINGLESS
from taskgated.events import Event
from taskgated.host import directories
from taskgated.host.clock import boot_id
from taskgated.host.helper import Helper
from taskgated.host.identity import check_user
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.host.systemd import Systemd
from taskgated.intake.intake import Intake
from taskgated.language.config import Config
from taskgated.language.configfiles import load
from taskgated.protocol.channel import Channel
from taskgated.protocol.serving import Settings
from taskgated.protocol.varlink import Service
from taskgated.store.client import StoreClient
from taskgated.store.reader import Reader
from taskgated.worker import survivors
from taskgated.worker.cgroup import step_aside
from taskgated.worker.spawn import spawn_server

LITTLE = 1.0
"""Seconds at the end for a thread that a disk in trouble may hold up; others have ``ENOUGH``."""


class Daemon:
    """One gate. Raises ``ConfigError``, ``StoreError`` or ``CannotStart`` when it cannot be put together."""

    def __init__(self, layout: Layout, main: Path | None) -> None:
        check_user(layout)
        config = load(layout, main)
        self._layout = layout
        self._systemd = Systemd()
        self._journal = Journal()
        atexit.register(self._journal.close)  # also of a start that fails all is told
        self._start = Start(self._systemd, self._journal)
        # The lock before anything that another daemon may be using is touched.
        self._start.insist(lambda: directories.make_state(layout))
        self._lock = self._start.insist(lambda: only_one(layout))
        self._start.insist(lambda: directories.make(layout, config.queues))
        self._in_force = InForce(layout, main, config, self._journal)
        self._left = survivors.of(self._settings())  # while no worker is there that is of this daemon
        step_aside()
        self._loop = Loop()
        self._life = Life(self._loop, self._journal)
        self._open_store()
        self._build_gate()
        self._build_intake()
        self._build_watch()
        self._build_control()

    def _open_store(self) -> None:
        loop = self._loop
        self._opened = open_store(self._layout, self._start, self._journal)
        self._store = StoreClient(self._opened.store, loop.wake, self._opened.queued)
        self._reader = Reader(self._opened.view, loop.wake)
        self._steady = self._opened.store.clock.now
        loop.on_wake(self._store.deliver)
        loop.on_wake(self._reader.deliver)
        loop.at_end_of_turn(self._store.flush)
        loop.at_end_of_turn(self._journal.flush)

    def _build_gate(self) -> None:
        """What decides, what carries it out, and the workers."""
        config = self._in_force.now
        self._helper = Helper(self._loop, "helper")
        last_id = LastId(self._layout, self._loop, self._helper, self._opened.last_id)
        self._roster = Roster(self._loop)
        self._ledger = Ledger(self._store, self._journal, self._opened.memory)
        self._deadlines = Deadlines(self._loop, self._roster, self._opened.store.clock)
        self._members = Members(self._loop, self._helper, self._opened.names, lambda: self._in_force.now)
        self._overrides = Overrides(self._store, self._journal, self._opened.overrides)
        self._limits = Limits(self._overrides, self._members, config)
        self._gate = Gate(
            self._limits.policy(config),
            self._opened.lanes,
            random.random,
            self._deadlines.left,
            self._opened.store.uptime.now,
        )
        uses.revive(self._gate.fair, self._ledger)
        self._conductor = Conductor(
            self._layout,
            self._loop,
            self._gate,
            self._store,
            self._roster,
            self._ledger,
            self._journal,
            self._steady,
            last_id.given,
        )
        self._cancelling = Cancelling(self._store, self._gate, self._conductor)
        self._dependants = Dependants(self._store, self._gate, self._conductor, self._journal)
        self._conductor.broken.add(lambda why: self._life.give_up(with_help(self._layout, why)))
        self._supervisor = Supervisor(self._loop, self._spawn)
        self._supervisor.unavailable.add(self._life.no_workers)
        self._workforce = Workforce(
            self._loop, self._gate, self._conductor, self._roster, self._supervisor, self._journal, config.workers
        )
        self._conductor.handed.add(self._deadlines.keep)
        self._workforce.met_again.add(self._deadlines.keep)
        self._dispatch = Dispatch(self._loop, self._layout.worker_socket, self._roster, self._workforce)
        self._doorway = Doorway(
            self._loop,
            self._gate,
            self._conductor,
            self._opened.store.uptime.now,
            self._in_force,
            self._ledger,
            self._overrides,
            self._supervisor,
            self._reader,
            self._journal,
        )
        self._requirements = Requirements(
            self._loop, self._gate, self._store, self._conductor, self._doorway.looks, self._steady
        )
        self._stocktaking = Stocktaking(
            self._loop, self._gate, self._store, self._conductor, self._requirements, self._cancelling, self._journal
        )
        self._in_force.changed.add(lambda new: self._workforce.want(new.workers))
        self._in_force.changed.add(lambda new: self._decide_by(self._limits.policy(new)))
        self._limits.changed.add(self._decide_by)
        self._ordering = Ordering(self._store, self._conductor, self._journal)
        self._in_force.changed.add(lambda new: self._ordering.keep(new.ageing))

    def _decide_by(self, policy: Policy) -> None:
        self._conductor.do(self._gate.reload(policy))
        self._conductor.waiters.policy(policy)

    def _build_intake(self) -> None:
        """What takes files in, and what forgets jobs."""
        self._news = News(self._loop, self._journal)
        sink = Sink(self._in_force, self._store, self._reader, self._conductor, self._news)
        most = self._limits.most
        self._intake = Intake(self._layout, most(self._in_force.now), sink, self._news.tell, self._opened.names)
        self._conductor.let_go.add(lambda claims, failed: self._intake.let_go(ours(claims), failed))

        def look_for_room() -> None:
            if self._news.paused and sink.room():
                self._intake.poke()

        def reload(config: Config) -> None:
            look_for_room()
            self._intake.reload(most(config))

        self._limits.changed.add(lambda _: self._intake.reload(most(self._in_force.now)))
        self._conductor.progressed.add(look_for_room)
        self._news.heard.add(look_for_room)
        self._in_force.changed.add(reload)
        self._retention = Retention(
            self._layout, self._loop, self._store, self._journal, self._helper, lambda: self._in_force.now.retention
        )
        self._bound = OutputBound(
            self._layout,
            self._loop,
            self._store,
            self._journal,
            self._helper,
            most=lambda: self._in_force.now.retention.output,
            running=self._roster.jobs,
        )
        self._retention.at_rest.add(self._bound.look)

    def _build_watch(self) -> None:
        """What looks after all the others."""
        life, store, reader = self._life, self._store, self._reader
        self._outputs = Outputs(self._loop)
        self._vigil = Vigil(self._gate, self._roster, self._workforce, self._journal, self._deadlines.left)
        answers = Answers(
            self._journal,
            [
                ("the store does not answer", store.responsive),
                ("the reader of the store does not answer", reader.responsive),
                ("intake does not answer", lambda: life.stopping or self._intake.responsive()),
                ("the worker server does not answer", self._supervisor.responsive),
            ],
        )
        descriptors = Descriptors(self._journal)
        self._doors = Doors(self._journal)
        self._doors.add(self._dispatch.door)
        checks: list[Check] = [descriptors, self._doors, self._vigil]
        self._status = Status(
            life,
            self._start,
            self._in_force,
            self._gate,
            store,
            self._news,
            self._members,
            hindrances=[
                lambda: answers.problems,
                lambda: _said(cannot_write(store)),
                lambda: _said(troubles.damage(store, reader) or reader.trouble),
                lambda: self._news.blind,
                lambda: self._news.wrong_owners,
                lambda: _said(self._supervisor.trouble),
                lambda: self._workforce.problems,
                lambda: self._vigil.problems,
                lambda: self._doors.problems,
                lambda: self._doorway.probes.problems,
                lambda: self._requirements.problems,
                lambda: _said(self._outputs.trouble),  # the workers write there, too; what the daemon does goes on
                lambda: descriptors.problems,
                lambda: _said(self._in_force.problem),
            ],
            missing=lambda: troubles.missing(self._intake, self._supervisor, self._news),
            lessened=lambda: self._doorway.machine.degraded,
        )
        line = StatusLine(self._loop, self._systemd, reader, self._in_force, self._status)
        self._conductor.progressed.add(line.soon)
        self._health = Health(
            self._layout,
            self._loop,
            self._systemd,
            self._journal,
            life,
            self._start,
            self._in_force,
            self._status,
            line,
            alive=[
                ("the thread that reads the store has ended", lambda: reader.alive),
                ("the thread that takes files in has ended", lambda: life.stopping or self._intake.is_alive()),
                (
                    "a thread that reads or removes outputs has ended",
                    lambda: self._outputs.alive and self._helper.alive,
                ),
            ],
            answers=answers,
            checks=checks,
            spells=troubles.spells(store, reader, self._supervisor, self._outputs, self._journal, life, line),
            complete=lambda: self._intake.watching and self._supervisor.count > 0,
        )
        self._stopping = Stopping(
            self._loop,
            self._systemd,
            self._journal,
            life,
            self._in_force,
            self._status,
            gate=self._gate,
            conductor=self._conductor,
            roster=self._roster,
            workforce=self._workforce,
            vigil=self._vigil,
            intake=self._intake,
            store=store,
        )

    def _build_control(self) -> None:
        """What operators ask."""
        self._reload = Reload(
            self._in_force, self._members, self._life, self._start, self._status, self._systemd, self._journal
        )
        interface = gate_interface(
            self._layout,
            self._reader,
            Callers(self._opened.names, self._helper),
            self._outputs,
            Survey(
                self._gate,
                self._roster,
                self._doorway.keeper,
                self._doorway.adaptives,
                self._doorway.probes.shown,
                self._requirements.reason,
                self._steady,
                self._vigil.unkillable,
            ),
            self._status,
            self._conductor.over,
            self._conductor.cancel,
            self._cancelling.cancel,
            Hand(self._overrides, self._doorway.pauses, self._limits, self._ledger),
            JobsByHand(self._layout, self._store, self._gate, self._conductor, self._journal, self._helper),
            lambda: self._in_force.now,
            self._reload.reload,
        )
        self._control = Service(self._loop, self._layout.control_socket, 0o660, [interface])
        self._doors.add(self._control.door)

    # -- life ------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        self._loop.handle_signals((signal.SIGTERM, signal.SIGINT), self._stopping.by_signal)
        self._loop.handle_signals((signal.SIGHUP,), self._reload.by_signal)
        self._loop.handle_signals(MEANINGLESS, lambda number: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)  # what came since we were started is dealt with now
        # A writer that meets our lease makes the kernel signal us, and by default that kills (fcntl(2)).
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        # The loop must not wait long for its turn while another thread computes (the default is 5 ms).
        sys.setswitchinterval(0.0001)
        self._doorway.probes.start()
        self._doorway.keeper.look()  # before any worker is there to start something
        self._store.start()
        self._reader.start()
        self._outputs.start()
        self._supervisor.start(self._in_force.now.workers)
        self._doorway.looks.recover(self._left)
        self._workforce.recover(self._opened.before, boot_id(), [one for one in self._left if not one.looks])
        self._doorway.keeper.soon()  # what runs from before may have to end
        self._stocktaking.begin()
        self._ordering.keep(self._in_force.now.ageing)
        self._intake.start()
        self._helper.start()
        self._doorway.machine.start()
        self._retention.start()
        self._health.start()
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not look at it again and again
        try:
            self._loop.run()
        finally:
            self._close()
        return self._life.status

    def _close(self) -> None:
        """In the order in which parts need each other; each says what it has to say before it goes."""
        self._health.stop()
        self._intake.stop()
        self._intake.join(0.1 if self._life.given_up else ENOUGH)  # it may wait for a store that is no more
        self._helper.stop(LITTLE)
        self._doorway.machine.stop(LITTLE)
        self._control.close()
        self._outputs.stop(LITTLE)
        self._dispatch.close()
        self._supervisor.close()
        self._store.stop(LITTLE if self._store.trouble else ENOUGH)
        self._reader.stop(ENOUGH)
        self._journal.event(Event.STOPPED, "taskgated has stopped")
        self._loop.close()
        os.close(self._lock)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Channel]:
        return spawn_server(self._settings())

    def _settings(self) -> Settings:
        return Settings.of(self._layout, self._in_force.now.umask)


def _said(problem: str) -> list[str]:
    return [problem] if problem else []
