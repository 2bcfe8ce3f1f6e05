"""What operators have set by hand of how much there is: limits of queues, and of all jobs at once, and tokens. It
holds in place of what is configured, until that says the same, or it is taken back.

A queue whose limit adjusts itself has both: the lower of them counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from taskgated.core.capacity import Policy
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
        gone = [one for one in self._overrides.of(LIMIT) if one.value == _configured(config, one.of)]
        if gone:
            said = f"configured as they were set by hand: limits of {', '.join(_named(one.of) for one in gone)}"
            self._overrides.set([], gone, said, ignore)
        gone = [one for one in self._overrides.of(TOKENS) if config.tokens.get(one.of or "", one.value) == one.value]
        if gone:  # also of a kind that is not there any more
            said = f"configured as they were set by hand: tokens {', '.join(one.of or '' for one in gone)}"
            self._overrides.set([], gone, said, ignore)
        return self._over()

    def most(self, config: Config) -> Config:
        """The same with as many tokens as there may ever be of each kind: what is set by hand holds today, and what
        is configured may tomorrow. A job that takes more never fits."""
        by_hand = {one.of: one.value or 0 for one in self._overrides.of(TOKENS)}
        return replace(config, tokens={name: max(n, by_hand.get(name, 0)) for name, n in config.tokens.items()})

    def set(self, queue: str | None, limit: int | None, by: int, done: Callable[[Answer[None]], None]) -> None:
        """None: what is configured holds again; so it does where that is the same."""
        before = self._overrides.get(LIMIT, queue)
        if limit is None or limit == _configured(self._config, queue):
            gone = [] if before is None else [before]
            self._overrides.set([], gone, f"limit of {_named(queue)}: as configured again, by uid {by}", done)
        else:
            new = Override.now(LIMIT, queue, by, limit)
            self._overrides.set([new], [], f"limit of {_named(queue)}: {limit}, by uid {by}", done)

    def set_tokens(self, token: str, total: int | None, by: int, done: Callable[[Answer[None]], None]) -> None:
        """As ``set``, of tokens."""
        before = self._overrides.get(TOKENS, token)
        if total is None or total == self._config.tokens.get(token):
            gone = [] if before is None else [before]
            self._overrides.set([], gone, f"tokens {token}: as configured again, by uid {by}", done)
        else:
            new = Override.now(TOKENS, token, by, total)
            self._overrides.set([new], [], f"tokens {token}: {total}, by uid {by}", done)

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


def _configured(config: Config, queue: str | None) -> int | None:
    return config.limit if queue is None else config.queue(queue).limit


def _named(queue: str | None) -> str:
    return "all queues together" if queue is None else f"queue {queue}"
