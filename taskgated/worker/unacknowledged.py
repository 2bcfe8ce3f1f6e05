"""Outcomes that a worker keeps until a daemon has acknowledged them: in memory, and in files when it is asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskgated.attempts.outcomes import Outcomes
from taskgated.core.job import Outcome
from taskgated.protocol.messages import Key


class Unacknowledged:
    """Iterates over them, the oldest first. ``say`` tells people of a disk that does not take one, and of its end."""

    def __init__(self, outcomes: Outcomes, say: Callable[[str], None]) -> None:
        self._outcomes = outcomes
        self._say = say
        self._those: dict[Key, Outcome] = {}
        self._put_down: set[Key] = set()
        self._told = False  # it has been said that one cannot be put down

    def __bool__(self) -> bool:
        return bool(self._those)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._those.values())

    @property
    def last(self) -> Key | None:
        """The attempt whose end is the latest."""
        return next(reversed(self._those), None)

    @property
    def safe(self) -> bool:
        """All of them are in files: a worker that exits takes none to the grave."""
        return len(self._put_down) == len(self._those)

    def add(self, outcome: Outcome) -> None:
        self._those[outcome.job, outcome.attempt] = outcome

    def put_down(self) -> None:
        """Put into files what is not in one. What the disk does not take is tried the next time."""
        for key, outcome in self._those.items():
            if key not in self._put_down:
                try:
                    self._outcomes.write(outcome)
                except OSError as error:
                    if not self._told:
                        self._say(f"cannot keep the outcome of {key[0]}.{key[1]}, trying again and again: {error}")
                    self._told = True
                else:
                    self._put_down.add(key)
        self._tell_if_safe()

    def acknowledged(self, key: Key) -> None:
        self._those.pop(key, None)
        if key in self._put_down:
            self._put_down.discard(key)
            self._outcomes.forget(*key)
        self._tell_if_safe()

    def _tell_if_safe(self) -> None:
        if self._told and self.safe:
            self._told = False
            self._say("no outcome has to be kept any more" if not self._put_down else "the outcome is kept now")
