"""``Tokens``: another number of tokens of one kind than is configured."""

from __future__ import annotations

from taskgated.control.needs import Configuration, Hand
from taskgated.protocol.replies import TokensReply
from taskgated.protocol.varlink import Call, denied, invalid
from taskgated.store.answer import Answer


class Tokens:
    def __init__(self, hand: Hand, configuration: Configuration) -> None:
        self._hand = hand
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("token", "total")
        token, total = call.string("token"), call.integer("total", -1)
        if not call.privileged:
            raise denied()
        if token not in self._configuration().tokens:
            raise invalid("token")

        def tell(answer: Answer[None]) -> None:
            answer.get()
            configured = self._configuration().tokens.get(token, 0)
            by_hand = next((one.value for one in self._hand.all() if (one.kind, one.of) == ("tokens", token)), None)
            call.reply(TokensReply(total=configured if by_hand is None else by_hand, configured=configured))

        self._hand.tokens(token, None if total < 0 else total, call.by, call.then(tell))
