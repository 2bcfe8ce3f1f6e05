"""What operators have set by hand while the gate runs. It holds until it is taken back, also over restarts.

An override has a name, ``KIND`` or ``KIND:OF`` (``pause``, ``pause:etl``), and the store keeps with it a JSON object
that says when it was set (``at``, microseconds of the wall clock), ``by`` whom (uid; ``user``: the name, if there is
one), and to which ``value``, if its being there does not say all. It is in force once the store has it.

Of what cannot be read it is known at least that somebody has set something. The least that this can be holds then,
for the gate's own user, until it is set again or taken back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from taskgated.core.owner import Owner, owner_of
from taskgated.events import Event
from taskgated.host.clock import wall
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient

PAUSE = "pause"
LIMIT = "limit"
TOKENS = "tokens"
LEAST: Mapping[str, int | None] = {PAUSE: None, LIMIT: 1, TOKENS: 0}
"""The kinds, and the lowest value that each can have; None: it has none."""


@dataclass(frozen=True, slots=True)
class Override:
    """One that is in force. ``of``: the queue, or whatever it is about; None: all. ``value``: what it sets, if that
    is not said by its being there. ``lost``: what was set cannot be read."""

    kind: str
    of: str | None
    at: int
    by: Owner
    value: int | None = None
    lost: bool = False

    @classmethod
    def now(cls, kind: str, of: str | None, by: Owner, value: int | None = None) -> Override:
        """One that is to be ``Overrides.set``."""
        return cls(kind, of, wall(), by, value)

    @property
    def name(self) -> str:
        return self.kind if self.of is None else f"{self.kind}:{self.of}"

    def text(self) -> str:
        user = {} if self.by.name == str(self.by.uid) else {"user": self.by.name}
        value = {} if self.value is None else {"value": self.value}
        return json.dumps({"at": self.at, "by": self.by.uid} | user | value)

    @classmethod
    def read(cls, name: str, text: str) -> Override | None:
        """What is not as ``text`` has it, as somebody else wrote it, or the database is damaged, is ``lost``; None:
        nor is it known what that may have been."""
        kind, colon, rest = name.partition(":")
        of = rest if colon else None
        try:
            known = json.loads(text)
        except (ValueError, RecursionError):
            known = None
        least = LEAST.get(kind)
        match known:
            case {"at": int(at), "by": int(uid)}:
                value, user = known.get("value"), known.get("user")
                by = Owner(owner_of(uid, user if isinstance(user, str) else None), uid)
                if least is None or (isinstance(value, int) and value >= least):
                    return cls(kind, of, at, by, value if isinstance(value, int) else None)
        uid = os.geteuid()
        return cls(kind, of, wall(), Owner(str(uid), uid), least, lost=True) if kind in LEAST else None


class Overrides:
    """Those in force. ``changed`` is told when others are, on the loop."""

    def __init__(self, store: StoreClient, journal: Journal, before: Mapping[str, str]) -> None:
        self._store = store
        self._journal = journal
        self.changed = Listeners[()]()
        self._all: dict[str, Override] = {}
        for name, text in before.items():
            override = Override.read(name, text)
            if override is not None:
                self._all[name] = override
            if override is None or override.lost:
                holds = "does not hold any more" if override is None else "holds as the least that it can be"
                what = f"what was set by hand as {name!r} cannot be read, and {holds}"
                journal.event(Event.INTERNAL_ERROR, what, Priority.ERROR)

    def get(self, kind: str, of: str | None = None) -> Override | None:
        return self._all.get(kind if of is None else f"{kind}:{of}")

    def of(self, kind: str) -> list[Override]:
        """All of one kind."""
        return [override for override in self._all.values() if override.kind == kind]

    def all(self) -> list[Override]:
        return sorted(self._all.values(), key=lambda override: override.name)

    def set(self, new: list[Override], gone: list[Override], said: str, done: Callable[[Answer[None]], None]) -> None:
        """Durably: these hold, those do not any more. ``said``: that, for the journal. ``done`` is called when it is
        so, or with what the store said against it."""
        values: dict[str, str | None] = dict.fromkeys(override.name for override in gone)
        values |= {override.name: override.text() for override in new}

        def stored(answer: Answer[None]) -> None:
            if answer.error is None:
                for override in gone:
                    self._all.pop(override.name, None)
                self._all |= {override.name: override for override in new}
                if values:
                    self._journal.event(Event.OVERRIDDEN, said, Priority.NOTICE)
                self.changed.tell()
            done(answer)

        self._store.submit(lambda store: store.override(values), stored)
