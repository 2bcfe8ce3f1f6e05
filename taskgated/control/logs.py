"""``Logs``: a piece of the output of an attempt."""

from __future__ import annotations

import base64

from taskgated.attempts import outputs
from taskgated.attempts.reader import Kept, read
from taskgated.control.asking import Asking
from taskgated.control.needs import Configuration
from taskgated.control.reading import Outputs, Piece
from taskgated.control.views import Viewer
from taskgated.core.job import NEVER_RAN, Result
from taskgated.core.places import stream_paths
from taskgated.core.state import State
from taskgated.host.clock import rfc3339
from taskgated.host.paths import Layout
from taskgated.protocol.replies import LogsReply
from taskgated.protocol.varlink import Call, invalid
from taskgated.store.answer import Answer
from taskgated.store.contract import Details

PIECE = 64 * 1024
"""Bytes of an output in one answer."""
LAST = 2**62 - 1
"""Stands for the job's last attempt; no job has so many."""


class Logs:
    def __init__(self, asking: Asking, outputs: Outputs, configuration: Configuration, layout: Layout) -> None:
        self._asking = asking
        self._outputs = outputs
        self._configuration = configuration
        self._layout = layout

    def __call__(self, call: Call) -> None:
        call.allow("id", "attempt", "offset")
        offset = call.integer("offset", 0)
        attempt = call.integer("attempt", LAST)
        job = call.integer("id")

        def look(answer: Answer[Details]) -> None:
            details = answer.get()
            if not (viewer := Viewer(call, self._configuration().access)).sees(details.record):
                raise viewer.denied()
            last = details.record.attempt
            number = last if call.parameters.get("attempt") is None else attempt
            if number > last:
                raise invalid("attempt")
            if number == 0:  # it has not started yet
                _tell(call, (b"", offset), details, number)
                return
            path, kept = outputs.path(self._layout.log, details.record.id, number), _kept(details, number)

            def tell(piece: Answer[Piece]) -> None:
                _tell(call, piece.get(), details, number)

            self._outputs.ask(lambda: read(path, offset, PIECE, kept), call.then(tell), lambda: call.gone)

        self._asking.ask(call, lambda store: store.show(job, attempt + 1, 1), look)


def _tell(call: Call, piece: Piece, details: Details, number: int) -> None:
    data, after = piece
    state, last = details.record.state, details.record.attempt
    coming = number == last and (state is State.RUNNING or (number == 0 and not state.final))
    reply = LogsReply(
        attempt=number,
        data=base64.b64encode(data).decode(),
        next=after,
        over=not coming and not data,
        last=last,
        state=state,
        output_removed=rfc3339(details.output_removed),
        stdout=_elsewhere(details, "stdout", number),
        stderr=_elsewhere(details, "stderr", number),
    )
    call.reply(reply)


def _elsewhere(details: Details, stream: str, number: int) -> str | None:
    """The whole path of the file that takes that stream of an attempt; None if it has none, or never had its program
    started."""
    attempt = next((a for a in details.attempts if a.number == number), None)
    if attempt is None or attempt.message.startswith(NEVER_RAN):
        return None
    job = details.job
    return stream_paths(job.spec, job.id, number, job.array).get(stream)


def _kept(details: Details, number: int) -> Kept:
    """What the record says of the output of an attempt."""
    size = details.job.spec.output.max_size
    attempt = next((a for a in details.attempts if a.number == number and a.finished is not None), None)
    # Of a worker that died nobody has heard what it has kept.
    if attempt is None or attempt.result is Result.LOST:
        return Kept(size)
    return Kept(size, attempt.output, attempt.omitted)
