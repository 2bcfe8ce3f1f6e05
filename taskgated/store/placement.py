"""Where an attempt runs, and where the file is of which jobs were made.

One store may serve several hosts. Then an attempt is of one *session* of one host, which is one life of the daemon
there: whoever takes over the attempts of a session knows by that which ends are still to be heard, and after another
boot, that nothing of them is left. The name of a worker alone would be used again some day, by another process.

Claimed files have names that their host gave them, so two hosts may have one of the same name. And whatever ends a
job, on any host, says whose kept file may be let go.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskgated.core.job import Claim
from taskgated.store.groups import ALONE

HERE = ""
"""The host, where the store is of one host alone. It is not the name of that: under another name it would have lost
what is its own."""


@dataclass(frozen=True, slots=True)
class Placement:
    """``worker``: a text of the caller's, which tells one worker from all others of that host."""

    host: str
    session: str
    worker: str


def here(worker: str) -> Placement:
    """On the only host."""
    return Placement(HERE, ALONE, worker)


def claimed(name: str) -> Claim:
    """A file that was claimed on the only host."""
    return Claim(HERE, name)
