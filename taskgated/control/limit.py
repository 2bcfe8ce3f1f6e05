"""``Limit``: another limit of a queue, or of all jobs at once, than is configured."""

from __future__ import annotations

from collections.abc import Mapping

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration, Hand
from taskgated.control.queues import known
from taskgated.core.state import State
from taskgated.protocol.replies import LimitReply
from taskgated.protocol.varlink import Call, denied
from taskgated.store.answer import Answer


class Limit:
    def __init__(self, asking: Asking, hand: Hand, configuration: Configuration) -> None:
        self._asking = asking
        self._hand = hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("queue", "limit")
        queue, limit = call.string("queue", "") or None, call.integer("limit", 0) or None
        if not call.privileged:
            raise denied()

        def there(answer: Answer[Mapping[str, Mapping[State, int]]]) -> None:
            if queue is not None:
                known([queue], self._configuration(), answer.get())
            self._hand.limit(queue, limit, call.uid, call.then(tell))

        def tell(answer: Answer[None]) -> None:
            answer.get()
            config = self._configuration()
            configured = config.limit if queue is None else config.queue(queue).limit
            by_hand = next((one.value for one in self._hand.all() if (one.kind, one.of) == ("limit", queue)), None)
            call.reply(LimitReply(limit=configured if by_hand is None else by_hand, configured=configured))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.counts(), there, insist=True)
