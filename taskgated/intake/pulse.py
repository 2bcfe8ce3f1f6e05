"""Whether intake is alive: its thread goes round, or comes on with the round that it is in.

Another thread asks, intake answers with its next round. A round may take long, with a large batch on a slow disk; so
every step of it counts as well.
"""

from __future__ import annotations

from collections.abc import Callable


class Pulse:
    """``wake``: makes a thread that sleeps go round. ``steps`` of its work are counted by the parts that take them.
    ``question`` and ``answered`` are the numbers of the last question and of the last that has its answer."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.steps = 0
        self._wake = wake
        self.question = self.answered = 0
        self._seen = 0  # of the steps, when it was last asked

    def felt(self) -> bool:
        """Whether the thread has answered, or has done anything, since this was last asked. For another thread."""
        answered = self.answered == self.question
        if answered:
            self.question += 1
            self._wake()
        seen, self._seen = self._seen, self.steps
        return answered or seen != self._seen

    @property
    def asked(self) -> bool:
        """There is a question without an answer."""
        return self.question != self.answered

    def answer(self, question: int) -> None:
        """Answer that question, and those before it."""
        self.answered = question
