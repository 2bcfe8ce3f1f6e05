"""Reading the outputs of jobs beside the main loop, for their disk may hang: a mount whose server is away. The client
that asks for an output is then told so, while all else goes on.

One thread reads, one piece after the other. Each connection has one question under way, so that no client keeps the
others from their turn, and there are never more questions than connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from taskgated.errors import TaskgateError
from taskgated.host.helper import Helper
from taskgated.host.loop import Loop, Timer
from taskgated.store.answer import Answer

PATIENCE = 5.0
"""Seconds that a piece may take, the wait for others included, before the answer is that it cannot be had."""

HUNG = "the disk of the outputs does not answer"

Piece = tuple[bytes, int]
"""The bytes, and the offset to read on from."""


class OutputTrouble(TaskgateError):
    """An output cannot be read, or not now."""


_HUNG = Answer[Piece].failed(OutputTrouble(HUNG))


@dataclass(slots=True)
class _Request:
    done: Callable[[Answer[Piece]], None]
    timer: Timer | None = None
    over: bool = False

    def answer(self, answer: Answer[Piece]) -> None:
        """The first counts."""
        if not self.over:
            self.over = True
            if self.timer is not None:
                self.timer.cancel()
            self.done(answer)


class Outputs:
    """``ask`` returns at once; ``done`` is called on the loop's thread, once, with a ``Piece``."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._helper = Helper(loop, "outputs")
        self._began: float | None = None  # when the read under way began; the thread's to write

    def start(self) -> None:
        self._helper.start()

    def stop(self, timeout: float) -> None:
        self._helper.stop(timeout)

    @property
    def alive(self) -> bool:
        return self._helper.alive

    @property
    def trouble(self) -> str:
        """What is wrong, in words; "" when nothing is."""
        began = self._began
        return HUNG if began is not None and time.monotonic() - began > PATIENCE else ""

    def ask(self, read: Callable[[], Piece], done: Callable[[Answer[Piece]], None], gone: Callable[[], bool]) -> None:
        """``read`` runs on the thread, unless the client is ``gone`` by then; it raises ``OSError`` at most."""
        if self.trouble:  # and so what waits for that disk does not pile up
            done(_HUNG)
            return
        request = _Request(done)
        request.timer = self._loop.after(PATIENCE, lambda: request.answer(_HUNG))

        def work() -> Answer[Piece]:
            if request.over or gone():
                return _HUNG  # nobody hears it
            self._began = time.monotonic()
            try:
                return Answer.of(read())
            except OSError as error:
                return Answer.failed(OutputTrouble(f"the output cannot be read: {error}"))
            finally:
                self._began = None

        self._helper.do(work, request.answer)
