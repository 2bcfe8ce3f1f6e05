"""The daemon: the only place that sees every part. It puts them together, and sees to start, reload and stop."""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from taskgated import __version__, directories, ids
from taskgated.clock import boot_id
from taskgated.config import Config, load
from taskgated.control.gate import INTERFACE, GateInterface, description
from taskgated.control.outputs import Outputs
from taskgated.control.varlink import Service
from taskgated.core.gate import Gate, Policy
from taskgated.dispatch import Dispatch
from taskgated.door import Door
from taskgated.early import HELD, MEANINGLESS
from taskgated.engine import Engine
from taskgated.errors import CannotStart, ConfigError, DiskTrouble, Problem
from taskgated.health import Health
from taskgated.helper import Helper
from taskgated.identity import check_user
from taskgated.ids import LastId
from taskgated.intake.intake import Intake
from taskgated.journal import Event, Journal, Priority
from taskgated.loop import Loop, Timer
from taskgated.notify import Systemd
from taskgated.paths import Layout
from taskgated.retention import Retention
from taskgated.sink import Sink
from taskgated.starting import Start
from taskgated.store.database import HELP, in_words
from taskgated.store.reader import Reader
from taskgated.store.sqlite import SqliteStore
from taskgated.store.thread import StoreThread
from taskgated.supervise import Supervisor
from taskgated.wire import Channel
from taskgated.worker import survivors
from taskgated.worker.cgroup import step_aside
from taskgated.worker.spawn import Settings, spawn_server
from taskgated.workforce import Workforce

EX_OK = os.EX_OK
EX_UNAVAILABLE = os.EX_UNAVAILABLE  # 69: no worker can be started
EX_IOERR = os.EX_IOERR  # 74: the database cannot be used
EX_TEMPFAIL = os.EX_TEMPFAIL  # 75: another daemon has this gate, or a directory cannot be made
EX_NOPERM = os.EX_NOPERM  # 77: the gate, or one of its directories, is another user's
EX_CONFIG = os.EX_CONFIG  # 78: the configuration is not usable; a restart would not help

STEP = 5.0
"""Seconds between the requests for more time while the daemon drains."""
PATIENCE = 2
"""Looks, ``STEP`` seconds apart, at a disk that takes nothing, before the daemon stops all the same."""
ENOUGH = 10.0
"""Seconds to write what is known when everything else has ended."""
LITTLE = 1.0
"""The same, for whom a disk in trouble may hold up."""


class Daemon:
    """One gate. Raises ``ConfigError``, ``StoreError`` or ``CannotStart`` when it cannot be put together."""

    def __init__(self, layout: Layout, main: Path | None) -> None:
        check_user(layout)
        self._layout = layout
        self._main = main
        self.config = load(layout, main)
        self._systemd = Systemd()
        self._journal = Journal()
        atexit.register(self._journal.close)  # also of a start that fails all is told
        self.begun = Start(self._systemd, self._journal)
        # The lock before anything that another daemon may be using is touched.
        self.begun.insist(lambda: directories.make_state(layout))
        self._lock = self.begun.insist(lambda: _only_one(layout))
        self.begun.insist(lambda: directories.make(layout, self.config.queues))
        self._left = survivors.of(self._settings())  # while nobody is there that is of this daemon
        step_aside()
        self._loop = Loop()
        store = self.begun.insist(self._open)
        self._store = StoreThread(store, self._loop.wake)
        reader = self.begun.insist(lambda: SqliteStore(layout.database, read_only=True))
        self._reader = Reader(reader, self._loop.wake)
        self._steady = store.clock.now
        self._loop.on_wake(self._store.deliver)
        self._loop.on_wake(self._reader.deliver)
        self._loop.at_end_of_turn(self._store.flush)
        self._loop.at_end_of_turn(self._journal.flush)

        with in_words(layout.database):
            queues = [*self.config.queues, *store.queues()]
            self._store.queued = store.queued()
            self._before = store.before()
        self.gate = Gate(_policy(self.config), queues, random.random)
        self.engine = Engine(layout, self._loop, self.gate, self._store, self._journal, self._steady)
        self.engine.broken = self.broken
        self.workforce = Workforce(self._loop, self.engine, self._journal, self.config.workers)
        self._dispatch = Dispatch(self._loop, layout.worker_socket, self.workforce)
        self._supervisor = Supervisor(self._loop, self._spawn, self.workforce)
        self.engine.dispatch = self.workforce.dispatch = self._dispatch
        self.workforce.supervisor = self._supervisor
        self._sink = Sink(self.config, self._store, self.engine, self._loop, self._journal)
        self._intake = Intake(layout, self.config, self._sink, self._sink.tell)
        self._sink.intake = self._intake
        self._sink.damage = lambda: self._store.damage or self._reader.damage
        self.engine.release = self._intake.release
        self.helper = Helper(self._loop, "helper")
        self.engine.given = LastId(layout, self.helper, store.last_id()).given
        self._retention = Retention(layout, self._loop, self._store, self._journal, self.helper, self.config)
        self._outputs = Outputs(self._loop)
        self._health = Health(self)
        interface = GateInterface(
            layout, self.engine, self._reader, self._health, self._steady, self._load_again, self._outputs
        )
        self._control = Service(
            self._loop, layout.control_socket, 0o660, {INTERFACE: description()}, interface.methods()
        )
        self._stops = self._futile = 0  # signals; looks in a row that found only the disk in the way
        self._failed = self.serving = False
        self._drained: Timer | None = None

    def _open(self) -> SqliteStore:
        """The store; one that was put back from a copy, or is new, gives no id of a job that there was before."""
        store = SqliteStore(self._layout.database, at_work=self.begun.goes_on)
        with in_words(self._layout.database):
            last = store.last_id()
        known = ids.known(self._layout)
        if last < known:
            store.skip_ids(known + ids.MARGIN)
            text = (
                f"the database knows jobs up to {last}, but there were some up to {known}: it was put back from a "
                f"copy, or is new. New jobs get ids above {known + ids.MARGIN}, that none is taken for an older one"
            )
            self._journal.event(Event.STORE_BEHIND, text, Priority.WARNING)
        return store

    # -- life ------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        self._loop.handle_signals((signal.SIGTERM, signal.SIGINT), self._stop)
        self._loop.handle_signals((signal.SIGHUP,), self._reload)
        self._loop.handle_signals(MEANINGLESS, lambda number: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)  # what came since we were started is dealt with now
        # A writer that meets our lease makes the kernel signal us, and by default that kills (fcntl(2)).
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        # The loop must not wait long for its turn while another thread computes (the default is 5 ms).
        sys.setswitchinterval(0.0001)
        self._store.start()
        self._reader.start()
        self._outputs.start()
        self._supervisor.start(self.config.workers)
        self.workforce.recover(self._before, boot_id(), self._left)
        self._intake.start()
        self.helper.start()
        self._retention.start()
        self.engine.wake_at(0)
        self._health.start()
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not look at it again and again
        try:
            self._loop.run()
        finally:
            self._close()
        if self.workforce.unavailable:
            return EX_UNAVAILABLE
        return EX_IOERR if self._failed else EX_OK

    def give_up(self, why: str) -> None:
        """Nothing can be relied on any more: end at once; running jobs go on, for the next daemon to find."""
        if self._failed:
            return
        self._failed = True
        self._journal.event(Event.INTERNAL_ERROR, f"giving up: {why}", Priority.CRITICAL)
        self._loop.stop()

    def broken(self, why: str) -> None:
        """The store is of no use for the work itself. Who goes on could accept what is lost later."""
        hint = "" if HELP in why else f" (database {self._layout.database}; {HELP})"
        self.give_up(f"{why}{hint}")

    def now_ready(self) -> None:
        """Recovery is done, workers are up and the spool is watched."""
        self.serving = True
        self.begun.over(self._health.text())
        text = f"taskgated {__version__} is ready: {self.config.workers} workers, spool {self._layout.spool}"
        self._journal.event(Event.STARTED, text)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Channel]:
        return spawn_server(self._settings())

    def _settings(self) -> Settings:
        return Settings.of(self._layout, self.config.umask)

    # -- reload ----------------------------------------------------------------------------------

    def _reload(self, number: int) -> None:
        try:
            self._load_again()
        except ConfigError:
            pass  # said already; nobody waits for an answer to a signal

    def _load_again(self) -> list[str]:
        """Put the configuration on disk in force, or raise ``ConfigError`` and change nothing. Returns what whoever
        changed it may not have meant."""
        if self.begun.announced:  # before that the manager waits for READY=1, and would take ours for it
            self._systemd.reloading()
        try:
            config = load(self._layout, self._main)
            directories.make_in_spool(self._layout, config.queues)
            notes = [*config.lifted(self.config), *config.notes()]
            try:
                self._put_in_force(config)
            except Exception as error:  # what is half in force is none; whoever asked for it is told as well
                self.give_up(f"the new configuration could not be put in force: {error!r}")
                raise
            self._journal.event(Event.RELOADED, "; ".join(["configuration reloaded", *notes]), Priority.NOTICE)
            return notes
        except (ConfigError, CannotStart, DiskTrouble) as error:
            text = "the new configuration is not usable, the old one stays in force:"
            lines = str(error).split("\n")
            self._journal.event(Event.BAD_CONFIGURATION, text, Priority.ERROR, more=lines)
            self._health.bad_configuration = "the configuration on disk is not usable"
            if not isinstance(error, ConfigError):
                raise ConfigError([Problem(str(self._layout.spool), 0, 0, line) for line in lines]) from None
            raise
        finally:
            if self.begun.announced:
                self._systemd.ready(self._health.text())

    def _put_in_force(self, config: Config) -> None:
        self._health.bad_configuration = ""
        self.config = config
        self.workforce.wanted = config.workers
        self._supervisor.want(config.workers)
        self.workforce.dismiss_idle()
        self.engine.do(self.gate.reload(_policy(config), config.queues))
        self._sink.reload(config)
        self._intake.reload(config)
        self._retention.reload(config)

    # -- stop ------------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        return self._stops > 0

    def _stop(self, number: int) -> None:
        """The first signal waits for what runs, the second ends it politely, the third at once."""
        self._stops += 1
        if self._stops == 1:
            self._systemd.stopping("stopping: taking nothing in")
            self.gate.drain()
            self._intake.stop()
            if self._systemd.restarting() or self.config.on_stop == "leave":
                self._leave_jobs()
            else:
                if self.config.on_stop == "requeue":
                    self._drained = self._loop.after(self.config.stop_timeout, self._end_jobs)
                self.engine.progressed.append(self._leave_if_settled)
                self._drain()
        elif self._stops == 2:
            self._end_jobs()
        else:
            self.engine.do(self.gate.stop_all(0))
            self._leave_if_futile()
            self._loop.after(ENOUGH, self._leave_anyway)

    def _leave_jobs(self) -> None:
        """Go as soon as nothing is half done; what runs goes on, and is the next daemon's to count and to hear of."""
        if self.gate.running:
            text = f"stopping: {self.gate.running} jobs run on without the daemon"
            self._journal.event(Event.STOPPED, text, Priority.NOTICE)

        def leave() -> None:
            if self.engine.quiet:
                self._loop.stop()

        self.engine.progressed.append(leave)
        self._loop.after(ENOUGH, self._loop.stop)  # a disk that takes longer is the next daemon's problem
        leave()

    def _end_jobs(self) -> None:
        if self._drained is not None:
            self._drained.cancel()
        if self.gate.running:
            text = f"stopping: ending {self.gate.running} jobs, they will be put back"
            self._journal.event(Event.STOPPED, text, Priority.NOTICE)
        self.workforce.ending = True
        self.engine.do(self.gate.stop_all())

    def _drain(self) -> None:
        """Look again and again, asking the manager for time, until nothing runs. What the disk does not take by then
        is kept by those who reported it, for the next daemon: who waited for room could not be stopped."""
        self._leave_if_settled()
        self._leave_if_futile()
        self._systemd.extend(STEP * 2)
        self._systemd.status(self._health.text())
        self._loop.after(STEP, self._drain)

    def _leave_if_settled(self) -> None:
        if self.engine.settled:
            self._loop.stop()

    def _leave_if_futile(self) -> None:
        beyond = self.workforce.held_up + self._health.vigil.unending
        if self.gate.running > beyond or not (self.gate.running or self._store.trouble):
            self._futile = 0
            return
        self._futile += 1
        if self._futile > PATIENCE or self._stops > 2:
            self._leave_anyway()

    def _leave_anyway(self) -> None:
        why = f"the store cannot write: {self._store.trouble}" if self._store.trouble else ""
        if self.gate.running:
            why = f"{self.gate.running} jobs cannot be ended; the next daemon counts what is left of them"
        text = f"stopping all the same: {why or 'it has taken long enough'}"
        self._journal.event(Event.STOPPED, text, Priority.WARNING)
        self._loop.stop()

    def _close(self) -> None:
        """In the order in which parts need each other; each says what it has to say before it goes."""
        self._health.stop()
        self._intake.stop()
        self._intake.join(0.1 if self._failed else ENOUGH)  # it may wait for a store that is no more
        self.helper.stop(LITTLE)
        self._control.close()
        self._outputs.stop(LITTLE)
        self._dispatch.close()
        self._supervisor.close()
        self._store.stop(LITTLE if self._store.trouble else ENOUGH)
        self._reader.stop(ENOUGH)
        self._journal.event(Event.STOPPED, "taskgated has stopped")
        self._loop.close()
        os.close(self._lock)

    # -- for the health check --------------------------------------------------------------------

    @property
    def doors(self) -> tuple[Door, Door]:
        return self._control.door, self._dispatch.door

    @property
    def parts(self) -> tuple[Loop, StoreThread, Reader, Intake, Supervisor, Systemd, Journal, Sink, Outputs]:
        return (
            self._loop,
            self._store,
            self._reader,
            self._intake,
            self._supervisor,
            self._systemd,
            self._journal,
            self._sink,
            self._outputs,
        )


def _policy(config: Config) -> Policy:
    limits = {q.name: q.limit for q in config.queues.values() if q.limit is not None}
    return Policy(config.workers, config.ready_queue, limits)


def _only_one(layout: Layout) -> int:
    """Take the lock that makes us the only daemon of this state directory (flock(2))."""
    try:
        fd = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise directories.cannot(f"open {layout.lock_file}", error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"
        os.close(fd)
        raise CannotStart(f"another taskgated (pid {holder}) has {layout.state}") from None
    try:
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # no room: it is for people
    return fd
