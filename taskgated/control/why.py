"""``Why``: everything that keeps a job from starting now."""

from __future__ import annotations

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration
from taskgated.control.reasons import with_numbers
from taskgated.control.views import Viewer
from taskgated.control.waiting import Standing, Waiting, standing
from taskgated.core.reasons import known_end
from taskgated.host.clock import MICROSECONDS
from taskgated.protocol.replies import WhyReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer


class Why:
    def __init__(self, asking: Asking, waiting: Waiting, configuration: Configuration) -> None:
        self._asking = asking
        self._waiting = waiting
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("id")
        job = call.integer("id")

        def tell(answer: Answer[Standing]) -> None:
            at = answer.get()
            reasons = self._waiting.reasons(at)
            left = known_end(reasons) if reasons else None
            viewer, record = Viewer(call, self._configuration().access), at.details.record
            shown = viewer.job(record)
            reply = WhyReply(
                id=job,
                state=shown["state"],
                reasons=[with_numbers(reason) for reason in viewer.reasons(record, reasons)],
                position=self._waiting.position(at),
                estimate=None if left is None else left / MICROSECONDS,
                note=self._waiting.stays(at) or shown["reason"],
            )
            call.reply(reply)

        self._asking.ask(call, lambda store: standing(store, job, limit=0), tell)
