"""Who the users are whom the configuration names: their numbers, by the user database of the host.

A name that the host does not know, or not now, is looked up again and again; until then nothing holds that is said of
it, and notes say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskgated.core.capacity import Policy
from taskgated.host import users
from taskgated.host.helper import Helper
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop, Timer
from taskgated.language.config import Config

AGAIN = 60.0
"""Seconds between two questions about names that are not known."""


class Members:
    """``changed`` is told of the policy when more of it holds, as somebody is known now. ``now``: the configuration
    that is in force."""

    def __init__(self, loop: Loop, helper: Helper, now: Callable[[], Config]) -> None:
        self._loop = loop
        self._helper = helper
        self._now = now
        self._uids: Mapping[str, int | None] = {}
        self._timer: Timer | None = None
        self.changed = Listeners[Policy]()

    def policy(self, config: Config) -> Policy:
        """What the gate decides by, now that this configuration comes into force."""
        self._uids = {**users.uids(config.users)} if config.users else {}
        self._plan(config)
        return config.policy(self._uids)

    @property
    def notes(self) -> list[str]:
        return self._now().strangers(self._uids)

    def _plan(self, config: Config) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if config.strangers(self._uids):
            self._timer = self._loop.after(AGAIN, self._again)

    def _again(self) -> None:
        config = self._now()

        def told(found: Mapping[str, int | None]) -> None:
            if self._now() is not config:  # they were looked up with the new one
                return
            before, self._uids = config.policy(self._uids), {**self._uids, **found}
            if config.policy(self._uids) != before:
                self.changed.tell(config.policy(self._uids))
            self._plan(config)

        self._helper.do(lambda: users.uids(config.users), told)
