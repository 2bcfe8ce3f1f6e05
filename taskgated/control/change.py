"""What all verbs have in common that change one job by hand: who may, and what is answered."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration, Done
from taskgated.control.views import Viewer
from taskgated.protocol.replies import JobReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.contract import Details, Record


class Change:
    """It is for whoever may end that job. The answer is the job as it is then."""

    def __init__(self, asking: Asking, configuration: Configuration) -> None:
        self._asking = asking
        self._configuration = configuration

    def __call__(self, call: Call, job: int, change: Callable[[Record, Done], None]) -> None:
        def look(answer: Answer[Details]) -> None:
            record = answer.get().record
            if not (viewer := self._viewer(call)).ends(record):
                raise viewer.denied()
            change(record, call.then(changed))

        def changed(answer: Answer[None]) -> None:
            answer.get()
            self._asking.ask(call, lambda store: store.show(job, 0, 0), tell)

        def tell(answer: Answer[Details]) -> None:
            call.reply(JobReply(job=self._viewer(call).job(answer.get().record)))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.show(job, 0, 0), look, insist=True)

    def _viewer(self, call: Call) -> Viewer:
        return Viewer(call, self._configuration().access)
