"""What the daemon's parts know together of the jobs under way, for those who ask over the control socket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from taskgated.control.needs import Busy, Probe
from taskgated.core.capacity import ALL, LanePlaces, UserPlaces, reasons
from taskgated.core.gate import Gate
from taskgated.core.job import Job
from taskgated.core.kinds import Kind
from taskgated.core.named import Tokens
from taskgated.core.order import Lane
from taskgated.core.reasons import JustStarted, MachineUnread, NotThere, ProbeUnasked, QueueFull, Reason
from taskgated.daemon.adaptives import Adaptives
from taskgated.daemon.doorkeeper import Doorkeeper
from taskgated.daemon.roster import Roster
from taskgated.host.clock import wall


class Survey:
    """``clock``: the steady one, in microseconds. ``unkillable``: what there is to say of a job that does not end.
    ``not_there``: why one waits that requires something."""

    def __init__(
        self,
        gate: Gate,
        roster: Roster,
        doorkeeper: Doorkeeper,
        adaptives: Adaptives,
        probes: Callable[[], Sequence[Probe]],
        not_there: Callable[[int], NotThere],
        clock: Callable[[], int],
        unkillable: Callable[[int], str],
    ) -> None:
        self._gate = gate
        self._roster = roster
        self._doorkeeper = doorkeeper
        self._adaptives = adaptives
        self.probes = probes
        self._not_there = not_there
        self._steady = clock
        self._unkillable = unkillable

    def workers(self) -> Sequence[Busy]:
        out = []
        for worker in self._roster.workers.values():
            job = self._gate.attempts.job_of(worker.key)
            out.append(Busy(worker.identity.process.pid, job.id if job else None, worker.retiring))
        return out

    def ready(self) -> Sequence[int]:
        return [job.id for job in self._gate.ready]

    def unkillable(self, job: int) -> str:
        return self._unkillable(job)

    def starts(self, job: int) -> bool:
        return job in self._gate.attempts

    def limits(self) -> Mapping[str, int]:
        limits = dict(self._gate.capacities.policy.limits)
        for queue, limit in self._adaptives.limits().items():
            limits[queue] = min(limit, limits.get(queue, limit))
        return limits

    def adjusting(self) -> Mapping[str, int]:
        return self._adaptives.limits()

    def tokens(self) -> Mapping[str, int]:
        return self._gate.capacities.policy.tokens

    def free(self) -> Mapping[str, int]:
        capacities = self._gate.capacities
        return {token: capacities.free(Tokens(token)) for token in capacities.policy.tokens}

    def whole(self, queue: str) -> Kind | None:
        if (reason := next(self._gate.doors.reasons(queue), None)) is not None:
            return reason.kind
        return Kind.QUEUE_LIMIT if self._gate.capacities.full(queue) else None

    def full(self, lane: Lane) -> bool:
        capacities = self._gate.capacities
        rooms = (capacities.room(capacity) for capacity in (UserPlaces(lane.owner), LanePlaces(lane)))
        return any(room is not None and room <= 0 for room in rooms)

    def all_kept(self) -> Kind | None:
        if self._gate.draining:
            return Kind.STOPPING
        room = self._gate.capacities.room(ALL)
        return Kind.LIMIT if self._gate.situation().idle and room is not None and room <= 0 else None

    def users(self) -> Collection[str]:
        return [one.owner for one in self._gate.capacities.in_use() if isinstance(one, UserPlaces)]

    def closed(self) -> Sequence[tuple[str | None, Reason]]:
        self._doorkeeper.look()
        return [(queue, reason) for queue, reason in self._gate.doors.shut() if not _passing(reason)]

    def reasons(self, job: Job) -> Sequence[Reason]:
        self._doorkeeper.look()  # what the doors say is of now
        found = reasons(job, self._gate.situation(self._steady(), wall()))
        return [self._not_there(job.id) if isinstance(one, NotThere) else one for one in found]

    def strict(self, queue: str) -> bool:
        return queue in self._gate.capacities.policy.strict

    def fair(self, queue: str) -> bool:
        return queue in self._gate.capacities.policy.fair


def _passing(reason: Reason) -> bool:
    """Whether that closes nothing: its queue is busy, or what it waits for is found out as soon as a job comes."""
    match reason:
        case QueueFull() | MachineUnread() | JustStarted():
            return True
        case ProbeUnasked(_, stuck):
            return not stuck
        case _:
            return False
