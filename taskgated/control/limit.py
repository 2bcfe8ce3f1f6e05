"""``Limit``: another limit of a queue, or of all jobs at once, than is configured."""

from __future__ import annotations

from collections.abc import Mapping

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration, Hand, Work
from taskgated.control.queues import known
from taskgated.core.state import State
from taskgated.protocol.replies import LimitReply
from taskgated.protocol.varlink import Call, denied
from taskgated.store.answer import Answer


class Limit:
    def __init__(self, asking: Asking, work: Work, hand: Hand, configuration: Configuration) -> None:
        self._asking = asking
        self._work = work
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
            self._hand.limit(queue, limit, call.by, call.then(tell))

        def tell(answer: Answer[None]) -> None:
            answer.get()
            config = self._configuration()
            configured = config.limit if queue is None else config.queue(queue).limit
            by_hand = next((one.value for one in self._hand.all() if (one.kind, one.of) == ("limit", queue)), None)
            auto = None if queue is None else self._work.adjusting().get(queue)
            said = configured if by_hand is None else by_hand
            too_much = None if by_hand is None else config.beyond_workers(_named(queue), by_hand)
            reply = LimitReply(
                limit=said if auto is None else auto if said is None else min(auto, said),
                configured=configured,
                auto=auto,
                by_hand=by_hand,
                notes=[] if too_much is None else [too_much],
            )
            call.reply(reply)

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.counts(), there, insist=True)


def _named(queue: str | None) -> str:
    return "the limit of all jobs" if queue is None else f"queue {queue}: its limit"
