"""``Status``: what the gate does now."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from taskgated import __version__
from taskgated.control.asking import Asking
from taskgated.control.blocked import blocked
from taskgated.control.needs import Busy, ByHand, Configuration, Files, Hand, Health, Probe, Work
from taskgated.control.never import never
from taskgated.control.reasons import closed as words
from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.core.state import State
from taskgated.host.clock import rfc3339
from taskgated.protocol.replies import ShownFiles, ShownOverride, ShownProbe, ShownQueue, ShownWorker, StatusReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.contract import Backlog, Questions
from taskgated.store.waiting import Beyond, Waits

_Known = tuple[Backlog, Sequence[Beyond], Waits]

_UNKNOWN = Backlog({}, {}, 0, {}, None, 0.0)


class Status:
    def __init__(self, asking: Asking, work: Work, health: Health, hand: Hand, configuration: Configuration) -> None:
        self._asking = asking
        self._work = work
        self._health = health
        self._hand = hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow()
        always = list(self._configuration().queues)
        tokens, users = self._work.tokens(), self._work.users()

        def ask(store: Questions) -> _Known:
            return store.backlog(always), store.beyond(tokens), store.waits(users)

        self._asking.ask(call, ask, lambda answer: self._tell(call, answer))

    def _tell(self, call: Call, answer: Answer[_Known]) -> None:
        # This is the question that must be answered when nothing else can be.
        backlog, beyond, waits = answer.get() if answer.error is None else (_UNKNOWN, (), Waits())
        unknown = [] if answer.error is None else [f"what waits cannot be read: {answer.error}"]
        config = self._configuration()
        closed = self._work.closed()
        totals, free = self._work.tokens(), self._work.free()
        queued = {name: jobs.get(State.QUEUED, 0) for name, jobs in backlog.counts.items()}
        kept = blocked(queued, waits, self._work)
        limits = {name: queue.limit for name, queue in config.queues.items()} | dict(self._work.limits())
        reply = StatusReply(
            ready=self._health.ready() and not unknown,
            text=self._health.text(backlog),
            version=__version__,
            pid=os.getpid(),
            counts={str(state): backlog.totals.get(state, 0) for state in State},
            workers=[_worker(worker) for worker in self._work.workers()],
            queues=_queues(backlog, limits, {*config.queues, DEFAULT_QUEUE}, kept),
            more_queues=backlog.others,
            ready_queue=list(self._work.ready()),
            oldest=rfc3339(backlog.oldest),
            problems=self._health.problems() + unknown,
            notes=config.notes() + self._health.notes(),
            files=[_files(files) for files in self._health.files()],
            closed=[{"queue": queue, **words(queue, reason)} for queue, reason in closed],
            overrides=[_override(one) for one in self._hand.all()],
            probes=[_probe(probe) for probe in self._work.probes()],
            tokens=[{"name": name, "total": n, "free": max(0, free[name])} for name, n in sorted(totals.items())],
            never=[*never(beyond, closed, backlog)],
        )
        call.reply(reply)


def _queues(
    backlog: Backlog, limits: dict[str, int | None], there: Collection[str], kept: Mapping[str, Mapping[str, int]]
) -> list[ShownQueue]:
    """All that are ``there``, as configured, and those that the store has told of."""
    names = sorted(limits.keys() | backlog.counts.keys())
    return [
        _queue(name, limits.get(name), backlog.counts.get(name, {}), name in there, kept.get(name, {}))
        for name in names
    ]


def _queue(
    name: str, limit: int | None, jobs: Mapping[State, int], there: bool, kept: Mapping[str, int]
) -> ShownQueue:
    return {
        "name": name,
        "limit": limit,
        "queued": jobs.get(State.QUEUED, 0),
        "held": jobs.get(State.HELD, 0),
        "running": jobs.get(State.RUNNING, 0),
        "succeeded": jobs.get(State.SUCCEEDED, 0),
        "failed": jobs.get(State.FAILED, 0),
        "cancelled": jobs.get(State.CANCELLED, 0),
        "configured": there,
        "blocked": dict(kept),
    }


def _override(one: ByHand) -> ShownOverride:
    return {
        "kind": one.kind,
        "of": one.of,
        "value": one.value,
        "at": rfc3339(one.at),
        "by": one.by.uid,
        "user": one.by.name,
        "text": one.text,
    }


def _files(files: Files) -> ShownFiles:
    return {
        "queue": files.queue,
        "waiting": files.waiting,
        "ending": files.ending,
        "oldest": rfc3339(files.oldest),
        "hint": files.hint,
        "left_alone": files.alone,
    }


def _probe(probe: Probe) -> ShownProbe:
    return {
        "name": probe.name,
        "state": probe.state,
        "answer": probe.answer,
        "words": probe.words,
        "asked": rfc3339(probe.asked),
        "allowance": probe.allowance,
        "queues": list(probe.queues),
    }


def _worker(worker: Busy) -> ShownWorker:
    state = "running" if worker.job is not None else "leaving" if worker.leaving else "idle"
    return {"pid": worker.pid, "state": state, "job": worker.job}
