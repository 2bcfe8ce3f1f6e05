"""What operators have set by hand of how much there is: limits of queues, and of all jobs at once, and tokens. It
holds in place of what is configured, until that says the same, or it is taken back.

A queue whose limit adjusts itself has both: the lower of them counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from taskgated.core.capacity import Policy
from taskgated.core.owner import Owner
from taskgated.daemon.members import Members
from taskgated.daemon.overrides import LIMIT, TOKENS, Override, Overrides
from taskgated.host.listeners import Listeners
from taskgated.language.config import Config
from taskgated.store.answer import Answer
from taskgated.store.client import ignore


class Limits:
    """A queue that is None stands for all together. ``changed`` is told of the policy by which the gate is to decide,
    when it has become another and the configuration has not."""

    def __init__(self, overrides: Overrides, members: Members, config: Config) -> None:
        self._overrides = overrides
        self._members = members
        self._config = config
        self._configured = Policy(0, 0)
        self.changed = Listeners[Policy]()
        members.changed.add(self._known_better)
        overrides.changed.add(lambda: self.changed.tell(self._over()))

    def policy(self, config: Config) -> Policy:
        """What the gate decides by, now that this configuration comes into force. What it says as well need not be
        set by hand any more."""
        self._config, self._configured = config, self._members.policy(config)
        known = [*self._overrides.of(LIMIT), *self._overrides.of(TOKENS)]
        gone = [one for one in known if not _needed(one, config)]
        if gone:
            said = f"configured as they were set by hand: {', '.join(_named(one.kind, one.of) for one in gone)}"
            self._overrides.set([], gone, said, ignore)
        return self._over()

    def most(self, config: Config) -> Config:
        """The same with as many tokens as there may ever be of each kind: what is set by hand holds today, and what
        is configured may tomorrow. A job that takes more never fits."""
        by_hand = {one.of: one.value or 0 for one in self._overrides.of(TOKENS)}
        return replace(config, tokens={name: max(n, by_hand.get(name, 0)) for name, n in config.tokens.items()})

    def set(
        self, kind: str, of: str | None, value: int | None, by: Owner, done: Callable[[Answer[None]], None]
    ) -> None:
        """None: what is configured holds again; so it does where that is the same."""
        before = self._overrides.get(kind, of)
        if value is None or value == _configured(self._config, kind, of):
            gone = [] if before is None else [before]
            self._overrides.set([], gone, f"{_named(kind, of)}: as configured again, by {by.words}", done)
        else:
            new = Override.now(kind, of, by, value)
            self._overrides.set([new], [], f"{_named(kind, of)}: {value}, by {by.words}", done)

    def _known_better(self, policy: Policy) -> None:
        self._configured = policy
        self.changed.tell(self._over())

    def _over(self) -> Policy:
        """The configured one with what was set by hand in it."""
        whole = self._overrides.get(LIMIT)
        by_hand = {one.of: one.value for one in self._overrides.of(LIMIT) if one.of and one.value is not None}
        tokens = {one.of: one.value for one in self._overrides.of(TOKENS) if one.of and one.value is not None}
        return replace(
            self._configured,
            limit=self._configured.limit if whole is None else whole.value,
            limits={**self._configured.limits, **by_hand},
            tokens={**self._configured.tokens, **tokens},
        )


def _configured(config: Config, kind: str, of: str | None) -> int | None:
    """What holds where nothing is set by hand; None: there is no bound, or no such token."""
    if kind == TOKENS:
        return config.tokens.get(of or "")
    return config.limit if of is None else config.queue(of).limit


def _needed(override: Override, config: Config) -> bool:
    """Whether it says anything beside that configuration. Of tokens that are not there any more it says nothing."""
    configured = _configured(config, override.kind, override.of)
    return override.value != configured and not (override.kind == TOKENS and configured is None)


def _named(kind: str, of: str | None) -> str:
    if kind == TOKENS:
        return f"tokens {of}"
    return "limit of all queues together" if of is None else f"limit of queue {of}"
