"""What is true of jobs that wait, naively: worked out each time anew from the list of all jobs and the configuration.

It knows nothing of what the gate keeps in mind; of that which no job says (how the doors stand) it has what the test
itself has done.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskgated.core import reasons as r
from taskgated.core import shortages as s
from taskgated.core.after import Fate, fate
from taskgated.core.job import Clock, Job
from taskgated.core.kinds import Kind
from taskgated.core.probe import Says
from taskgated.core.state import State
from tests.env.simulation import SECOND, Simulation

DOORS = {Kind.RATE, Kind.BREAKER, Kind.PROBE, Kind.MACHINE, Kind.WINDOW, Kind.PAUSED}


def needs(job: Job) -> dict[str, int]:
    """What it needs by name; of a lock 1,000 is all of it."""
    spec = job.spec
    found = {f"token {token}": amount for token, amount in spec.tokens.items() if amount}
    found |= {f"lock {name}": 1000 for name in spec.locks.exclusive}
    found |= {f"lock {name}": 1 for name in spec.locks.shared}
    if spec.key:
        found[f"key {job.owner} {spec.key}"] = 1
    if spec.array.at_most is not None:
        found[f"array {job.array}"] = 1
    return found


def brief(job: Job) -> str:
    """What there is to say of it where something does not hold."""
    said = f"{job.id} ({job.queue}, of {job.owner}, rank {job.rank}, failures {job.failures})"
    return f"{said} parked {job.parked} waits {job.waits} due {job.due} {job.due_clock} {job.spec.to_json()}"


class Oracle:
    """At one moment, at which nothing is under way."""

    def __init__(self, sim: Simulation, paused: set[str | None]) -> None:
        self.sim = sim
        self.paused = paused
        self.details = {one.job.id: one for one in sim.jobs()}
        self.jobs = {id_: one.job for id_, one in self.details.items()}
        self.states = {id_: one.record.state for id_, one in self.details.items()}
        self.running = [job for id_, job in self.jobs.items() if self.states[id_] is State.RUNNING]
        self.queued = [job for id_, job in self.jobs.items() if self.states[id_] is State.QUEUED]
        self.policy = sim.gate.capacities.policy
        self.steady = sim.store.clock.now()

    def total(self, name: str, job: Job) -> int:
        match name.split(maxsplit=1)[0]:
            case "token":
                return self.policy.tokens.get(name.split()[1], 0)
            case "lock":
                return 1000
            case "array":
                return job.spec.array.at_most or 0
        return 1

    def free(self, name: str, job: Job) -> int:
        return self.total(name, job) - sum(needs(one).get(name, 0) for one in self.running)

    def eligible(self, job: Job) -> bool:
        """Nothing of its own keeps it: only what others have, or that its queue is closed."""
        return (
            self.states[job.id] is State.QUEUED
            and (job.due is None or (job.due_clock is Clock.STEADY and job.due <= self.steady))
            and not self.unmet(job)
        )

    def could(self, job: Job) -> bool:
        """And there is as much as it needs, though others may have it: else nothing is promised to it."""
        return self.eligible(job) and all(amount <= self.total(name, job) for name, amount in needs(job).items())

    def at_the_door(self, queues: set[str]) -> bool:
        """Whether a job of them waits for nothing else of its own."""
        return any(job.queue in queues and self.eligible(job) and not job.parked for job in self.queued)

    def unmet(self, job: Job) -> bool:
        """Whether it waits for others."""
        return bool(self.details[job.id].after)

    def awaited(self, job: Job, found: set[int]) -> set[int]:
        """All that it waits for, however far around, with the whole of each array."""
        for one in self.details[job.id].after:
            others = [o.id for o in self.jobs.values() if one.job is not None and one.job in (o.id, o.array)]
            for other in set(others) - found:
                found.add(other)
                self.awaited(self.jobs[other], found)
        return found

    def limits(self, job: Job) -> Iterator[Kind]:
        """Which limits of its lane are reached."""
        policy, run = self.policy, self.running
        most = policy.limits.get(job.queue)
        if most is not None and sum(one.queue == job.queue for one in run) >= most:
            yield Kind.QUEUE_LIMIT
        of_user = policy.users.get(job.owner, policy.user_limit)
        in_queue = policy.user_limits.get(job.queue)
        if (of_user is not None and sum(one.owner == job.owner for one in run) >= of_user) or (
            in_queue is not None and sum(one.lane == job.lane for one in run) >= in_queue
        ):
            yield Kind.USER_LIMIT
        if len(run) >= policy.at_once:
            yield Kind.LIMIT

    def short(self, job: Job) -> Iterator[str]:
        """By name, what there is too little of."""
        return (name for name, amount in needs(job).items() if self.free(name, job) < amount)

    def keeps(self, job: Job) -> set[Kind]:
        """All that keeps it for sure, whatever others do."""
        kinds = set(self.limits(job))
        words = {"token": Kind.TOKEN, "lock": Kind.LOCK, "key": Kind.KEY, "array": Kind.QUEUE_LIMIT}
        kinds |= {words[name.split()[0]] for name in self.short(job)}
        if self.unmet(job):
            kinds.add(Kind.AFTER)
        if job.due is not None and job.due_clock is Clock.LOOK:
            kinds.add(Kind.REQUIRES)
        elif job.due is not None and job.due > self.steady:
            kinds.add(Kind.TIME)
        if self.paused & {None, job.queue}:
            kinds.add(Kind.PAUSED)
        if self.sim.config.queue(job.queue).windows and not self.in_window:
            kinds.add(Kind.WINDOW)
        return kinds

    @property
    def in_window(self) -> bool:
        return self.sim.world.wall // SECOND % 3600 < 1800

    # -- reasons -------------------------------------------------------------------------------------

    def false(self, job: Job, reason: r.Reason) -> str:
        """What of a reason is not so; "" if it is true."""
        holds = self._holds(job, reason)
        return "" if holds else f"{reason} of {brief(job)}"

    def _holds(self, job: Job, reason: r.Reason) -> bool:
        run, policy, queue = self.running, self.policy, self.sim.config.queue(job.queue)
        match reason:
            case r.Held():
                return self.states[job.id] is State.HELD
            case r.NotDue(left):
                return job.due is not None and job.due - self.steady == left > 0
            case r.NotThere():
                return job.spec.requires is not None and job.due_clock is Clock.LOOK
            case r.NotOver(other, _, when, state, array):
                whole = [one for one in self.jobs.values() if one.array == other] if array else [self.jobs[other]]
                open_ = [one.id for one in whole if fate(when, self.states[one.id]) is Fate.OPEN]
                return bool(open_) and state in {self.states[id_] for id_ in open_} | {None}
            case r.NotDropped(name):
                alike = [one for one in self.jobs.values() if one.owner == job.owner and one.spec.name == name]
                mine = {job.id, job.array}
                return all(mine & {one.id, one.array or 0, *self.awaited(one, set())} for one in alike)
            case r.QueueFull(name, running, limit):
                known = self.sim.doorway.adaptives.limits().get(name, policy.limits.get(name))
                if queue.auto is not None:
                    assert limit >= 1
                counted = sum(one.queue == name for one in run)
                return name == job.queue and running == counted >= limit and known is not None
            case r.ArrayFull(array, at_most):
                mine = [one for one in self.jobs.values() if one.array == array]
                first = [one for one in mine if one in run or (one.rank < job.rank and self.eligible(one))]
                return array == job.array and at_most == job.spec.array.at_most and len(first) >= at_most
            case r.UserFull(owner, running, limit):
                known = policy.users.get(owner, policy.user_limit)
                counted = sum(one.owner == owner for one in run)
                return owner == job.owner and limit == known and running == counted >= limit
            case r.UserFullInQueue(owner, name, running, limit):
                counted = sum(one.lane == job.lane for one in run)
                return (owner, name) == (job.owner, job.queue) and running == counted >= limit
            case r.AllBusy(running, limit):
                return running == len(run) >= limit == policy.at_once
            case r.NoWorker():
                return self.sim.idle == 0
            case s.TokensShort(token, needed, free, total):
                left = self.free(f"token {token}", job)
                return job.spec.tokens[token] == needed > max(0, left) == free and total == policy.tokens[token]
            case s.Locked(lock, shared, holders):
                counted = sum(f"lock {lock}" in needs(one) for one in run)
                return holders == counted > 0 and shared is (lock in job.spec.locks.shared)
            case s.KeyTaken(key):
                return any(one.spec.key == key and one.owner == job.owner for one in run)
            case s.TokensPromised(token, before):
                return self._promised(job, before, f"token {token}")
            case s.LockPromised(lock, before):
                return self._promised(job, before, f"lock {lock}")
            case s.KeyPromised(key, before):
                return self._promised(job, before, f"key {job.owner} {key}")
            case s.BehindItsLine():
                alike = [one for one in self.jobs.values() if one.lane == job.lane and needs(one) == needs(job)]
                return any(one in run or (one.rank < job.rank and self.eligible(one)) for one in alike)
            case r.NotItsTurn(name, None):
                return name == job.queue and name in policy.fair
            case r.NotItsTurn(name, before):
                others = [one for one in self.queued if one.queue == name and self.eligible(one)]
                return name == job.queue and 0 < before <= len(others) - (job in others)
            case r.HeldBack(name, other):
                strict = queue.strict and name == job.queue == self.jobs[other].queue
                return strict and self.jobs[other].rank < job.rank and self.eligible(self.jobs[other])
            case _:
                return self._door(job, reason)

    def _promised(self, job: Job, before: int, name: str) -> bool:
        """It is there, and one that comes first could have it but for what it lacks by name."""
        first = self.jobs[before]
        open_ = not set(self.limits(first)) - {Kind.LIMIT}
        return first.rank < job.rank and name in needs(first) and self.eligible(first) and open_

    def _door(self, job: Job, reason: r.Reason) -> bool:
        config, now = self.sim.config.queue(job.queue), self.sim.world.now
        mine = [(at, one) for at, one in self.sim.world.started if one.queue == job.queue]
        match reason:
            case r.Paused(queue):
                return queue == job.queue and queue in self.paused
            case r.AllPaused():
                return None in self.paused
            case r.OutsideWindows(queue, _, left):
                return bool(config.windows) and not self.in_window and left is not None and 0 < left <= 1800 * SECOND
            case r.RateUsedUp(_, starts, per, left):
                rate = config.rate
                lately = [at for at, _ in mine if now - at < per * SECOND]
                return rate is not None and (rate.starts, rate.per) == (starts, per) and len(lately) >= starts
            case r.RetriesUsedUp(_, share, _):
                lately = [at for at, one in mine if one.failed_before and now - at <= 60 * SECOND]
                return job.failed_before and share == config.retry_budget and bool(lately)
            case r.BreakerOpen(_, failures, left):
                breaker = config.breaker
                return breaker is not None and failures == breaker.failures and 0 < left <= breaker.pause * SECOND
            case r.CanaryFirst(queue, canary):
                return queue == job.queue and self.states[canary] is State.RUNNING
            case r.ProbeUnasked(name):
                asked = any(look.probe == name for look in self.sim.supervisor.looks)
                queues = {one.name for one in self.sim.config.queues.values() if one.probe == name}
                return job.queue in queues and (asked or not self.at_the_door(queues))
            case r.ProbeSays(name, answer):
                return name == config.probe and answer is not Says.OPEN
            case r.ProbeUsedUp(name, allowed, _, _):
                queues = {one.name for one in self.sim.config.queues.values() if one.probe == name}
                return (
                    job.queue in queues and sum(one.queue in queues for _, one in self.sim.world.started) >= allowed
                )
            case r.MachineUnread(queue):
                return config.machine is not None and not self.at_the_door({queue})
            case r.MachineTight(_, figures):
                return all(one.value == self.sim.world.load >= one.bound for one in figures)
            case r.LoadToCome(_, load, coming, bound):
                return load == self.sim.world.load < bound <= load + coming
            case r.JustStarted(_, allowed):
                lately = [at for at, _ in mine if now - at <= 5 * SECOND]
                return config.machine is not None and len(lately) >= allowed
        return False
