"""Watching over the workers: which does not answer, and which attempt does not end when it should.

A worker keeps the times of its attempt itself. One that is stopped, or stuck in exec(2) because the file system of
the program hangs, keeps none. So each is asked for a sign of life now and then, and the times are kept here as well,
with a margin.

A busy worker is never given up only because it is silent: it may be slow, as its disk is. It is named, and given up
when its attempt had to be over by now: at its timeout, at the deadline of its job, or because it is cancelled or
stopped. An idle one has nothing to lose. The attempt counts against every limit until nothing of it is left, as with
every worker that is gone.

Time is what the daemon has lived through: a look counts for no more than its interval. When everything was stopped or
the host was suspended, nobody is late by that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from taskgated.core.gate import Gate
from taskgated.core.job import Job, Result
from taskgated.core.phases import Course
from taskgated.daemon.roster import Roster, Worker
from taskgated.daemon.workforce import Workforce
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.processes import condition
from taskgated.protocol.messages import Identity

PATIENCE = 30.0
"""Seconds without a sign of life after which a worker counts as silent."""
MARGIN = 30.0
"""Seconds beyond its time after which an attempt counts as one that does not end."""


@dataclass(slots=True)
class _Attempt:
    """When it was first seen here, when its job has its deadline, and when it was first seen to be wanted to end."""

    began: float
    deadline: float
    ending: float = inf


class Vigil:
    """``look`` is called by the health check; ``problems`` is what it found, for people. ``left``: the seconds until
    the deadline of a job."""

    def __init__(
        self, gate: Gate, roster: Roster, workforce: Workforce, journal: Journal, left: Callable[[Job], float]
    ) -> None:
        self._left = left
        self._gate = gate
        self._roster = roster
        self._workforce = workforce
        self._journal = journal
        self._now = 0.0
        self._attempts: dict[tuple[int, int], _Attempt] = {}
        self._silent_since: dict[str, float] = {}  # workers that owe an answer, or have not come back to us
        self.problems: list[str] = []
        self._unending: dict[int, str] = {}  # jobs that had to end, and whose workers can do nothing about it

    @property
    def unending(self) -> int:
        """How many attempts had to end, and do not, though their workers are well."""
        return len(self._unending)

    def unkillable(self, job: int) -> str:
        """What there is to say of a job that had to end and does not; "" of any other."""
        return self._unending.get(job, "")

    def look(self, elapsed: float) -> None:
        """``elapsed``: seconds that the daemon has lived through since the last look."""
        self._now += elapsed
        before, self.problems, self._unending = self.problems, [], {}
        courses = {course.worker: course for course in self._gate.attempts.courses()}
        kept = {(course.job.id, course.job.attempt) for course in courses.values()}
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in kept}
        absent = self._workforce.absent
        workers = dict(self._roster.workers)
        self._note_silence({key for key, worker in workers.items() if worker.owes} | absent.keys())
        for key, worker in workers.items():
            self._look_at(worker.identity, worker, courses.get(key))
        for key, identity in absent.items():
            self._look_at(identity, None, courses.get(key))
        for problem in self.problems:
            if problem not in before:
                self._journal.event(Event.STUCK, problem, Priority.WARNING)
        for worker in self._roster.workers.values():
            if worker.answers and not worker.owes and not worker.connection.closed:
                self._roster.ping(worker)

    def _note_silence(self, silent: set[str]) -> None:
        self._silent_since = {key: self._silent_since.get(key, self._now) for key in silent}

    def _look_at(self, identity: Identity, worker: Worker | None, course: Course | None) -> None:
        late, result = self._lateness(course)
        can_tell = worker is None or worker.answers
        silence = self._now - self._silent_since.get(identity.key, self._now)
        if silence < PATIENCE if can_tell else late < MARGIN:
            if late >= MARGIN and course is not None:  # its worker is well, and has done what can be done
                text = "had to end, and its processes do not: it cannot be killed"
                self.problems.append(f"job {course.job.id} {text}")
                self._unending[course.job.id] = f"it {text}; it counts until they are gone"
            elif worker is not None and course is None and worker.owes:
                self._workforce.rest(worker)
            return
        untaken = worker is not None and worker.untaken and worker.connection.unread
        job = None if course is None else course.job
        what = self._describe(identity, worker, job)
        if job is not None and not untaken and late < 0:
            self.problems.append(what)
            return
        self._journal.event(Event.STUCK, f"{what}; it is ended", Priority.ERROR, job_id=job.id if job else None)
        if late < 0:  # it is idle, or may have been given something that it has not read
            why = "its worker did not answer to start it"
            self._workforce.give_up(identity, worker, job, Result.KILLED, why, begun=False)
        else:
            self._workforce.give_up(identity, worker, job, result, "its worker did not answer")

    def _lateness(self, course: Course | None) -> tuple[float, Result]:
        """By how many seconds an attempt is over its time (negative: not yet), and how it has ended if it is."""
        if course is None:
            return -inf, Result.KILLED
        spec, grace = course.job.spec, course.grace
        key = course.job.id, course.job.attempt
        if (attempt := self._attempts.get(key)) is None:
            attempt = self._attempts[key] = _Attempt(self._now, self._now + self._left(course.job))
        if course.wish is not None and attempt.ending == inf:
            attempt.ending = self._now
        times_out = inf if spec.timeout is None else attempt.began + spec.timeout
        times_out = min(times_out, attempt.deadline) + spec.kill_after
        ends = attempt.ending + grace
        return self._now - min(times_out, ends), Result.TIMED_OUT if times_out <= ends else Result.KILLED

    def _describe(self, identity: Identity, worker: Worker | None, job: Job | None) -> str:
        pid = identity.process.pid
        state = condition(pid)
        what = "does not answer" if worker is not None else "has not come back"
        busy = "" if job is None else f", job {job.id} is on it"
        return f"worker {pid} {what}{f' ({state})' if state else ''}{busy}"
