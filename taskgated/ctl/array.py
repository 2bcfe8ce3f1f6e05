"""The jobs of an array, asked for page by page; and jobs as the command line names them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from taskgated.core.state import State
from taskgated.ctl.client import Client, NotSo
from taskgated.ctl.verb import ELEMENT, number
from taskgated.protocol.replies import LIST, PAGE, ListReply
from taskgated.text import quoted


@dataclass(frozen=True, slots=True)
class Named:
    """A job by its ``id``; or, with an ``index``, by that and the id of its array, as Slurm has it."""

    id: int
    index: int | None = None


def named_job(text: str) -> Named:
    """The type of an argument that names a job: ``ID``, or ``ID_INDEX``."""
    if element := ELEMENT.fullmatch(text):
        return Named(int(element[1]), int(element[2]))
    if (id_ := number(text)) is None:
        what = "taskgatectl list shows those of the jobs; ID_INDEX is one of an array"
        raise argparse.ArgumentTypeError(f"{quoted(text)} is no id: {what}")
    return Named(id_)


def id_of(gate: Client, named: Named) -> int:
    """Raises ``NotSo`` if the array has no such job, and ``CallError`` if there is no such array. Of an id that is
    given it is not asked whether there is such a job."""
    if named.index is None:
        return named.id
    coming = 0
    for page in pages_of(gate, named.id, index=named.index):
        if page["jobs"]:
            return page["jobs"][0]["id"]
        coming = page.get("coming") or 0
    more = f"; {still_to_come(coming)}" if coming else ""
    raise NotSo(f"array {named.id} has no job with index {named.index}{more}")


def pages_of(
    gate: Client, array: int, *, after: int = 0, index: int | None = None, states: Sequence[State] = ()
) -> Iterator[ListReply]:
    """Its jobs with ids over ``after``, oldest first; or the one with that index; of all states, or of these."""
    only: dict[str, object] = {} if index is None else {"index": index}
    if states:
        only["states"] = list(states)
    go_on: int | None = after
    while go_on is not None:
        page = gate.ask(LIST, after=go_on, limit=PAGE, array=array, **only)
        yield page
        go_on = page["next"]


def still_to_come(jobs: int) -> str:
    return f"{jobs} of its jobs {'is' if jobs == 1 else 'are'} still to come"
