"""``Release``: let a held job go."""

from __future__ import annotations

from taskgated.control.change import Change
from taskgated.control.needs import JobsByHand
from taskgated.protocol.varlink import Call


class Release:
    def __init__(self, change: Change, by_hand: JobsByHand) -> None:
        self._change = change
        self._by_hand = by_hand

    def __call__(self, call: Call) -> None:
        call.allow("id")
        self._change(call, call.integer("id"), lambda job, done: self._by_hand.release(job, call.by, done))
