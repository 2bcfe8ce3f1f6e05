"""Which queues take data: what is dropped there is for a handler, and never runs, whatever becomes of the handler.

A queue whose handler is taken out of the configuration, by a drop-in that was removed or by another name, looks like
one that never had any. Those who drop their data there know nothing of that, and it would run as commands. So the
store remembers such queues, before anything is done under a configuration. What lies in them waits for a
configuration with a handler, or for one that says ``handler: none``: then what is dropped there runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskgated.intake.claimed import Claimed
from taskgated.intake.events import HandlersMissing, Sink, Tell
from taskgated.language.config import Config, QueueConfig


class DataQueues:
    """For the intake thread."""

    def __init__(self, sink: Sink, tell: Tell) -> None:
        self._sink = sink
        self._tell = tell
        self._queues: frozenset[str] = frozenset()
        self._told: tuple[str, ...] = ()  # why files wait

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

    def tell_waiting(
        self, config: Config, queues: Iterable[str], unexplained: Iterable[Claimed], *, more: bool
    ) -> None:
        """Say why files wait, if that is news. ``queues``: where some were seen to wait; ``unexplained``: claimed
        ones. While there is ``more`` to look at, it is not known yet that none is left."""
        lacking = [queue for queue in queues if self.lacks_handler(config.queue(queue))]
        why = tuple(reasons(config, lacking, unexplained))
        if set(why) - set(self._told) or (why != self._told and not more):
            self._told = why
            self._tell(HandlersMissing(why))


def reasons(config: Config, waiting: Iterable[str], unexplained: Iterable[Claimed]) -> Iterator[str]:
    """Why files wait, in words. ``waiting``: the queues in which some do; ``unexplained``: claimed ones."""
    claimed = {file.queue: file.kind for file in unexplained}
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
