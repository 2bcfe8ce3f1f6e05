"""``Cancel``: end a job, or see to it that it never starts."""

from __future__ import annotations

from taskgated.control import needs
from taskgated.control.asking import Asking
from taskgated.control.views import Viewer
from taskgated.protocol.replies import JobReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.contract import Details, Ended


class Cancel:
    def __init__(self, asking: Asking, cancel: needs.Cancel, configuration: needs.Configuration) -> None:
        self._asking = asking
        self._cancel = cancel
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("id")
        job = call.integer("id")

        def look(answer: Answer[Details]) -> None:
            if not (viewer := self._viewer(call)).ends(answer.get().record):
                raise viewer.denied()
            self._cancel(job, call.then(cancelled))

        def cancelled(answer: Answer[Ended]) -> None:
            answer.get()
            self._asking.ask(call, lambda store: store.show(job, 0, 0), tell)

        def tell(answer: Answer[Details]) -> None:
            call.reply(JobReply(job=self._viewer(call).job(answer.get().record)))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.show(job, 0, 0), look, insist=True)

    def _viewer(self, call: Call) -> Viewer:
        return Viewer(call, self._configuration().access)
