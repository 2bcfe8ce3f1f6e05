"""Which queued jobs can never start as the gate is configured now: for ``Status``, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from taskgated.control.reasons import worded
from taskgated.core.machine import Figure
from taskgated.core.reasons import MachineTight, OutsideWindows, Reason
from taskgated.core.shortages import TokensShort
from taskgated.core.state import State
from taskgated.host.pressure import total_memory
from taskgated.language.units import format_size_about
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
        if (why := _for_good(reason)) and (jobs := _queued(backlog.counts, queue)):
            what = f"{counted(jobs, 'queued job')} of queue {queue} never {'starts' if jobs == 1 else 'start'}"
            yield {
                "kind": reason.kind,
                "of": queue,
                "jobs": jobs,
                "more": False,
                "text": f"{what}: {why}",
                "some": [],
            }


def _for_good(reason: Reason) -> str:
    """Why what closes a queue never ends; "" if it may."""
    match reason:
        case OutsideWindows(_, None):
            return "none of its windows opens any more"
        case MachineTight(_, figures):
            total = total_memory()
            memory = max((tight.until for tight in figures if tight.figure is Figure.MEMORY), default=0)
            if total is not None and memory > total:
                return f"the machine has {format_size_about(total)} of memory, and more have to be available"
    return ""


def _queued(counts: Mapping[str, Mapping[State, int]], queue: str | None) -> int:
    return counts.get(queue or "", {}).get(State.QUEUED, 0)
