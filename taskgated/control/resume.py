"""``Resume``: a queue that was paused, or closed as its jobs failed, goes on, or all that were paused do."""

from __future__ import annotations

from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration, Hand
from taskgated.control.queues import Counts, known
from taskgated.protocol.replies import ResumeReply
from taskgated.protocol.varlink import Call, denied
from taskgated.store.answer import Answer


class Resume:
    def __init__(self, asking: Asking, hand: Hand, configuration: Configuration) -> None:
        self._asking = asking
        self._hand = hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("queues")
        queues = call.strings("queues")
        if not call.privileged:
            raise denied()

        opened: list[str] = []

        def there(answer: Answer[Counts]) -> None:
            # One that is paused goes on also if nothing else is known of it any more.
            known(queues, self._configuration(), answer.get(), self._hand.paused())
            opened.extend(self._hand.resume(queues, call.by, call.then(tell)))

        def tell(answer: Answer[None]) -> None:
            answer.get()
            paused = self._hand.paused()
            named = sorted(one for one in paused if one is not None)
            call.reply(ResumeReply(paused=named, all=None in paused, opened=opened))

        # A client that says it and leaves has said it.
        self._asking.ask(call, lambda store: store.counts(), there, insist=True)
