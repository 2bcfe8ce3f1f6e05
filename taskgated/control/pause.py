"""``Pause``: nothing of a queue starts any more, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration, Hand
from taskgated.control.queues import known
from taskgated.core.state import State
from taskgated.protocol.replies import PauseReply
from taskgated.protocol.varlink import Call, denied
from taskgated.store.answer import Answer


class Pause:
    def __init__(self, asking: Asking, hand: Hand, configuration: Configuration) -> None:
        self._asking = asking
        self._hand = hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("queues")
        queues = call.strings("queues")
        if not call.privileged:
            raise denied()

        def there(answer: Answer[Mapping[str, Mapping[State, int]]]) -> None:
            known(queues, self._configuration(), answer.get())
            self._hand.pause(queues, call.by, call.then(tell))

        def tell(answer: Answer[None]) -> None:
            answer.get()
            paused = self._hand.paused()
            call.reply(PauseReply(paused=sorted(one for one in paused if one is not None), all=None in paused))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.counts(), there, insist=True)
