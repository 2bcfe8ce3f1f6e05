"""``io.taskgate.Gate``: what operators may ask and do. Every call is an event on the main loop.

Listings are read through a connection of their own, so that a long one holds up nobody.
"""

from __future__ import annotations

import base64
import os
import traceback
from collections.abc import Callable
from importlib import resources
from typing import Any, Protocol

from taskgated import __version__
from taskgated.clock import rfc3339, wall
from taskgated.config import Access
from taskgated.control.outputs import Outputs, Piece
from taskgated.control.varlink import Call, Method, VarlinkError, denied, invalid
from taskgated.control.views import Viewer
from taskgated.core.gates import Reason, reasons
from taskgated.core.job import Result, State
from taskgated.engine import Engine
from taskgated.errors import ConfigError, IllegalTransition, NoSuchJob, TaskgateError
from taskgated.output import Kept, read
from taskgated.paths import Layout
from taskgated.store.contract import ATTEMPTS, Backlog, Details, Filter, Page, Record
from taskgated.store.reader import Reader
from taskgated.store.thread import Answer

INTERFACE = "io.taskgate.Gate"
PAGE = 500
PIECE = 64 * 1024


class Health(Protocol):
    """What the daemon says of itself."""

    def ready(self) -> bool: ...

    def text(self, backlog: Backlog | None = None) -> str: ...

    @property
    def store_trouble(self) -> str: ...
    def problems(self) -> list[str]: ...

    def notes(self) -> list[str]: ...

    def queue_limits(self) -> dict[str, int | None]: ...

    def access(self) -> Access: ...


class GateInterface:
    """The methods of the interface, each named as there."""

    def __init__(
        self,
        layout: Layout,
        engine: Engine,
        reader: Reader,
        health: Health,
        steady: Callable[[], int],
        reload: Callable[[], list[str]],
        outputs: Outputs,
    ) -> None:
        """``reload`` returns notes, or raises ``ConfigError``."""
        self._layout = layout
        self._engine = engine
        self._reader = reader
        self._health = health
        self._steady = steady
        self._outputs = outputs
        self._reload_configuration = reload
        self._waits: dict[int, list[_Wait]] = {}
        engine.over.append(self._job_over)

    def methods(self) -> dict[str, Method]:
        named = {
            "Status": self._status,
            "List": self._list,
            "Show": self._show,
            "Logs": self._logs,
            "Wait": self._wait,
            "Cancel": self._cancel,
            "Reload": self._reload,
        }
        return {f"{INTERFACE}.{name}": _guarded(method) for name, method in named.items()}

    def _ask(self, call: Call, verb: str, *args: Any, done: Callable[[Answer], None], lane: str = "short") -> None:
        """A question to the store, in turn with those of other users, and with a user's own of another kind; for as
        long as somebody waits for the answer."""
        self._reader.submit(verb, *args, done=done, lane=(call.uid, lane), gone=lambda: call.gone)

    # -- methods ---------------------------------------------------------------------------------

    def _status(self, call: Call) -> None:
        call.allow()

        def done(answer: Answer) -> None:
            # This is the question that must be answered when nothing else can be.
            backlog: Backlog = answer.value or Backlog({}, {}, 0, {}, None, 0.0)
            unknown = [] if answer.error is None else [f"what waits cannot be read: {answer.error}"]
            counts = backlog.counts
            limits = self._health.queue_limits()
            queues = []
            for queue in sorted(limits.keys() | counts.keys()):
                states = counts.get(queue, {})
                by_state = {str(state): states.get(state, 0) for state in State}
                queues.append({"name": queue, "limit": limits.get(queue), **by_state})
            call.reply(
                ready=self._health.ready() and not unknown,
                text=self._health.text(backlog),
                version=__version__,
                pid=os.getpid(),
                counts={str(state): backlog.totals.get(state, 0) for state in State},
                workers=self._workers(),
                queues=queues,
                more_queues=backlog.others,
                ready_queue=[job.id for job in self._engine.gate.ready],
                oldest=rfc3339(backlog.oldest),
                problems=self._health.problems() + unknown,
                notes=self._health.notes(),
            )

        self._ask(call, "backlog", list(self._health.queue_limits()), done=_forward(call, done))

    def _workers(self) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for worker in self._engine.dispatch.workers.values():
            job = self._engine.gate.job_of(worker.key)
            state = "running" if job else "leaving" if worker.retiring else "idle"
            out.append({"pid": worker.identity.process.pid, "state": state, "job": job.id if job else None})
        return out

    def _list(self, call: Call) -> None:
        call.allow("after", "limit", "states", "queues")
        limit = min(PAGE, call.integer("limit", PAGE))
        only = Filter([State(s) for s in call.strings("states", list(State))], call.strings("queues"))

        def done(answer: Answer) -> None:
            page: Page = answer.get()
            viewer = self._viewer(call)
            call.reply(jobs=[viewer.job(r) for r in page.records], next=page.next)

        self._ask(call, "list", call.integer("after", 0), limit, only, done=_forward(call, done), lane="listings")

    def _show(self, call: Call) -> None:
        call.allow("id", "before", "limit")
        before, limit = call.integer("before", 2**62), min(ATTEMPTS, call.integer("limit", ATTEMPTS))

        def done(answer: Answer) -> None:
            details: Details = answer.get()
            first = details.attempts[0].number if details.attempts else before
            viewer = self._viewer(call)
            call.reply(
                job=viewer.job(details.record),
                attempts=[viewer.attempt(self._layout, details.record, a) for a in details.attempts],
                earlier=first if 1 < first <= details.record.attempt else None,
                spec=viewer.spec(details),
                unreadable=viewer.unreadable(details),
                waits_for=[{"kind": r.kind, "text": r.text} for r in self._waits_for(details)],
            )

        self._ask(call, "show", call.integer("id"), before, limit, done=_forward(call, done))

    def _viewer(self, call: Call) -> Viewer:
        return Viewer(call, self._health.access())

    def _waits_for(self, details: Details) -> list[Reason]:
        if details.record.state not in (State.QUEUED, State.HELD):
            return []
        found = list(reasons(details.job, self._engine.gate.situation(self._steady(), wall())))
        if trouble := self._health.store_trouble:
            found.append(Reason("store", trouble))
        return found or [Reason("turn", "nothing but its turn: better or older jobs come first")]

    def _logs(self, call: Call) -> None:
        call.allow("id", "attempt", "offset")
        offset = call.integer("offset", 0)

        def done(answer: Answer) -> None:
            details: Details = answer.get()
            if not self._viewer(call).sees(details.record):
                raise denied()
            last = details.record.attempt
            number = call.integer("attempt", last)
            if number > last:
                raise invalid("attempt")
            if number == 0:  # it has not started yet
                found((b"", offset), details, number)
                return
            path = self._layout.output_path(details.record.id, number)
            kept = _kept(details, number)
            self._outputs.ask(
                lambda: read(path, offset, PIECE, kept),
                _forward(call, lambda piece: found(piece.get(), details, number)),
                lambda: call.gone,
            )

        def found(piece: Piece, details: Details, number: int) -> None:
            data, after = piece
            state, last = details.record.state, details.record.attempt
            coming = number == last and (state is State.RUNNING or (number == 0 and not state.final))
            call.reply(
                attempt=number,
                data=base64.b64encode(data).decode(),
                next=after,
                over=not coming and not data,
                last=last,
                state=state,
            )

        before = call.integer("attempt", 2**62 - 1) + 1
        self._ask(call, "show", call.integer("id"), before, 1, done=_forward(call, done))

    def _wait(self, call: Call) -> None:
        call.allow("ids")
        ids = call.integers("ids")
        if not ids or len(ids) > PAGE:
            raise invalid("ids")
        wait = _Wait(call, ids, self._viewer)
        call.when_gone = lambda: self._forget(wait)
        for job in wait.left:
            self._waits.setdefault(job, []).append(wait)
        self._look(sorted(wait.left), wait)

    def _look(self, jobs: list[int], wait: _Wait) -> None:
        def done(answer: Answer) -> None:
            records: list[Record] = answer.get()
            if missing := set(jobs) - {record.id for record in records}:
                raise NoSuchJob(min(missing))
            if any(wait.over(record) for record in records if record.state.final):
                self._forget(wait)

        def failed(error: VarlinkError) -> None:
            self._forget(wait)
            wait.fail(error)

        self._ask(wait.call, "records", jobs, done=_forward(None, done, failed))

    def _job_over(self, job: int) -> None:
        for wait in self._waits.get(job, []):
            self._look([job], wait)

    def _forget(self, wait: _Wait) -> None:
        """It is answered, or whoever waited has left."""
        for job in wait.ids:
            waits = [w for w in self._waits.get(job, []) if w is not wait]
            if waits:
                self._waits[job] = waits
            else:
                self._waits.pop(job, None)

    def _cancel(self, call: Call) -> None:
        call.allow("id")
        job = call.integer("id")

        def looked_up(answer: Answer) -> None:
            if not self._viewer(call).ends(answer.get().record):
                raise denied()
            self._engine.cancel(job, _forward(call, done))

        def done(answer: Answer) -> None:
            answer.get()
            self._ask(call, "show", job, 0, 0, done=_forward(call, shown))

        def shown(answer: Answer) -> None:
            call.reply(job=self._viewer(call).job(answer.get().record))

        # Whoever says it and leaves has said it.
        self._reader.submit("show", job, 0, 0, done=_forward(call, looked_up), lane=(call.uid, "short"))

    def _reload(self, call: Call) -> None:
        call.allow()
        if not call.privileged:
            raise denied()
        call.reply(notes=self._reload_configuration())


class _Wait:
    """Somebody who waits for jobs to be over."""

    def __init__(self, call: Call, ids: list[int], viewer: Callable[[Call], Viewer]) -> None:
        self.call = call
        self._viewer = viewer
        self.ids = ids
        self.left = set(ids)
        self._records: dict[int, Record] = {}
        self._failed = False

    def over(self, record: Record) -> bool:
        """One of them is; True when that was the last."""
        if self._failed or record.id not in self.left:
            return False
        self.left.discard(record.id)
        self._records[record.id] = record
        if self.left:
            if self.call.more:
                self.call.reply(continues=True, jobs=[self._viewer(self.call).job(record)])
            return False
        records = [record] if self.call.more else [self._records[i] for i in dict.fromkeys(self.ids)]
        viewer = self._viewer(self.call)
        self.call.reply(jobs=[viewer.job(r) for r in records])
        return True

    def fail(self, error: VarlinkError) -> None:
        if not self._failed:
            self._failed = True
            self.call.error(error)


def _kept(details: Details, number: int) -> Kept:
    """What the record says of the output of an attempt."""
    size = details.job.spec.output.max_size
    attempt = next((a for a in details.attempts if a.number == number and a.finished is not None), None)
    # Whose worker died did not say what it has kept.
    if attempt is None or attempt.result is Result.LOST:
        return Kept(size)
    return Kept(size, attempt.output, attempt.omitted)


def description() -> str:
    return resources.files(__package__).joinpath(f"{INTERFACE}.varlink").read_text("utf-8")


def _named(error: Exception) -> VarlinkError:
    """Our errors by their names in the interface."""
    if isinstance(error, VarlinkError):
        return error
    if isinstance(error, NoSuchJob):
        return VarlinkError(f"{INTERFACE}.NoSuchJob", id=error.job, message=str(error))
    if isinstance(error, ConfigError):
        return VarlinkError(f"{INTERFACE}.BadConfiguration", message=str(error))
    if isinstance(error, IllegalTransition):
        return VarlinkError(f"{INTERFACE}.NotPossible", message=str(error))
    if not isinstance(error, TaskgateError):  # a bug: the client is told, and so is the journal; the gate goes on
        traceback.print_exception(error)
    return VarlinkError(f"{INTERFACE}.Unavailable", message=str(error) or repr(error))


def _guarded(method: Method) -> Method:
    def call_method(call: Call) -> None:
        try:
            method(call)
        except Exception as error:
            raise _named(error) from error

    return call_method


def _forward(
    call: Call | None, done: Callable[[Answer], None], failed: Callable[[VarlinkError], None] | None = None
) -> Callable[[Answer], None]:
    """A callback that turns what goes wrong in it into an error reply."""

    def answered(answer: Answer) -> None:
        try:
            done(answer)
        except Exception as error:
            if failed is not None:
                failed(_named(error))
            elif call is not None:
                call.error(_named(error))

    return answered
