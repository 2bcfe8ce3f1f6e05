"""``CancelArray``: end all of an array, also what is still to come of it."""

from __future__ import annotations

from taskgated.control import needs
from taskgated.control.asking import Asking
from taskgated.control.views import Viewer
from taskgated.protocol.replies import CancelArrayReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.arrays import Group


class CancelArray:
    def __init__(self, asking: Asking, cancel: needs.CancelArray, configuration: needs.Configuration) -> None:
        self._asking = asking
        self._cancel = cancel
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("array")
        array = call.integer("array")

        def look(answer: Answer[Group]) -> None:
            if not (viewer := Viewer(call, self._configuration().access)).ends(answer.get()):
                raise viewer.denied()
            self._cancel(array, call.then(cancelled))

        def cancelled(answer: Answer[tuple[int, int]]) -> None:
            over, ending = answer.get()
            self._asking.ask(call, lambda store: store.array(array), lambda answer: tell(answer, over, ending))

        def tell(answer: Answer[Group], over: int, ending: int) -> None:
            call.reply(CancelArrayReply(cancelled=over, ending=ending, coming=answer.get().coming))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.array(array), look, insist=True)
