"""Who may use a queue is who may drop into its directory, also for a file that names it from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable

from taskgated import acl
from taskgated.core.job import to_text
from taskgated.intake.settle import unfit


def check_queues(spool: bytes, name: bytes, owner: int, queues: Iterable[str]) -> None:
    """Raises ``Refused`` when the owner of the file may not use one of the queues that it names."""
    for queue in queues:
        directory = spool if queue == "default" else spool + b"/" + queue.encode("ascii")
        try:
            allowed = acl.may_enter(os.fsdecode(directory), owner)
        except FileNotFoundError:
            continue  # nobody has made that queue anything special
        if not allowed:
            hint = f"those may who may write to {to_text(directory)}"
            raise unfit(name, f"whoever owns this file may not use the queue {queue}", hint)
