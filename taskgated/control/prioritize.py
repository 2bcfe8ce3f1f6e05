"""``Prioritize``: a job that waits gets another priority."""

from __future__ import annotations

from taskgated.control.change import Change
from taskgated.control.needs import JobsByHand
from taskgated.core.fixed import HIGHEST_PRIORITY
from taskgated.protocol.varlink import Call, invalid


class Prioritize:
    def __init__(self, change: Change, by_hand: JobsByHand) -> None:
        self._change = change
        self._by_hand = by_hand

    def __call__(self, call: Call) -> None:
        call.allow("id", "priority")
        priority = call.integer("priority")
        if priority > HIGHEST_PRIORITY:
            raise invalid("priority")
        self._change(
            call, call.integer("id"), lambda job, done: self._by_hand.prioritize(job, priority, call.by, done)
        )
