"""``Wait``: the answer comes when jobs are over."""

from __future__ import annotations

from collections.abc import Sequence

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration
from taskgated.control.views import Viewer
from taskgated.errors import NoSuchJob
from taskgated.host.listeners import Listeners
from taskgated.protocol.replies import PAGE, WaitReply
from taskgated.protocol.varlink import Call, invalid
from taskgated.store.answer import Answer
from taskgated.store.contract import Record


class Wait:
    """``over`` tells the id of each job that is over. What it tells only leads to a look into the store, which alone
    says how the job ended: so it does not matter whether that was told, or was so before."""

    def __init__(self, asking: Asking, over: Listeners[int], configuration: Configuration) -> None:
        self._asking = asking
        self._configuration = configuration
        self._waiting: dict[int, list[_Waiting]] = {}  # by each job
        over.add(self._job_over)

    def __call__(self, call: Call) -> None:
        call.allow("ids")
        ids = call.integers("ids")
        if not ids or len(ids) > PAGE:
            raise invalid("ids")
        waiting = _Waiting(call, ids, self._configuration)
        call.when_gone = lambda: self._forget(waiting)
        for job in waiting.left:
            self._waiting.setdefault(job, []).append(waiting)
        self._look(sorted(waiting.left), waiting)

    def _look(self, jobs: Sequence[int], waiting: _Waiting) -> None:
        def done(answer: Answer[Sequence[Record]]) -> None:
            try:
                records = answer.get()
                if missing := set(jobs) - {record.id for record in records}:
                    raise NoSuchJob(min(missing))
                for record in records:
                    waiting.hear(record)
            except Exception:
                self._forget(waiting)
                raise
            if not waiting.left:
                self._forget(waiting)

        self._asking.ask(waiting.call, lambda store: store.records(jobs), done)

    def _job_over(self, job: int) -> None:
        for waiting in self._waiting.get(job, []):
            self._look([job], waiting)

    def _forget(self, waiting: _Waiting) -> None:
        """It is answered, or its client has left."""
        for job in waiting.ids:
            others = [other for other in self._waiting.get(job, []) if other is not waiting]
            if others:
                self._waiting[job] = others
            else:
                self._waiting.pop(job, None)


class _Waiting:
    """A call that is not answered yet. ``left``: the jobs that are not over, for all it has heard."""

    def __init__(self, call: Call, ids: Sequence[int], configuration: Configuration) -> None:
        self.call = call
        self.ids = ids
        self.left = set(ids)
        self._configuration = configuration
        self._over: dict[int, Record] = {}

    def hear(self, record: Record) -> None:
        """So it is now with one of the jobs."""
        if not record.state.final or record.id not in self.left or self.call.answered:
            return
        self.left.discard(record.id)
        self._over[record.id] = record
        if not self.left:
            self._tell([record] if self.call.more else [self._over[job] for job in dict.fromkeys(self.ids)])
        elif self.call.more:
            self._tell([record], continues=True)

    def _tell(self, records: Sequence[Record], *, continues: bool = False) -> None:
        viewer = Viewer(self.call, self._configuration().access)
        self.call.reply(WaitReply(jobs=[viewer.job(record) for record in records]), continues=continues)
