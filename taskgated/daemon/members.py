"""Who the users are whom the configuration names: the owners of jobs (``core/owner.py``), by the user database.

Mostly a name means the owner of that name, but it may be another name of somebody, or a number. One that the host
does not know, or not now, is looked up again and again; until then it means itself, and notes say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskgated.core.capacity import Policy
from taskgated.host.helper import Helper
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop, Timer
from taskgated.host.names import Names
from taskgated.language.config import Config

AGAIN = 60.0
"""Seconds between two questions about names that are not known."""


class Members:
    """``changed`` is told of the policy when more of it holds, as somebody is known now. ``now``: the configuration
    that is in force."""

    def __init__(self, loop: Loop, helper: Helper, names: Names, now: Callable[[], Config]) -> None:
        self._loop = loop
        self._helper = helper
        self._names = names
        self._now = now
        self._owners: Mapping[str, str | None] = {}
        self._timer: Timer | None = None
        self.changed = Listeners[Policy]()

    def policy(self, config: Config) -> Policy:
        """What the gate decides by, now that this configuration comes into force."""
        self._owners = self._names.meant(config.users) if config.users else {}
        self._plan(config)
        return config.policy(self._owners)

    @property
    def notes(self) -> list[str]:
        unnamed = [
            f"who has uid {uid} could not be told when the gate started: that user's jobs, those of an earlier "
            "version and new ones, go by the number until the gate starts again"
            for uid in sorted(self._names.unnamed)
        ]
        return self._now().strangers(self._owners) + unnamed

    def _plan(self, config: Config) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if config.strangers(self._owners):
            self._timer = self._loop.after(AGAIN, self._again)

    def _again(self) -> None:
        config = self._now()

        def told(found: Mapping[str, str | None]) -> None:
            if self._now() is not config:  # they were looked up with the new one
                return
            before, self._owners = config.policy(self._owners), {**self._owners, **found}
            if config.policy(self._owners) != before:
                self.changed.tell(config.policy(self._owners))
            self._plan(config)

        self._helper.do(lambda: self._names.meant(config.users), told)
