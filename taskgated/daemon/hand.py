"""What operators may set by hand, for those who do so over the control socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskgated.control.needs import ByHand
from taskgated.core.owner import Owner
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.limits import Limits
from taskgated.daemon.overrides import LIMIT, PAUSE, TOKENS, Override, Overrides
from taskgated.daemon.pauses import Pauses
from taskgated.store.answer import Answer
from taskgated.text import counted


class Hand:
    """Each kind of override has a part that knows what it means; a new one has its words in ``_text``."""

    def __init__(self, overrides: Overrides, pauses: Pauses, limits: Limits, ledger: Ledger) -> None:
        self._overrides = overrides
        self._pauses = pauses
        self._limits = limits
        self._ledger = ledger

    def pause(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> None:
        self._pauses.pause(queues, by, done)

    def resume(self, queues: Sequence[str], by: Owner, done: Callable[[Answer[None]], None]) -> Sequence[str]:
        opened = [queue for queue in dict.fromkeys(queues) if self._ledger.resumed(queue, by)]
        self._pauses.resume(queues, by, done)
        return opened

    def paused(self) -> Sequence[str | None]:
        return self._pauses.paused()

    def limit(self, queue: str | None, limit: int | None, by: Owner, done: Callable[[Answer[None]], None]) -> None:
        self._limits.set(LIMIT, queue, limit, by, done)

    def tokens(self, token: str, total: int | None, by: Owner, done: Callable[[Answer[None]], None]) -> None:
        self._limits.set(TOKENS, token, total, by, done)

    def all(self) -> Sequence[ByHand]:
        return [ByHand(one.kind, one.of, one.value, one.at, one.by, _said(one)) for one in self._overrides.all()]


def _said(override: Override) -> str:
    lost = ", as what was set cannot be read: set it again, or take it back" * override.lost
    return f"{_text(override)}{lost}"


def _text(override: Override) -> str:
    match override.kind, override.of:
        case (kind, None) if kind == PAUSE:
            return "all queues are paused"
        case kind, of if kind == PAUSE:
            return f"queue {of} is paused"
        case (kind, None) if kind == LIMIT:
            return f"at most {counted(override.value or 0, 'job')} at once over all queues"
        case kind, of if kind == LIMIT:
            return f"queue {of} has limit {override.value}"
        case kind, of if kind == TOKENS:
            return f"there are {override.value} of the tokens {of}"
        case _:  # of a later version
            return f"{override.name} is set, and this version does not know what that is"
