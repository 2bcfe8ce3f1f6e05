"""``List``: jobs, a page of them."""

from __future__ import annotations

from taskgated.control.asking import LISTINGS, Asking
from taskgated.control.needs import Configuration
from taskgated.control.queues import Counts, unknown
from taskgated.control.views import Viewer
from taskgated.core.state import State
from taskgated.protocol.replies import PAGE, ListReply
from taskgated.protocol.varlink import Call, invalid
from taskgated.store.answer import Answer
from taskgated.store.contract import Filter, Page, Questions

ANY = -1
"""Stands for no index; none is that."""


class List:
    def __init__(self, asking: Asking, configuration: Configuration) -> None:
        self._asking = asking
        self._configuration = configuration

    def __call__(self, call: Call) -> None:
        call.allow("after", "limit", "states", "queues", "array", "index")
        limit = min(PAGE, call.integer("limit", PAGE))
        array = call.integer("array", 0)
        index = call.integer("index", ANY)
        if index != ANY and not array:
            raise invalid("index")
        states = [State(s) for s in call.strings("states", list(State))]
        only = Filter(states, call.strings("queues"), array or None, None if index == ANY else index)
        after = call.integer("after", 0)

        def ask(store: Questions) -> tuple[Page, int | None, Counts | None]:
            coming = (
                store.array(array).coming if array else None
            )  # first: what comes in between is on the page as well
            page = store.list(after, limit, only)
            unseen = only.queues and not page.records and not after  # there may be no such queue
            return page, coming, store.counts() if unseen else None

        def tell(answer: Answer[tuple[Page, int | None, Counts | None]]) -> None:
            (page, coming, counts), viewer = answer.get(), Viewer(call, self._configuration().access)
            strange = () if counts is None else unknown(only.queues, self._configuration(), counts)
            jobs = [viewer.job(record, page.after.get(record.id, ())) for record in page.records]
            call.reply(ListReply(jobs=jobs, next=page.next, coming=coming, unknown=[*strange]))

        self._asking.ask(call, ask, tell, kind=LISTINGS)
