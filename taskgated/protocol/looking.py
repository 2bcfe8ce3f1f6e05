"""What the daemon and the worker server say to each other of looks; in the way of ``messages``.

A look is one run of a probe. A process of its own, the prober, makes it and then ends.

====================  =======================================================  ======================================
said by               messages                                                 parser
====================  =======================================================  ======================================
daemon, to a server   Look, EndLook                                            ``for_server``
server, to a daemon   Looking (unless no prober can be had), then Seen, or     ``from_server``
                      Unseen
====================  =======================================================  ======================================
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from taskgated.errors import ProtocolError
from taskgated.protocol.channel import Message
from taskgated.protocol.messages import Identity, Key, Run

KILL_AFTER = 1.0
"""Seconds from SIGTERM to SIGKILL when a look is ended, and for what its command leaves behind."""


def key_of(probe: str) -> Key:
    """What tells the looks of a probe that has a name from those of all others, as attempts are told apart: its
    processes bear that. (Jobs count from 1.)"""
    return 0, zlib.crc32(probe.encode("utf-8", "surrogateescape"))


def key_of_job(job: int) -> Key:
    """The same of the looks of one job's own probe. (Attempts count from 1.)"""
    return job, 0


def is_look(key: Key) -> bool:
    """Whether that is none of an attempt."""
    return 0 in key


@dataclass(frozen=True, slots=True)
class Look:
    """Make a look, which is called ``id`` in what follows. ``run``: its command, as that of an attempt, with a key of
    the above and no log. ``probe``: its name; None: it is a job's own, and finds what that job would find."""

    id: int
    probe: str | None
    run: Run

    def to_json(self) -> Message:
        return {"look": {"id": self.id, "probe": self.probe, **self.run.to_json()}}

    @classmethod
    def from_json(cls, body: dict[str, object]) -> Look:
        """Raises ``ProtocolError``."""
        probe = body.get("probe")
        if not (probe is None or isinstance(probe, str)):
            raise ProtocolError("wrong type in a message: look")
        try:
            return cls(_id(body), probe, Run.from_json(body["run"]))
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"not a look: {error!r}") from None


@dataclass(frozen=True, slots=True)
class EndLook:
    """End that look now, if it is still under way. What it brings is said all the same."""

    id: int

    def to_json(self) -> Message:
        return {"end look": {"id": self.id}}


@dataclass(frozen=True, slots=True)
class Looking:
    """This prober makes that look."""

    id: int
    prober: Identity

    def to_json(self) -> Message:
        return {"looking": {"id": self.id, **self.prober.to_json()}}


@dataclass(frozen=True, slots=True)
class Seen:
    """A look has ended, and nothing of it is left. ``exit_code``: None where it ended in another way, which ``words``
    say then; ``line``: the first that the command wrote, for the number in it; ``words``: what it says of why."""

    id: int
    exit_code: int | None
    line: str
    words: str

    def to_json(self) -> Message:
        return {"seen": {"id": self.id, "exit_code": self.exit_code, "line": self.line, "words": self.words}}


@dataclass(frozen=True, slots=True)
class Unseen:
    """The prober of that look has died; ``status`` as waitpid(2) gives it. Something of it may be left."""

    id: int
    status: int

    def to_json(self) -> Message:
        return {"unseen": {"id": self.id, "status": self.status}}


Sight = Looking | Seen | Unseen
FROM_SERVER = {"looking", "seen", "unseen"}


def for_server(message: Message) -> Look | EndLook | None:
    """None: it is of something else. Raises ``ProtocolError``."""
    match message:
        case {"look": dict(body)}:
            return Look.from_json(body)
        case {"end look": dict(body)}:
            return EndLook(_id(body))
    return None


def from_server(message: Message) -> Sight | None:
    """None: it is of something else, or cannot be understood. Raises ``ProtocolError``."""
    match message:
        case {"looking": dict(body)}:
            return Looking(_id(body), Identity.from_json(body))
        case {"seen": {"exit_code": int() | None as code, "line": str(line), "words": str(words)} as body}:
            return Seen(_id(body), code, line, words)
        case {"unseen": {"status": int(status)} as body}:
            return Unseen(_id(body), status)
    return None


def _id(body: object) -> int:
    match body:
        case {"id": int(id_)}:
            return id_
    raise ProtocolError(f"not a look: {body!r}")
