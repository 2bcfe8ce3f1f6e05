"""Carries out what the gate decides: the seam between the pure core and the store, the workers, the journal.

Events come in from the store's thread, from workers and from whoever looks after the dead; each is given to
the gate, and the actions that it returns are done here, in order. All of it on the main loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from taskgated.clock import MICROSECONDS, wall
from taskgated.core.gate import Action, Fetch, Finish, Gate, Run, Start, Stop
from taskgated.core.job import Interrupted, Job, Outcome, Result, State
from taskgated.core.lifecycle import WHILE_RUNNING, Verb
from taskgated.dispatch import Dispatch
from taskgated.errors import StoreError
from taskgated.journal import Event, Journal, Priority
from taskgated.loop import Loop, Timer
from taskgated.outcomes import Outcomes
from taskgated.paths import Layout
from taskgated.store.contract import Added, Ended, Woken
from taskgated.store.thread import Answer, StoreThread

WALL_CHECK = 30.0
"""Seconds between looks at the clock while a job waits for its time: the wall clock may be stepped, and the timers
of the loop stand still while the host is suspended."""

_ENDS = {
    State.SUCCEEDED: (Event.JOB_SUCCEEDED, Priority.INFO),
    State.FAILED: (Event.JOB_FAILED, Priority.WARNING),
    State.CANCELLED: (Event.JOB_CANCELLED, Priority.NOTICE),
}


class Engine:
    """``over`` is called with the id of each job that is over, ``progressed`` when jobs come, start or end, ``given``
    with the highest id of new jobs.

    ``dispatch`` is set by who puts the parts together.
    """

    dispatch: Dispatch

    def __init__(
        self,
        layout: Layout,
        loop: Loop,
        gate: Gate,
        store: StoreThread,
        journal: Journal,
        clock: Callable[[], int],
    ) -> None:
        self.gate = gate
        self.given: Callable[[int], None] = lambda last: None
        self.over: list[Callable[[int], None]] = []
        self.progressed: list[Callable[[], None]] = []
        self.release: Callable[[list[str]], None] = lambda claims: None
        self.broken: Callable[[str], None] = lambda why: None  # the store is of no use any more
        self._condemned: set[int] = set()  # that were over already
        self._layout = layout
        self._loop = loop
        self._store = store
        self._journal = journal
        self._steady = clock
        self.outcomes = Outcomes(layout.outcomes)
        self._timer: Timer | None = None
        self._timer_at = 0.0
        # Ends of attempts that the store has not answered yet, by (job, attempt); each with the worker to tell.
        self._ending: dict[tuple[int, int], str | None] = {}

    # -- the gate's actions ----------------------------------------------------------------------

    def do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Fetch():
                    self._fetch(action)
                case Start(job, key):
                    self._start(job, key)
                case Run(job, key):
                    self._run(job, key)
                case Stop(job_id, attempt, key, grace):
                    if worker := self.dispatch.workers.get(key):
                        self.dispatch.stop(worker, job_id, attempt, grace)
                case Finish():
                    self._finish(action)

    def _fetch(self, asked: Fetch) -> None:
        def done(answer: Answer) -> None:
            if answer.error is not None:
                self.broken(f"which jobs are next cannot be read: {answer.error}")
                return
            jobs: list[Job] = answer.value
            for job in jobs:
                if job.unreadable:  # before anything is asked for again, which would bring it again
                    self._condemn(job, f"its row in the database cannot be read: {job.unreadable}")
            whole = len(jobs) < asked.most
            self.do(self.gate.fetched([job for job in jobs if not job.unreadable], asked, whole=whole))

        self._store.submit("fetch", asked.wanted, asked.known, asked.most, done=done, early=True)

    def _start(self, job: Job, key: str) -> None:
        def done(answer: Answer) -> None:
            self._started(job, answer)

        record = self.dispatch.workers[key].record  # an idle worker is a connected one
        # A power cut ends the job as well. Where it may then run again, its worker need not wait for the disk; but a
        # job whose start is forgotten would be said to have not started in time.
        early = job.spec.interrupted is Interrupted.RERUN and job.expires is None
        self._store.submit("start", job.id, job.attempt, record, done=done, early=early)

    def _finish(self, action: Finish) -> None:
        def done(answer: Answer) -> None:
            self._finished(action, answer)

        self._ending[action.job.id, action.outcome.attempt] = action.worker
        self._store.submit("finish", action.outcome, action.verdict, done=done)

    def reported_again(self, worker: str, job: int, attempt: int) -> bool:
        """Whether that end is known, but not on stable storage yet. Then the worker is told when it is; until then
        what it has put down is all that there is of it."""
        if (job, attempt) not in self._ending:
            return False
        self._ending[job, attempt] = worker
        return True

    def _started(self, job: Job, answer: Answer) -> None:
        if answer.error is None:
            self.do(self.gate.started(job.id))
        else:  # it was cancelled, or its time ran out, between the fetch and now
            if isinstance(answer.error, StoreError):
                self._condemn(job, f"its start cannot be recorded: {answer.error}")
            self.do(self.gate.start_refused(job.id))
            self.wake_at(0)
        self._progress()

    def _condemn(self, job: Job, why: str) -> None:
        """It cannot run, or not end, for what the store has of it; neither its queue nor the gate shall stand still
        for that."""

        def done(answer: Answer) -> None:
            ended: Ended | None = answer.value
            if answer.error is not None or (ended is None and job.id in self._condemned):
                reason = answer.error or "it is over, and yet it comes up again"
                self.broken(f"job {job.id} can be neither run nor failed: {reason}")
                return
            if ended is None:
                self._condemned.add(job.id)
            else:
                self._job_event(Event.JOB_FAILED, job, f"failed: {why}", Priority.WARNING)
                self.gate.forget(job.id)
                self.job_over(job.id, ended.released)
            self.do(self.gate.queued(job.queue, 100))
            self._progress()

        self._store.submit("condemn", job.id, why, done=done)

    def _progress(self) -> None:
        for call in self.progressed:
            call()

    def _run(self, job: Job, key: str) -> None:
        worker = self.dispatch.workers.get(key)
        if worker is None:  # it died in this very moment; worker_gone has been told, and will end the attempt
            return
        self.dispatch.run(worker, job, self._layout.output_path(job.id, job.attempt))
        self._job_event(Event.JOB_STARTED, job, f"started on worker {worker.identity.process.pid}")

    def _finished(self, finish: Finish, answer: Answer) -> None:
        job, outcome, verdict = finish.job, finish.outcome, finish.verdict
        teller = self._ending.pop((job.id, outcome.attempt))
        worker = None if teller is None else self.dispatch.workers.get(teller)
        if worker is not None:
            self.dispatch.ack(worker, job.id, outcome.attempt)
        if finish.worker is None or worker is None:  # nobody else looks after what its worker may have left on disk
            self._forget_files(job.id, outcome.attempt)
        if answer.error is not None:  # the store knows better: a later attempt, or none
            self._journal.event(Event.INTERNAL_ERROR, f"job {job.id}: {answer.error}", Priority.ERROR, job_id=job.id)
            if job.unreadable or isinstance(answer.error, StoreError):
                self._condemn(job, f"how it ended cannot be recorded: {answer.error}")
            return
        ended: Ended = answer.value
        end = describe(outcome)
        reason = WHILE_RUNNING if ended.state is State.CANCELLED else verdict.reason
        why = f": {reason}" if reason and reason != outcome.message else ""
        if ended.state.final:
            event, priority = _ENDS[ended.state]
            self._job_event(event, job, f"{end}{why}", priority, outcome)
            self.job_over(job.id, ended.released)
        elif verdict.verb is Verb.RETRY:
            assert verdict.delay is not None
            text = f"{end}{why}; again in {verdict.delay:.1f} s"
            self._job_event(Event.JOB_RETRIES, job, text, Priority.NOTICE, outcome)
            self.wake_at(verdict.delay)
        else:
            self._job_event(Event.JOB_REQUEUED, job, f"{end}{why}", Priority.NOTICE, outcome)
            self.do(self.gate.queued(job.queue, job.priority))
        self._progress()

    def _forget_files(self, job: int, attempt: int) -> None:
        """Of an attempt that is over: an outcome that was put down, and the private copy of its script."""
        self.outcomes.forget(job, attempt)
        try:
            os.unlink(self._layout.scripts / f"{job}.{attempt}")
        except OSError:
            pass

    def forget_if_over(self, job: int, attempt: int) -> None:
        """A worker has reported that end, and may have died before it heard that this is known."""
        if (job, attempt) not in self._ending and not self.gate.runs(job):
            self._forget_files(job, attempt)

    def forget_all_but(self, running: Collection[tuple[int, int]]) -> None:
        """At start: the same of all other attempts, which a crash or a power cut kept a daemon from forgetting."""
        for directory in (self._layout.outcomes, self._layout.scripts):
            for name in os.listdir(directory):
                job, _, rest = name.partition(".")
                attempt = rest.partition(".")[0]
                if job.isdecimal() and attempt.isdecimal() and (int(job), int(attempt)) not in running:
                    self._forget_files(int(job), int(attempt))

    def job_over(self, job: int, released: str | None) -> None:
        """A job is over for good: what it kept may go, who waits for it is told."""
        if released is not None:
            self.release([released])
        for call in self.over:
            call(job)

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
            self.given(added.jobs[-1])
        if added.fresh:
            self.do(self.gate.offered(added.fresh))
        else:
            for queue, priority in added.best.items():
                self.do(self.gate.queued(queue, priority))
        if added.timed:
            self.wake_at(0)
        self._progress()

    def wake_at(self, delay: float) -> None:
        """Look at the due jobs in that many seconds, or earlier."""
        at = self._steady() / MICROSECONDS + delay
        if self._timer is not None and self._timer.call is not None and self._timer_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.after(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._store.submit("wake", wall(), done=self._woken)

    def _woken(self, answer: Answer) -> None:
        if answer.error is not None:
            text = f"jobs whose time has come cannot be looked for: {answer.error}"
            self._journal.event(Event.INTERNAL_ERROR, text, Priority.ERROR)
            self.wake_at(WALL_CHECK)
            return
        woken: Woken = answer.value
        for job, queue, name in woken.expired:
            self.gate.forget(job)
            text = f"job {job} ({name}): expired: it did not start in time"
            self._journal.event(Event.JOB_CANCELLED, text, Priority.NOTICE, job_id=job, job_name=name, queue=queue)
            self.job_over(job, None)
        if woken.released:
            self.release(list(woken.released))
        if woken.expired:
            self._progress()
        for queue, priority in woken.best.items():
            self.do(self.gate.queued(queue, priority))
        if woken.next_steady is not None:
            self.wake_at(min(WALL_CHECK, (woken.next_steady - self._steady()) / MICROSECONDS))
        if woken.next_wall is not None:
            self.wake_at(min(WALL_CHECK, (woken.next_wall - wall()) / MICROSECONDS))

    # -- control ---------------------------------------------------------------------------------

    def cancel(self, job: int, done: Callable[[Answer], None]) -> None:
        def cancelled(answer: Answer) -> None:
            if answer.error is None:
                ended: Ended = answer.value
                self.do(self.gate.cancel(job))
                if ended.state.final:
                    text = f"job {job}: cancelled before it started"
                    self._journal.event(Event.JOB_CANCELLED, text, Priority.NOTICE, job_id=job)
                    self.job_over(job, ended.released)
                self._progress()
            done(answer)

        self._store.submit("cancel", job, done=cancelled)

    @property
    def quiet(self) -> bool:
        """No start and no end is under way: whoever goes now leaves nothing half done."""
        return not self.gate.starting and not self._ending

    @property
    def settled(self) -> bool:
        """Nothing runs, and every end is on stable storage."""
        return self.gate.running == 0 and not self._ending


def describe(outcome: Outcome) -> str:
    """An outcome in words."""
    if outcome.result is Result.SUCCEEDED:
        text = "succeeded"
    elif outcome.result is Result.FAILED and outcome.signal is not None:
        text = f"failed: killed by signal {outcome.signal}"
    elif outcome.result is Result.FAILED and outcome.exit_code is not None:
        text = f"failed: exit code {outcome.exit_code}"
    else:
        text = str(outcome.result)
    if outcome.message:
        text += f" ({outcome.message})"
    if outcome.started is not None and outcome.finished is not None:
        text += f" after {max(0, outcome.finished - outcome.started) / MICROSECONDS:.2f} s"
    return text
