"""``Move``: a job that waits goes over to another queue."""

from __future__ import annotations

from collections.abc import Mapping

from taskgated.control.asking import Asking
from taskgated.control.change import Change
from taskgated.control.needs import Configuration, JobsByHand
from taskgated.control.queues import known
from taskgated.core.state import State
from taskgated.protocol.varlink import Call
from taskgated.store.answer import Answer


class Move:
    def __init__(self, asking: Asking, change: Change, by_hand: JobsByHand, configuration: Configuration) -> None:
        self._asking = asking
        self._change = change
        self._by_hand = by_hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("id", "queue")
        job, queue = call.integer("id"), call.string("queue")

        def there(answer: Answer[Mapping[str, Mapping[State, int]]]) -> None:
            known([queue], self._configuration(), answer.get())
            self._change(
                call, job, lambda job, done: self._by_hand.move(job, queue, call.by, done, anyhow=call.privileged)
            )

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.counts(), there, insist=True)
