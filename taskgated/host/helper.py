"""Work with files that may take long, or for ever, off the main loop: on a thread, one piece after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from taskgated.host.loop import Loop

T = TypeVar("T")


class Helper:
    """Its thread may hang with its disk: nobody waits for it, not even when the daemon ends."""

    def __init__(self, loop: Loop, name: str) -> None:
        self._loop = loop
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def do(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Call ``work``, which raises nothing, on the thread, and then ``done`` with its result on the loop."""

        def worked() -> None:
            result = work()
            if not self._stopped:
                self._loop.post(lambda: done(result))

        self._work.put(worked)

    def stop(self, timeout: float) -> None:
        """End after what is being done. From now on nothing comes back to the loop."""
        self._stopped = True
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if not self._stopped:
                work()
