"""``Resume``: a queue that was paused goes on, or all do."""

from __future__ import annotations

from taskgated.control.needs import Hand
from taskgated.protocol.replies import ResumeReply
from taskgated.protocol.varlink import Call, denied
from taskgated.store.answer import Answer


class Resume:
    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def __call__(self, call: Call) -> None:
        call.allow("queues")
        queues = call.strings("queues")
        if not call.privileged:
            raise denied()

        def tell(answer: Answer[None]) -> None:
            answer.get()
            paused = self._hand.paused()
            call.reply(ResumeReply(paused=sorted(one for one in paused if one is not None), all=None in paused))

        self._hand.resume(queues, call.uid, call.then(tell))
