"""Which queues take data: what is dropped there is for a handler, and never runs, whatever becomes of the handler.

A queue whose handler is taken out of the configuration, by a drop-in that was removed or by another name, looks like
one that never had any. Those who drop their data there know nothing of that, and it would run as commands. So the
store remembers such queues, before anything is done under a configuration. What lies in them waits for a
configuration with a handler, or for one that says ``handler: none``: then what is dropped there runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskgated.config import Config, QueueConfig
from taskgated.intake.events import Sink
from taskgated.intake.taken import Taken


class DataQueues:
    """For the intake thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._queues: frozenset[str] = frozenset()

    def learn(self, config: Config) -> None:
        """Remember what the configuration says of its queues."""
        known = frozenset(self._sink.data_queues())
        taking = {queue.name for queue in config.queues.values() if queue.handler is not None}
        running = {queue.name for queue in config.queues.values() if queue.runs}
        self._queues = (known | taking) - running
        if self._queues != known:
            self._sink.keep_data_queues(sorted(self._queues))

    def lacks_handler(self, queue: QueueConfig) -> bool:
        """Whether what is dropped for this queue has to wait."""
        return queue.handler is None and queue.name in self._queues


def reasons(config: Config, waiting: Iterable[str], unexplained: Iterable[Taken]) -> Iterator[str]:
    """Why files wait, in words. ``waiting``: the queues in which some do; ``unexplained``: claimed ones."""
    claimed = {taken.queue: taken.kind for taken in unexplained}
    for name in sorted({*waiting, *claimed}):
        mark = config.queue(name).mark
        if mark:
            kind = claimed[name]
            yield f"files for queue {name} wait: they were claimed as {kind}, and its handler takes {mark} now"
        else:
            yield (
                f"files for queue {name} wait: they are data, and the configuration has no handler for them "
                "('handler: none' would run them)"
            )
