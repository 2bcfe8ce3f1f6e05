"""``Show``: all about one job, and everything that it waits for."""

from __future__ import annotations

import os

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration
from taskgated.control.reasons import shown
from taskgated.control.views import Viewer
from taskgated.control.waiting import Standing, Waiting, standing
from taskgated.core.state import State
from taskgated.host.clock import rfc3339
from taskgated.host.paths import Layout
from taskgated.protocol.replies import ShownReason, ShowReply
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer
from taskgated.store.contract import ATTEMPTS, Details
from taskgated.text import to_text

ALL = 2**62
"""More attempts than any job has."""
UNKILLABLE = "unkillable"
"""Of a running job that had to end: what it waits for is no start."""


class Show:
    def __init__(self, asking: Asking, waiting: Waiting, configuration: Configuration, layout: Layout) -> None:
        self._asking = asking
        self._waiting = waiting
        self._configuration = configuration
        self._layout = layout

    def __call__(self, call: Call) -> None:
        call.allow("id", "before", "limit")
        before = call.integer("before", ALL)
        limit = min(ATTEMPTS, call.integer("limit", ATTEMPTS))
        job = call.integer("id")

        def tell(answer: Answer[Standing]) -> None:
            at, viewer = answer.get(), Viewer(call, self._configuration().access)
            details, record = at.details, at.details.record
            first = details.attempts[0].number if details.attempts else before
            reply = ShowReply(
                job=viewer.job(record, details.after),
                attempts=[viewer.attempt(self._layout, record, attempt) for attempt in details.attempts],
                earlier=first if 1 < first <= record.attempt else None,
                spec=viewer.spec(details),
                unreadable=viewer.unreadable(details),
                output_removed=rfc3339(details.output_removed),
                kept=self._kept(details),
                waits_for=self._waits_for(at, viewer),
            )
            call.reply(reply)

        self._asking.ask(call, lambda store: standing(store, job, before, limit), tell)

    def _kept(self, details: Details) -> str | None:
        """Where its file is, as ``intake/failed.py`` has it: its claim is the job's for good."""
        record = details.record
        if details.job.claim is None or not record.state.final or record.state is State.SUCCEEDED:
            return None
        return f"{to_text(os.fsencode(self._layout.failed))}/{record.id}/{record.source}"

    def _waits_for(self, at: Standing, viewer: Viewer) -> list[ShownReason]:
        if text := self._waiting.stays(at):
            return [{"kind": UNKILLABLE, "text": text}]
        return [shown(reason) for reason in viewer.reasons(at.details.record, self._waiting.reasons(at))]
