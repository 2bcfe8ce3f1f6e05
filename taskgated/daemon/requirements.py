"""What jobs require: it is looked now and then whether it is there, by a command of each job's own (``looks``).

Jobs that wait for that are in the store, each with the time of its next look; here is only what is under way, never
more than ``AT_ONCE``. So a job that waits costs no process between looks, and no memory, and ten thousand of them are
looked after in turn, those first whose time came first; and so are their users.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from taskgated.core.gate import Gate
from taskgated.core.job import Job, Requires, Warn
from taskgated.core.probe import Answer, Says
from taskgated.core.reasons import NotThere
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.looks import Looks
from taskgated.host.clock import MICROSECONDS, WALL_CHECK
from taskgated.host.loop import Loop, Timer
from taskgated.protocol.looking import KILL_AFTER, key_of_job
from taskgated.protocol.messages import Run
from taskgated.store.answer import Answer as Reply
from taskgated.store.client import StoreClient
from taskgated.store.requirements import Due

AT_ONCE = 8
"""Looks that are under way at once, at most. One that cannot be killed is under way as long as it lives."""
OF_ONE_USER = 4
"""The same of the jobs of one user, so that looks that take long, or never end, are no matter of others."""
REMEMBERED = 1000
"""Jobs of which it is known here what their last look said."""
AGAIN = 1.0
"""Seconds until something is tried again that the store could not do, or for which an earlier look is in the way."""


@dataclass(frozen=True, slots=True)
class _Said:
    words: str
    at: float


class Requirements:
    """``clock``: the steady one, in microseconds."""

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        store: StoreClient,
        conductor: Conductor,
        looks: Looks,
        clock: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._gate = gate
        self._store = store
        self._conductor = conductor
        self._looks = looks
        self._steady = clock
        self._under_way: dict[int, Job] = {}
        self._said: OrderedDict[int, _Said] = OrderedDict()
        self._timer: Timer | None = None
        self._asked = 0  # how often it was asked which jobs are due for a look
        self.asking: int | None = None
        """Which of these questions has no answer yet."""
        self._stale = False  # and more may be, since
        conductor.next_look.add(self._due)

    def reason(self, job: int) -> NotThere:
        """Why a job waits that waits for a look."""
        said = self._said.get(job)
        return NotThere() if said is None else NotThere(said.words, int(time.monotonic() - said.at))

    @property
    def problems(self) -> list[str]:
        """Looks that cannot be killed, for people."""
        stuck = [job for job in self._under_way if self._looks.stuck(key_of_job(job))]
        if not stuck:
            return []
        jobs = ", ".join(f"job {job}: process {self._looks.stuck(key_of_job(job))}" for job in stuck)
        left = AT_ONCE - len(stuck)
        others = (
            f"{left} looks at once are left, of {OF_ONE_USER} of one user"
            if left
            else "no other job's requires is looked for"
        )
        return [f"what looks for requires cannot be killed ({jobs}); until it is gone, {others}"]

    # -- when ------------------------------------------------------------------------------------

    def _due(self, at: int | None) -> None:
        """There is one for which it is time then (steady)."""
        if at is not None:
            self._later((at - self._steady()) / MICROSECONDS)

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(min(WALL_CHECK, seconds), self._look)  # timers stand still in a suspend

    def _look(self) -> None:
        """See for which jobs it is time. To look once more is always right."""
        free = AT_ONCE - len(self._under_way)
        if self.asking is not None or free <= 0 or self._gate.draining:
            self._stale = True
            return
        self._asked, self._stale = self._asked + 1, False
        asked = self.asking = self._asked
        known = list(self._under_way)
        self._store.ask(
            lambda store: store.looks(known, free, OF_ONE_USER), lambda reply: self._found(asked, reply), early=True
        )

    def give_up(self, asked: int | None) -> None:
        """That question will not be answered any more, if it was not."""
        if asked is not None and asked == self.asking:
            self.asking = None
            self._look()

    def _found(self, asked: int, reply: Reply[Due]) -> None:
        if asked != self.asking:
            return
        self.asking = None
        if reply.error is not None:
            self._later(AGAIN)
            return
        due = reply.get()
        for job in due.jobs:
            self._begin(job)
        if self._stale and len(self._under_way) < AT_ONCE:
            self._later(0)
        else:
            self._due(due.next)

    # -- what ------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        self._under_way[job.id] = job
        requires = job.spec.requires
        if requires is None:  # it cannot be read; that is seen when it is its turn
            self._note(job, None)
            return
        key = key_of_job(job.id)
        if self._looks.taken(key):  # something of a look of an earlier daemon is left
            self._note(job, AGAIN)
            return
        spec = replace(
            job.spec,
            command=requires.command,
            script=None,
            file=None,
            stdin=None,
            stdout=None,
            stderr=None,
            tty=False,
            warn=Warn(),
            timeout=requires.timeout,
            kill_after=KILL_AFTER,
            linger=0.0,
            requires=None,
        )
        run = Run.of(replace(job, spec=spec, attempt=key[1]), "", self._conductor.source(job))
        self._looks.begin(None, run, requires.timeout, _Asked(self, job, requires))

    def heard(self, job: Job, requires: Requires, answer: Answer, *, over: bool) -> None:
        """A look has said something. ``over``: nothing of it is left; else it had to be over, and is not."""
        if job.id not in self._said or answer.words or over:
            self._said[job.id] = _Said(answer.words, time.monotonic())
            self._said.move_to_end(job.id)
            if len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
        if over:
            self._note(job, None if answer.says is Says.OPEN else requires.every)

    def _note(self, job: Job, again: float | None) -> None:
        """Have the store know when it is looked again; None: what the job requires is there."""

        def done(reply: Reply[None]) -> None:
            if reply.error is not None:
                self._loop.after(AGAIN, lambda: self._note(job, again))
                return
            del self._under_way[job.id]
            if again is None:
                self._said.pop(job.id, None)
                self._conductor.wake_at(0)
            self._look()

        self._store.submit(lambda store: store.looked(job.id, again), done, early=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Hears of one look."""

    requirements: Requirements
    job: Job
    requires: Requires

    def answered(self, answer: Answer) -> None:
        self.requirements.heard(self.job, self.requires, answer, over=True)

    def late(self, answer: Answer) -> None:
        self.requirements.heard(self.job, self.requires, answer, over=False)
