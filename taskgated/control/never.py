"""Which queued jobs can never start as the gate is configured now: for ``Status``, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from taskgated.control.reasons import worded
from taskgated.core.reasons import OutsideWindows, Reason
from taskgated.core.shortages import TokensShort
from taskgated.core.state import State
from taskgated.protocol.replies import ShownNever
from taskgated.store.contract import Backlog
from taskgated.store.waiting import BEYOND_COUNTED, Beyond
from taskgated.text import counted


def never(
    beyond: Iterable[Beyond], closed: Iterable[tuple[str | None, Reason]], backlog: Backlog
) -> Iterator[ShownNever]:
    """``closed``: the queues of which nothing may start now."""
    for one in beyond:
        more = one.jobs >= BEYOND_COUNTED
        take = "takes" if one.jobs == 1 else "take"
        many = f"{'at least ' * more}{counted(one.jobs, 'queued job')}"
        yield {
            "kind": TokensShort.kind,
            "of": one.token,
            "jobs": one.jobs,
            "more": more,
            "text": f"{many} {take} more of the tokens {one.token} than there are in all ({one.total})",
            "some": [
                {"id": job, "text": worded(TokensShort(one.token, needed, one.total, one.total))}
                for job, needed in one.some.items()
            ],
        }
    for queue, reason in closed:
        if isinstance(reason, OutsideWindows) and reason.opens is None and (jobs := _queued(backlog.counts, queue)):
            what = f"{counted(jobs, 'queued job')} of queue {queue} never {'starts' if jobs == 1 else 'start'}"
            yield {
                "kind": reason.kind,
                "of": queue,
                "jobs": jobs,
                "more": False,
                "text": f"{what}: none of its windows opens any more",
                "some": [],
            }


def _queued(counts: Mapping[str, Mapping[State, int]], queue: str | None) -> int:
    return counts.get(queue or "", {}).get(State.QUEUED, 0)
