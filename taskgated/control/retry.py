"""``Retry``: a job that is over, and has not succeeded, runs again."""

from __future__ import annotations

from taskgated.control.change import Change
from taskgated.control.needs import JobsByHand
from taskgated.protocol.varlink import Call


class Retry:
    def __init__(self, change: Change, by_hand: JobsByHand) -> None:
        self._change = change
        self._by_hand = by_hand

    def __call__(self, call: Call) -> None:
        call.allow("id")
        self._change(call, call.integer("id"), lambda job, done: self._by_hand.retry(job, call.by, done))
