"""Carries out what the gate decides: the seam between the pure core and the store, the workers, the journal.

Events come in from the store's thread, from workers and from the supervisor, which buries the dead. Each is given to
the gate, and the actions that it returns are done here, in order. All of it on the main loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from taskgated.attempts import outputs
from taskgated.attempts.outcomes import Outcomes
from taskgated.attempts.scripts import Scripts
from taskgated.core.attempts import Abandon, Finish, Run, Start, Stop
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.job import NEVER_RAN, Claim, Job, Outcome, Result
from taskgated.core.lifecycle import Verb
from taskgated.core.order import FIRST, Lane
from taskgated.core.parking import Park, Recall
from taskgated.core.state import State
from taskgated.daemon import uses
from taskgated.daemon.alarm import Alarm
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.outcomewords import ENDS, describe, never
from taskgated.daemon.roster import Roster, Worker
from taskgated.daemon.unbegun import Unbegun
from taskgated.daemon.waiters import Waiters
from taskgated.errors import MessageTooLong, NotFirst, StoreError
from taskgated.events import Event
from taskgated.host.clock import WALL_CHECK, wall
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.store.answer import Answer
from taskgated.store.causes import BEFORE_IT_STARTED, EXPIRED, PAST_DEADLINE, WHILE_RUNNING, in_words, unmade
from taskgated.store.client import StoreClient
from taskgated.store.contract import Added, Ended, Record, Store
from taskgated.store.turns import Found
from taskgated.store.waking import Coming, Woken
from taskgated.text import to_text


class Conductor:
    """It tells ``over`` the id of each job that is over, ``let_go`` the claimed files that no job works on any more,
    and whether one of these jobs did not succeed, ``progressed`` that jobs came, started or ended, ``handed`` which
    worker was handed the attempt of which job, ``untold`` of a worker that cannot be handed its attempt and how that
    ended, ``next_look`` when it is time for one (steady), and ``broken`` why the store is of no use any more.
    ``given`` is called with the highest id of new jobs."""

    def __init__(
        self,
        layout: Layout,
        loop: Loop,
        gate: Gate,
        store: StoreClient,
        roster: Roster,
        ledger: Ledger,
        journal: Journal,
        clock: Callable[[], int],
        given: Callable[[int], None],
    ) -> None:
        self._gate = gate
        self.over = Listeners[int]()
        self.let_go = Listeners[Sequence[Claim], bool]()
        self.progressed = Listeners[()]()
        self.broken = Listeners[str]()
        self.untold = Listeners[Worker, Outcome]()
        self.next_look = Listeners[int | None]()
        self.handed = Listeners[Worker, Job]()
        self._given = given
        self._condemned: set[int] = set()  # that were over already
        self._layout = layout
        self._loop = loop
        self._store = store
        self._roster = roster
        self._ledger = ledger
        self._journal = journal
        self._steady = clock
        self.outcomes = Outcomes(layout.outcomes)
        self.unbegun = Unbegun(store, layout.outcomes)
        self._scripts = Scripts(layout.scripts)
        self._alarm = Alarm(loop, clock, lambda: store.submit(lambda store: store.wake(), self._woken))
        # Ends of attempts that the store has not answered yet, by (job, attempt); each with the worker to tell.
        self._ending: dict[tuple[int, int], str | None] = {}
        self.waiters = Waiters(gate, store, journal, self.do, self._unreadable)

    # -- the gate's actions ----------------------------------------------------------------------

    def do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Fetch():
                    self._fetch(action)
                case Start():
                    self._start(action)
                case Run(job, key):
                    self._run(job, key)
                case Stop(job_id, attempt, key, grace):
                    if worker := self._roster.workers.get(key):
                        self._roster.stop(worker, job_id, attempt, grace)
                case Finish():
                    self._finish(action)
                case Park():
                    self.waiters.park(action)
                case Recall():
                    self.waiters.recall(action)
                case Abandon(job):
                    self.do(self._gate.ended(never(job, "its worker died before the start"), None))

    def _fetch(self, asked: Fetch) -> None:
        def done(answer: Answer[Found]) -> None:
            if answer.error is not None:
                self.broken.tell(f"which jobs are next cannot be read: {answer.error}")
                return
            found = answer.get()
            self.do(self._gate.fetched(self._unreadable(found.jobs), found.rest, asked.number))

        self._store.ask(lambda store: store.fetch(asked.wanted, asked.known, asked.most), done, early=True)

    def _unreadable(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that can be read. The others are failed, before anything is asked for again, which would bring them
        again."""
        found = list(jobs)
        for job in found:
            if job.unreadable:
                self._condemn(job, f"its row in the database cannot be read: {job.unreadable}")
        return [job for job in found if not job.unreadable]

    def _start(self, start: Start) -> None:
        job = start.job

        def done(answer: Answer[int]) -> None:
            self._started(job, answer)

        placement = self._roster.workers[start.worker].placement  # an idle worker is a connected one
        kept = self._ledger.starting(job)

        def start_it(store: Store) -> int:
            at = store.start(job.id, job.attempt, placement, job.queue, strict=start.strict)
            store.remember(kept.values)
            return at

        self._store.submit(start_it, done, early=start.repeatable and not kept.durable)

    def _finish(self, action: Finish) -> None:
        self._ending[action.job.id, action.outcome.attempt] = action.worker
        values = {**self._ledger.ended(action).values, **uses.kept(self._gate.fair, action.job.lane)}

        def finish(store: Store) -> Ended:
            ended = store.finish(action.outcome, action.verdict)
            store.remember(values)
            return ended

        self._store.submit(finish, partial(self._finished, action))

    def reported_again(self, worker: str, job: int, attempt: int) -> bool:
        """Whether that end is known, but not on stable storage yet. Then the worker is told when it is; until then
        what it has put down is all that there is of it."""
        if (job, attempt) not in self._ending:
            return False
        self._ending[job, attempt] = worker
        return True

    def _started(self, job: Job, answer: Answer[int]) -> None:
        if answer.error is None:
            self._ledger.started(job)
            self.do(self._gate.attempts.started(job.id))
        else:  # it was cancelled, or its time ran out, between the fetch and now
            if isinstance(answer.error, StoreError):
                self._condemn(job, f"its start cannot be recorded: {answer.error}")
            self._ledger.refused(job)
            self.do(self._gate.start_refused(job.id, NotFirst.first_of(answer.error)))
            self._look_for(job.id)
            self.wake_at(0)
        self.progressed.tell()

    def _look_for(self, job: int) -> None:
        """Somebody may have moved it: what was found in its new queue meanwhile is not known any more."""

        def found(answer: Answer[Sequence[Record]]) -> None:
            for record in () if answer.error is not None else answer.get():
                if record.state is State.QUEUED:
                    self.do(self._gate.queued(Lane(record.queue, record.owner), FIRST))

        self._store.ask(lambda store: store.records([job]), found)

    def _condemn(self, job: Job, why: str) -> None:
        """It cannot run, or not end, for what the store has of it; neither its queue nor the gate shall stand still
        for that."""

        def done(answer: Answer[Ended | None]) -> None:
            ended = None if answer.error is not None else answer.get()
            if answer.error is not None or (ended is None and job.id in self._condemned):
                reason = answer.error or "it is over, and yet it comes up again"
                self.broken.tell(f"job {job.id} can be neither run nor failed: {reason}")
                return
            if ended is None:
                self._condemned.add(job.id)
            else:
                self._job_event(Event.JOB_FAILED, job, f"failed: {why}", Priority.WARNING)
                self._gate.forget(job.id)
                self._over_for_good(job.id, ended)
            self.do(self._gate.queued(job.lane, FIRST))
            self.progressed.tell()

        self._store.submit(lambda store: store.condemn(job.id, why), done)

    def _run(self, job: Job, key: str) -> None:
        worker = self._roster.workers.get(key)
        if worker is None:  # it died in this very moment; worker_gone has been told, and will end the attempt
            return
        try:
            log = outputs.path(self._layout.log, job.id, job.attempt)
            self._roster.run(worker, job, log, self.source(job), self._ledger.looked_for(job.queue))
        except MessageTooLong as error:  # it has failed, as if the worker had found that it cannot run
            now, text = wall(), f"{NEVER_RAN}be handed to a worker: {error}"
            outcome = Outcome(job.id, job.attempt, Result.FAILED, started=now, finished=now, message=text)
            self._loop.after(0, lambda: self.untold.tell(worker, outcome))
        else:
            self.handed.tell(worker, job)
        self._job_event(Event.JOB_STARTED, job, f"started on worker {worker.identity.process.pid}")

    def source(self, job: Job) -> str:
        """The path at which its file lay; "" if nobody knows."""
        if job.nested is None or not job.source:
            return ""
        directory = self._layout.inlet(job.spec.queue if job.nested else None)
        return f"{to_text(os.fsencode(directory))}/{job.source}"

    def _finished(self, finish: Finish, answer: Answer[Ended]) -> None:
        job, outcome, verdict = finish.job, finish.outcome, finish.verdict
        teller = self._ending.pop((job.id, outcome.attempt))
        worker = None if teller is None else self._roster.workers.get(teller)
        if worker is not None:
            self._roster.ack(worker, job.id, outcome.attempt)
        if finish.worker is None or worker is None:  # nothing else removes what its worker may have left on disk
            self._forget_files(job.id, outcome.attempt)
        if answer.error is not None:  # the store knows better: a later attempt, or none
            self._journal.event(Event.INTERNAL_ERROR, f"job {job.id}: {answer.error}", Priority.ERROR, job_id=job.id)
            if job.unreadable or isinstance(answer.error, StoreError):
                self._condemn(job, f"how it ended cannot be recorded: {answer.error}")
            return
        ended, end = answer.get(), describe(outcome)
        reason = WHILE_RUNNING if ended.state is State.CANCELLED else in_words(verdict.cause)
        why = f": {reason}" if reason and reason != outcome.message else ""
        if ended.state.final:
            event, priority = ENDS[ended.state]
            kept = ended.let_go is not None and ended.state is not State.SUCCEEDED
            where = f"; its file is kept in failed/{job.id}/" if kept else ""
            self._job_event(event, job, f"{end}{why}{where}", priority, outcome)
            self._over_for_good(job.id, ended)
        elif verdict.verb is Verb.RETRY:
            assert verdict.delay is not None
            text = f"{end}{why}; again in {verdict.delay:.1f} s"
            self._job_event(Event.JOB_RETRIES, job, text, Priority.NOTICE, outcome)
            self.wake_at(verdict.delay)
            self._came(ended)
        else:
            self._job_event(Event.JOB_REQUEUED, job, f"{end}{why}", Priority.NOTICE, outcome)
            if job.deadline is not None or job.spec.requires is not None:
                self.wake_at(0)
            self._came(ended)
        self.progressed.tell()

    def _forget_files(self, job: int, attempt: int) -> None:
        """Of an attempt that is over: an outcome that was put down, and the private copy of its script."""
        self.outcomes.forget(job, attempt)
        self._scripts.forget(job, attempt)

    def forget_if_over(self, job: int, attempt: int) -> None:
        """A worker has reported that end, and may have died before it heard that this is known."""
        if (job, attempt) not in self._ending and job not in self._gate.attempts:
            self._forget_files(job, attempt)

    def forget_all_but(self, running: Collection[tuple[int, int]]) -> None:
        """At start: the same of all other attempts, which a crash or a power cut kept a daemon from forgetting."""
        for job, attempt in {*self.outcomes.attempts(), *self._scripts.attempts()}.difference(running):
            self._forget_files(job, attempt)

    def _over_for_good(self, job: int, ended: Ended) -> None:
        """The file that the job kept may go, its end is told, and the next of its array may run."""
        if ended.let_go is not None:
            self.let_go.tell([ended.let_go], ended.state is not State.SUCCEEDED)
        self.over.tell(job)
        self._came(ended)

    def _came(self, ended: Ended) -> None:
        """Another job may run because of that."""
        if ended.came is not None:
            self.do(self._gate.queued(*ended.came))

    def _job_event(
        self,
        event: Event,
        job: Job,
        text: str,
        priority: Priority = Priority.INFO,
        outcome: Outcome | None = None,
    ) -> None:
        self._journal.event(
            event,
            f"job {job.id} ({job.spec.name}, attempt {job.attempt}): {text}",
            priority,
            job_id=job.id,
            job_name=job.spec.name,
            queue=job.queue,
            attempt=job.attempt,
            outcome=None if outcome is None else outcome.result.word,
            exit_code=None if outcome is None else outcome.exit_code,
            signal=None if outcome is None else outcome.signal,
        )

    # -- jobs come, time passes ------------------------------------------------------------------

    def added(self, added: Added) -> None:
        if added.jobs:
            self._given(added.jobs[-1])
        if added.fresh:
            self.do(self._gate.offered(added.fresh))
        else:
            for lane, rank in added.best.items():
                self.do(self._gate.queued(lane, rank))
        if added.timed:
            self.wake_at(0)
        for job, text in unmade(added):
            self._gate.forget(job)
            self._never(job, text)
        self.never_start(added.cancelled, added.let_go)

    def wake_at(self, delay: float) -> None:
        """Look at the due jobs in that many seconds, or earlier."""
        self._alarm.set(delay)

    def _woken(self, answer: Answer[Woken]) -> None:
        if (error := answer.error) is not None:
            text = f"jobs whose time has come cannot be looked for: {error}"
            self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
            self.wake_at(WALL_CHECK)
            return
        woken = answer.get()
        for job, queue, name in woken.expired:
            text = f"job {job} ({name}): {PAST_DEADLINE if job in woken.late else EXPIRED}"
            self._journal.event(Event.JOB_CANCELLED, text, Priority.NOTICE, job_id=job, job_name=name, queue=queue)
            self.over.tell(job)
        if woken.let_go:
            self.let_go.tell(woken.let_go, True)
        if woken.expired:
            self.do(self._gate.dropped(job for job, _, _ in woken.expired))
            self.progressed.tell()
        for lane, rank in woken.best.items():
            self.do(self._gate.queued(lane, rank))
        self.comes(woken.coming)

    def comes(self, coming: Coming) -> None:
        """Then it is time for jobs that wait for theirs."""
        self._alarm.comes(coming)
        self.next_look.tell(coming.look)

    # -- control ---------------------------------------------------------------------------------

    def cancel(self, job: int, done: Callable[[Answer[Ended]], None]) -> None:
        def cancelled(answer: Answer[Ended]) -> None:
            if answer.error is None:
                ended = answer.get()
                self.do(self._gate.cancel(job))
                if ended.state.final:
                    text = f"job {job}: cancelled before it started"
                    self._journal.event(Event.JOB_CANCELLED, text, Priority.NOTICE, job_id=job)
                    self._over_for_good(job, ended)
                self.progressed.tell()
            done(answer)

        self._store.submit(lambda store: store.cancel(job), cancelled)

    def never_start(self, jobs: Sequence[int], let_go: Sequence[Claim] = ()) -> None:
        """They were cancelled with their array, and the store has that."""
        for job in jobs:
            self._never(job, BEFORE_IT_STARTED)
        if let_go:
            self.let_go.tell(let_go, True)
        self.progressed.tell()

    def _never(self, job: int, text: str) -> None:
        """A job is over that has not started."""
        self._journal.event(Event.JOB_CANCELLED, f"job {job}: {text}", Priority.NOTICE, job_id=job)
        self.over.tell(job)

    @property
    def quiet(self) -> bool:
        """No start and no end is under way: nothing is half done."""
        return not self._gate.attempts.starting and not self._ending

    @property
    def idle(self) -> bool:
        """Nothing runs, and every end is on stable storage."""
        return len(self._gate.attempts) == 0 and not self._ending
