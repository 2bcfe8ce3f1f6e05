"""Is it alive? Every loop has to show progress; what is broken is said, and repaired where it can be.

The watchdog is fed only when the main loop, both store threads, intake with its observer, and the worker
server have each answered since the last time. A disk that refuses to write is trouble, not death: the store's
thread shows progress by trying.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from taskgated.config import Access
from taskgated.core.job import State
from taskgated.journal import Event, Priority
from taskgated.loop import Timer
from taskgated.store.contract import Backlog
from taskgated.store.thread import Answer
from taskgated.vigil import Vigil

if TYPE_CHECKING:
    from taskgated.daemon import Daemon

EVERY = 10.0
"""Seconds between checks when no watchdog wants them more often."""
STATUS = 2.0
"""Seconds at least between two status lines for the service manager."""
PATIENCE = 3
"""Checks in a row that the worker server may fail before it is replaced."""


class Health:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        parts = daemon.parts
        self._loop, self._store, self._reader, self._intake = parts[:4]
        self._supervisor, self._systemd, self._journal, self._sink, self._outputs = parts[4:]
        self.vigil = Vigil(daemon.gate, daemon.engine.dispatch, daemon.workforce, self._journal)
        self._interval = min(EVERY, self._systemd.watchdog_interval or EVERY)
        self._timer: Timer | None = None
        self._silent_server = 0
        self._watched = time.monotonic()
        self._problems: list[str] = []
        self._trouble = ""
        self._damage = ""  # of the database
        self._backlog: Backlog | None = None
        self._telling: Timer | None = None
        self._no_workers = ""
        self._lost: list[str] = []  # sockets that are gone and cannot be made again; a restart could do no more
        self._outputs_hang = ""
        self._short = ""  # of what the daemon is short; no reason to restart it
        self.bad_configuration = ""

    def start(self) -> None:
        self._loop.on_wake(self._look)
        self._daemon.engine.progressed.append(self._tell_soon)
        self._check()
        self._look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # -- what it says ----------------------------------------------------------------------------

    def ready(self) -> bool:
        return self._daemon.serving and not self._daemon.stopping and not self._hindrances()

    def problems(self) -> list[str]:
        """Everything that somebody should see to, in words."""
        return self._hindrances() + self._sink.waiting

    @property
    def store_trouble(self) -> str:
        """Why nothing can be written, and so nothing started, now; empty if it can."""
        return f"the store cannot write: {self._store.trouble}" if self._store.trouble else ""

    def _hindrances(self) -> list[str]:
        """Everything that keeps the gate from working as it should."""
        found = list(self._problems)
        if self.store_trouble:
            found.append(self.store_trouble)
        if self._damage:
            found.append(self._damage)
        elif self._reader.trouble:
            found.append(self._reader.trouble)
        found += self._sink.blind
        found += self._sink.wrong_owners
        if self._supervisor.trouble:
            found.append(self._supervisor.trouble)
        found += [*self._daemon.workforce.problems, *self.vigil.problems]
        found += self._lost
        if self._outputs.trouble:  # the workers write there, too; what the daemon does goes on
            found.append(self._outputs.trouble)
        if self._short:
            found.append(self._short)
        if self.bad_configuration:
            found.append(self.bad_configuration)
        if self._daemon.begun.announced and not self._daemon.serving:
            found += self._missing()
        return found

    def _missing(self) -> list[str]:
        """What a start waits for, without there being anything wrong."""
        missing = []
        if not self._intake.watching and not self._sink.blind:
            missing.append("what was in the spool before the start is still being looked through")
        if not self._supervisor.count and not self._supervisor.trouble:
            missing.append("no worker has come yet")
        return missing

    def queue_limits(self) -> dict[str, int | None]:
        return {name: queue.limit for name, queue in self._daemon.config.queues.items()}

    def notes(self) -> list[str]:
        """What is right, and may not be what was meant."""
        return self._daemon.config.notes()

    def access(self) -> Access:
        return self._daemon.config.access

    def text(self, backlog: Backlog | None = None) -> str:
        """What the gate is doing, for ``systemctl status``; ``backlog``: what waits, for whom has just asked."""
        daemon = self._daemon
        self._backlog = backlog or self._backlog
        running, workers = daemon.gate.running, daemon.config.workers
        text = f"running {running} of {workers}, {self._waiting()}"
        if self._sink.paused:
            text += "; intake paused: the backlog is full"
        for owner in sorted(self._sink.crowded):
            text += f"; files of uid {owner} are held back (user_backlog)"
        if daemon.stopping:
            text = f"stopping: {running} still run"
        elif not daemon.serving:
            text = "started, but not ready" if daemon.begun.announced else "starting"
        return "; ".join([text, *self.problems()])

    def _waiting(self) -> str:
        """What there is to say of those that wait, all of it as it was when the store was asked last: numbers of
        several moments would not go together."""
        backlog = self._backlog
        if backlog is None:
            return f"{self._store.queued} queued"
        situation = self._daemon.gate.situation()
        blocked = 0
        for queue, states in backlog.counts.items():
            limit = situation.limits.get(queue)
            full = limit is not None and situation.running.get(queue, 0) >= limit
            blocked += states.get(State.QUEUED, 0) if full else backlog.delayed.get(queue, 0)
        text = f"{backlog.totals.get(State.QUEUED, 0)} queued"
        if blocked:
            text += f" ({blocked} blocked)"
        if backlog.oldest:
            text += f", oldest waits {duration(backlog.waited)}"
        held = backlog.totals.get(State.HELD, 0)
        return f"{text}, {held} held" if held else text

    # -- what it does ----------------------------------------------------------------------------

    def _look(self) -> None:
        """After anything happened: is it ready now, and is the disk all right?"""
        daemon = self._daemon
        if (damage := self._store.damage or self._reader.damage) and not self._damage:
            self._damage = damage
            text = f"{damage}; nothing more is taken in"
            self._journal.event(Event.STORE_DAMAGED, text, Priority.CRITICAL)
        if not self._store.alive:
            if self._store.damage:
                daemon.broken(f"nothing can be written any more: {self._store.damage}")
            else:
                daemon.give_up("the store's thread has ended: the disk failed to sync")
        if not daemon.serving and not daemon.stopping and self._intake.watching and self._supervisor.count:
            daemon.now_ready()
        if self._store.trouble != self._trouble:
            self._trouble = self._store.trouble
            self._tell_soon()
            if self._trouble:
                text = f"the store cannot write: {self._trouble}; nothing is lost, it is tried every second"
                self._journal.event(Event.STORE_TROUBLE, text, Priority.CRITICAL)
            else:
                self._journal.event(Event.STORE_RECOVERED, "the store can write again", Priority.NOTICE)
        if self._supervisor.trouble != self._no_workers:
            self._no_workers = self._supervisor.trouble
            if self._no_workers:
                text = f"{self._no_workers}; it is tried again"
                self._journal.event(Event.WORKER_DIED, text, Priority.WARNING)
        if self._outputs.trouble != self._outputs_hang:
            self._outputs_hang = self._outputs.trouble
            if self._outputs_hang:
                self._journal.event(Event.OUTPUTS_HANG, self._outputs_hang, Priority.ERROR)
            else:
                self._journal.event(Event.OUTPUTS_ANSWER, "the disk of the outputs answers again", Priority.NOTICE)

    def _check(self) -> None:
        self._timer = self._loop.after(self._interval, self._check)
        self._daemon.engine.dispatch.send_acks()
        found = []
        # What has ended (for want of memory, say) does not come back; the next daemon has it all.
        if not self._reader.alive:
            self._daemon.give_up("the thread that reads the store has ended")
        if not self._daemon.stopping and not self._intake.is_alive():
            self._daemon.give_up("the thread that takes files in has ended")
        if not (self._outputs.alive and self._daemon.helper.alive):
            self._daemon.give_up("a thread that reads or removes outputs has ended")
        if not self._store.responsive():
            found.append("the store does not answer")
        if not self._reader.responsive():
            found.append("the reader of the store does not answer")
        if not self._daemon.stopping:
            found += self._check_intake()
        found += self._check_server()
        if found != self._problems:
            for problem in found:
                if problem not in self._problems:
                    self._journal.event(Event.INTERNAL_ERROR, problem, Priority.ERROR)
            self._problems = found
        self._check_descriptors()
        self._check_doors()
        self._watch_workers()
        self._look()
        self._tell()
        if not found:
            self._systemd.alive()
        if not self._daemon.serving and not self._daemon.stopping and not self._daemon.begun.announced:
            self._look_after_start(well=not found)

    def _look_after_start(self, *, well: bool) -> None:
        """Recovering a large spool may take long, and so may whoever mends it; but whoever started us waits, too."""
        begun = self._daemon.begun
        if begun.late:
            begun.announced = True  # so that the text says what is missing
            begun.over(text := self.text())
            self._journal.event(Event.NOT_READY, text, Priority.ERROR)
        elif well:
            self._systemd.extend(3 * self._interval)

    def _tell_soon(self) -> None:
        """Something started or ended: the status follows, but not a thousand times a second."""
        if self._telling is None or self._telling.call is None:
            self._telling = self._loop.after(STATUS, self._tell)

    def _tell(self) -> None:
        def answered(answer: Answer) -> None:
            self._backlog = answer.value
            self._systemd.status(self.text())

        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._systemd.managed:
            self._reader.submit("backlog", list(self.queue_limits()), done=answered)

    def _check_intake(self) -> list[str]:
        """A blind observer is repaired by intake itself; here only whether it still goes round."""
        return [] if self._intake.responsive() else ["intake does not answer"]

    def _check_descriptors(self) -> None:
        """Whether a file could be opened now. Without, nobody can even connect to ask what is wrong."""
        try:
            os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
            short = ""
        except OSError as error:
            short = f"the daemon can open nothing more: {error.strerror}"
        if short and not self._short:
            self._journal.event(Event.INTERNAL_ERROR, short, Priority.ERROR)
        self._short = short

    def _check_doors(self) -> None:
        """Whoever clears /run takes the sockets along, and then nobody can ask, and no new worker can come."""
        lost = []
        for door in self._daemon.doors:
            try:
                if door.look():
                    text = f"{door.path} was gone, so that nobody could connect; it has been made again"
                    self._journal.event(Event.SOCKET_REMADE, text, Priority.WARNING)
            except OSError as error:
                lost.append(f"{door.path} is gone, and cannot be made again: {error.strerror}")
        for problem in lost:
            if problem not in self._lost:
                self._journal.event(Event.INTERNAL_ERROR, problem, Priority.ERROR)
        self._lost = lost

    def _watch_workers(self) -> None:
        now = time.monotonic()
        # While we were stopped, so may everybody else have been.
        self.vigil.look(min(self._interval, now - self._watched))
        self._watched = now

    def _check_server(self) -> list[str]:
        if self._supervisor.ping():
            self._silent_server = 0
            return []
        self._silent_server += 1
        if self._silent_server == PATIENCE:
            self._supervisor.restart_server()
        return ["the worker server does not answer"] if self._silent_server > 1 else []


def duration(seconds: float) -> str:
    """So long, in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"
