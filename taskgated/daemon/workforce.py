"""The workers as the daemon sees them: they arrive, report and die, and some ran on from before.

The gate decides what follows for jobs, and the conductor carries it out. This module knows which workers there are.
The attempt of a dead worker is over when nothing of the worker is left: until then nobody hears of its end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from taskgated.core.attempts import Finish
from taskgated.core.gate import Gate
from taskgated.core.job import Job, Outcome, Result
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.outcomewords import never
from taskgated.daemon.roster import Roster, Worker
from taskgated.daemon.supervise import Supervisor
from taskgated.daemon.unbegun import WHY
from taskgated.errors import ProtocolError
from taskgated.events import Event
from taskgated.host.clock import wall
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.host.loop import FileDescriptor, Loop
from taskgated.host.processes import ProcessId
from taskgated.protocol.messages import Identity
from taskgated.store.contract import Before
from taskgated.worker.survivors import Survivor

AGAIN = 1.0
"""Seconds until an outcome that could not be looked for is looked for again."""
NAMELESS = 15.0
"""Seconds for a worker to come back whose name the store cannot read. Workers look for a daemon every second."""


@dataclass(frozen=True, slots=True)
class _Dead:
    """A worker that is being buried: what it ran, and what is to be said of that if the worker has not put it down.
    ``crashed``: it died by itself, so that its job may have been the reason; ``begun`` as of an ``Outcome``."""

    job: Job | None
    crashed: bool = False
    result: Result = Result.LOST
    why: str = "its worker died"
    begun: bool = True


class Workforce:
    """Listens to ``Dispatch``, to the supervisor, and to the conductor for what no worker can be told. It tells
    ``met_again`` of a worker that has come back to us, with the job whose attempt it was expected to have."""

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        conductor: Conductor,
        roster: Roster,
        supervisor: Supervisor,
        journal: Journal,
        wanted: int,
    ) -> None:
        self._wanted = wanted
        self._ending = False  # no attempt shall go on, nor one whose worker comes back only now
        self._loop = loop
        self._gate = gate
        self._conductor = conductor
        self._roster = roster
        self._supervisor = supervisor
        self._journal = journal
        self._absent: dict[str, tuple[Identity, Job]] = {}  # run on from before, not connected yet
        self._nameless: dict[tuple[int, int], Job] = {}  # attempts from before, of which worker is not known
        self._dead: dict[str, _Dead] = {}  # being buried
        self._unheard: dict[str, set[tuple[int, int]]] = {}  # of these: attempts that it may have put down as well
        self._given_up: dict[str, _Dead] = {}  # to be buried as soon as their connections have ended
        self._held_up: dict[str, str] = {}  # being buried, and what keeps them from their rest
        self._resting: set[str] = set()  # idle workers that get nothing until they answer
        self.met_again = Listeners[Worker, Job]()
        self._strangers: set[str] = set()  # being buried, with attempts that the store does not know to run
        supervisor.buried.add(self.worker_buried)
        supervisor.held_up.add(self.burial_held_up)
        supervisor.server_died.add(self.server_died)
        conductor.untold.add(self.worker_reported)

    def worker_arrived(self, worker: Worker) -> None:
        if worker.key in self._dead:  # given up, and it was only slow; it is too late for that
            worker.connection.hang_up()
            return
        self._supervisor.arrived(worker.identity.process)
        absent = self._absent.pop(worker.key, None)
        if worker.running is not None:
            nameless = self._nameless.pop(worker.running, None)
            if nameless is not None:
                self._gate.attempts.recognized(nameless.id, worker.key)
            self._met_again(worker, absent[1] if absent else nameless, *worker.running)
        elif absent is not None:  # it lives, but has not got the attempt any more
            self._bury(worker.identity, _Dead(absent[1]))
        else:
            self._idle(worker)

    def _met_again(self, worker: Worker, expected: Job | None, job: int, attempt: int) -> None:
        """It ran on while no daemon was there. When it is done it leaves, and a fresh one takes its place."""
        if expected is None or (expected.id, expected.attempt) != (job, attempt):
            self._roster.stop(worker, job, attempt, 0)  # that attempt does not count any more
            if expected is not None:
                self._conductor.unbegun.said(worker.key, (job, attempt))
        else:
            pid = worker.identity.process.pid
            self._journal.event(Event.JOB_STARTED, f"job {job}: still runs on worker {pid}", job_id=job)
            self.met_again.tell(worker, expected)
            if self._ending or self._gate.attempts.ending(job):
                self._roster.stop(worker, job, attempt, None)
        self._roster.quit(worker)

    def worker_reported(self, worker: Worker, outcome: Outcome) -> None:
        actions = self._gate.ended(outcome, worker.key)
        known = self._conductor.reported_again(worker.key, outcome.job, outcome.attempt)
        if not known and not any(isinstance(a, Finish) for a in actions):
            self._roster.ack(worker, outcome.job, outcome.attempt)  # a late report of an older one changes nothing
        self._conductor.do(actions)
        if self._has_nothing(worker):
            self._idle(worker)

    def _idle(self, worker: Worker) -> None:
        if worker.connection.closed:  # that it is gone is told next, or was a moment ago
            return
        if self._too_many():
            self._roster.quit(worker)
        elif not self._strangers:
            self._conductor.do(self._gate.worker_idle(worker.key))

    def _has_nothing(self, worker: Worker) -> bool:
        """Whether it could get a job: it stays, has none, and none is about to start on it."""
        return not worker.retiring and self._gate.attempts.job_of(worker.key) is None

    def end(self) -> None:
        """From now on an attempt from before ends as soon as its worker comes back."""
        self._ending = True

    def want(self, workers: int) -> None:
        """From now on so many. Idle ones that are too many are sent away, busy ones leave when they are done."""
        self._wanted = workers
        self._supervisor.want(workers)
        for worker in list(self._roster.workers.values()):
            if self._too_many() and self._has_nothing(worker):
                self._gate.worker_retired(worker.key)
                self._roster.quit(worker)

    def _too_many(self) -> bool:
        return sum(not w.retiring for w in self._roster.workers.values()) > self._wanted

    def worker_answered(self, worker: Worker) -> None:
        """It is there; if it was left alone for want of an answer, it may have work again."""
        if worker.key in self._resting:
            self._resting.discard(worker.key)
            if self._has_nothing(worker):  # a start may be under way
                self._idle(worker)

    def rest(self, worker: Worker) -> None:
        """An idle worker that owes an answer gets nothing to do until it has given it."""
        if not worker.retiring:
            self._resting.add(worker.key)
            self._gate.worker_retired(worker.key)

    def give_up(
        self,
        identity: Identity,
        worker: Worker | None,
        job: Job | None,
        result: Result,
        why: str,
        *,
        begun: bool = True,
    ) -> None:
        """Bury a worker that lives, and does not answer. What it has ends with ``result`` when all of it is gone;
        ``begun`` as of an ``Outcome``."""
        dead = _Dead(job, result=result, why=why, begun=begun)
        if worker is None:
            self._absent.pop(identity.key, None)
            self._bury(identity, dead)
        else:
            self._given_up[identity.key] = dead
            worker.connection.hang_up()

    @property
    def absent(self) -> dict[str, Identity]:
        """Workers that run on from before, and have not come back to us."""
        return {key: identity for key, (identity, _) in self._absent.items()}

    def worker_gone(self, worker: Worker) -> None:
        self._resting.discard(worker.key)
        if worker.key in self._dead:
            return
        expected = worker.retiring and worker.running is None
        self._supervisor.departed(worker.identity.process, expected=expected)
        job = self._gate.worker_died(worker.key)
        self._unheard[worker.key] = worker.unheard
        given_up = self._given_up.pop(worker.key, None)
        if given_up is not None:
            self._bury(worker.identity, replace(given_up, job=job))
            return
        if not expected:
            text = f"worker {worker.identity.process.pid} died"
            if job is not None:
                text += f" while it ran job {job.id}"
            self._journal.event(Event.WORKER_DIED, text, Priority.WARNING, job_id=None if job is None else job.id)
        self._bury(worker.identity, _Dead(job, crashed=True))

    def _bury(self, identity: Identity, dead: _Dead) -> None:
        self._dead[identity.key] = dead
        job = dead.job
        self._supervisor.bury(identity, job.id if job else None, job.attempt if job else None)

    def worker_buried(self, identity: Identity, killed: int) -> None:
        """Nothing of the worker or its attempt is left: now the attempt is over."""
        self._held_up.pop(identity.key, None)
        for unheard in self._unheard.pop(identity.key, ()):
            self._conductor.forget_if_over(*unheard)
        self._ended(identity)
        if identity.key in self._strangers:
            self._strangers.discard(identity.key)
            self._begin()

    def burial_held_up(self, identity: Identity, by: Sequence[str]) -> None:
        """Some of its processes were killed and live on. Until they are gone the attempt is not over, and counts."""
        if not by:
            self._held_up.pop(identity.key, None)
            return
        job = self._dead.get(identity.key, _Dead(None)).job
        whose = "" if job is None else f" of job {job.id}"
        pid = identity.process.pid
        text = f"worker {pid}{whose} is gone, and what it left cannot be killed: process {', '.join(by)}"
        self._held_up[identity.key] = text
        kept = "" if job is None else "; the job counts as running until that is gone"
        if identity.key in self._strangers:
            kept = "; no job starts until that is gone"
        self._journal.event(Event.STUCK, f"{text}{kept}", Priority.ERROR, job_id=None if job is None else job.id)

    @property
    def problems(self) -> list[str]:
        """What keeps places occupied that should be free."""
        return list(self._held_up.values())

    @property
    def held_up(self) -> int:
        """Jobs that run only because something of them cannot be killed."""
        return sum(1 for key in self._held_up if self._dead.get(key, _Dead(None)).job is not None)

    def _ended(self, identity: Identity, *, told: bool = False) -> None:
        """The attempt of a dead worker is over: as the worker has put it down, or as is known here."""
        dead = self._dead.get(identity.key, _Dead(None))
        job = dead.job
        if job is None:
            self._dead.pop(identity.key, None)
            return
        try:
            outcome = self._conductor.outcomes.read(job.id, job.attempt)
        except OSError as error:  # whether it put an outcome down cannot be said before this is over
            if not told:
                text = f"job {job.id}: what its worker has put down cannot be read, trying again: {error}"
                self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR, job_id=job.id)
            self._loop.after(AGAIN, lambda: self._ended(identity, told=True))
            return
        if outcome is not None or dead.result is not Result.LOST:
            self._settled(identity, job, outcome)
        else:
            self._conductor.unbegun.ask(identity, job, lambda sure: self._settled(identity, job, None, unheard=sure))

    def _settled(self, identity: Identity, job: Job, outcome: Outcome | None, *, unheard: bool = False) -> None:
        """``unheard``: the worker of the attempt has surely not heard of it."""
        dead = self._dead.pop(identity.key)
        if unheard:
            outcome = never(job, WHY)
        elif outcome is None:
            outcome = Outcome(job.id, job.attempt, dead.result, finished=wall(), message=dead.why, begun=dead.begun)
        self._conductor.do(self._gate.ended(outcome, None, crashed=dead.crashed))

    def server_died(self, status: int) -> None:
        text = f"the worker server ended with status {status}; starting another"
        self._journal.event(Event.WORKER_DIED, text, Priority.WARNING)

    # -- what ran before -------------------------------------------------------------------------

    def recover(self, before: Iterable[Before], boot: str, left: Iterable[Survivor]) -> None:
        """Count everything that an earlier daemon started, before anything new starts.

        An outcome that a worker put down is taken as it is. A worker that lives is waited for, as long as
        it lives: the kernel is asked, not the calendar. Of one that died nothing may be left; a reboot has
        seen to that itself. ``left``: the workers of which there are processes, see ``survivors``.
        """
        before = list(before)
        names: set[ProcessId] = set()
        reported: dict[str, Job] = {}  # by the worker that has put down how it ended, and comes for another
        self._conductor.forget_all_but({(entry.job.id, entry.job.attempt) for entry in before})
        for entry in before:
            job = entry.job
            identity = self._identity(entry, boot)
            names.add(identity.process)
            self._gate.attempts.adopt(job, identity.key, cancelled=entry.cancelled)
            if identity.process.boot != boot:
                self._dead[identity.key] = _Dead(job, why="the host went down")
                self._ended(identity)
            elif (outcome := self._kept(job)) is not None:
                self._nameless.pop((job.id, job.attempt), None)
                reported[identity.key] = job
                self._conductor.do(self._gate.ended(outcome, None))
            elif (job.id, job.attempt) in self._nameless:
                self._loop.after(NAMELESS, partial(self._nobody_came, identity, job))
            elif identity.process.alive():
                self._absent[identity.key] = (identity, job)
                self._watch(identity)
            else:
                self._bury(identity, _Dead(job))
        self._end_strangers(left, reported)
        self._conductor.unbegun.forget_all_but(names)

    def _end_strangers(self, left: Iterable[Survivor], reported: Mapping[str, Job]) -> None:
        """Bury the workers that are at something else than the store knows of them. Until nothing of them is left no
        worker counts as idle, for the first attempt that starts may be of the same job."""
        at_work = {**reported, **{key: job for key, (_, job) in self._absent.items()}}
        at_work |= {key: dead.job for key, dead in self._dead.items() if dead.job is not None}
        for survivor in left:
            identity, attempts = Identity(survivor.process, survivor.cgroup), survivor.attempts
            job = at_work.get(identity.key)
            expected = self._nameless.keys() if job is None else {(job.id, job.attempt)}
            if expected and attempts <= expected:
                continue
            if attempts:
                what = ", ".join(f"job {id_} (attempt {number})" for id_, number in sorted(attempts - expected))
                text = (
                    f"worker {identity.process.pid} runs {what}, and the database does not know that: it was put back"
                    " from a copy, or is new. That is ended before anything starts"
                )
                self._journal.event(Event.STORE_BEHIND, text, Priority.WARNING)
            self._strangers.add(identity.key)
            self._absent.pop(identity.key, None)
            if identity.key not in self._dead:
                self._bury(identity, _Dead(job))

    def _begin(self) -> None:
        """No stranger is left: the workers that are there get work."""
        for worker in list(self._roster.workers.values()):
            if worker.key not in self._resting and self._has_nothing(worker):
                self._idle(worker)

    def _identity(self, entry: Before, boot: str) -> Identity:
        """The worker that runs it. If that cannot be read: none, until its worker comes and says what it runs."""
        try:
            return Identity.from_json(json.loads(entry.placement.worker))
        except (ProtocolError, ValueError, TypeError, RecursionError) as error:
            job = entry.job
            text = f"job {job.id}: who runs it cannot be read, so its worker is waited for {NAMELESS:.0f} s: {error}"
            self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR, job_id=job.id)
            self._nameless[job.id, job.attempt] = job
            return Identity(ProcessId(0, job.id, boot))

    def _nobody_came(self, nobody: Identity, job: Job) -> None:
        """The attempt is over when none of its processes is left."""
        if self._nameless.pop((job.id, job.attempt), None) is not None:
            self._bury(nobody, _Dead(job))

    def _kept(self, job: Job) -> Outcome | None:
        """What its worker has put down. What cannot be read now is looked for again when the worker is gone."""
        try:
            return self._conductor.outcomes.read(job.id, job.attempt)
        except OSError:
            return None

    def _watch(self, identity: Identity) -> None:
        """Hear of the end of a worker that has not come back to us (pidfd_open(2))."""
        try:
            fd = os.pidfd_open(identity.process.pid)
        except ProcessLookupError:
            self._absent_ended(identity)
            return
        except OSError:  # no descriptors: it lives, and we hear of its end when there is one for that
            self._loop.after(1.0, lambda: self._watch(identity))
            return
        if not identity.process.alive():  # only now is it sure whose descriptor that is
            os.close(fd)
            self._absent_ended(identity)
            return
        handle = FileDescriptor(fd)

        def ended() -> None:
            self._loop.remove(handle)
            os.close(fd)
            self._absent_ended(identity)

        self._loop.add(handle, ended)

    def _absent_ended(self, identity: Identity) -> None:
        if entry := self._absent.pop(identity.key, None):
            self._bury(identity, _Dead(entry[1], crashed=True))
