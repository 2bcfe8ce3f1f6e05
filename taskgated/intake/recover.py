"""Claims from before: what there is still to do with each, after a crash or a stop."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.core.job import to_text
from taskgated.errors import StoreClosed, StoreError, Trouble, printable
from taskgated.formats.jobfile import Kind
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims, inside, kind_of, queue_of
from taskgated.intake.events import Sink
from taskgated.intake.settle import OURS_TO_SOLVE
from taskgated.intake.taken import Taken

MIXED = "several files lie in one claim of version 0.2.0, some left by a handler: drop again what is to run"


def recovered(
    claims: Claims, sink: Sink, aside: Aside, put_by: Callable[[str, bytes | None], None], claim: str, done: bool
) -> Taken | None:
    """Take up a claim; None if there is nothing more to take in from it.

    What a handler put beside its file is of no interest: whether a job works on the file, and whether that is over,
    the store knows. Raises ``Trouble`` for this claim alone, which is told; then it is as it was.
    """
    try:
        taken = _recovered(claims, sink, aside, put_by, claim, done)
    except StoreClosed:
        raise
    except (StoreError, OSError) as error:
        if isinstance(error, OSError) and error.errno in OURS_TO_SOLVE:
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        aside.stuck(claim.encode("ascii"), queue_of(claim), f"this claim cannot be taken up again: {why}")
        raise Trouble(why) from error
    aside.free(claim.encode("ascii"), queue_of(claim))
    return taken


def _recovered(
    claims: Claims, sink: Sink, aside: Aside, put_by: Callable[[str, bytes | None], None], claim: str, done: bool
) -> Taken | None:
    keeper = None if done else sink.keeper(claim)
    if keeper is not None and not keeper.final:
        return None
    names = [] if done or keeper is not None else claims.names(claim)
    known = sink.known(claim) if names else None
    if not names or (known is not None and kind_of(claim) is Kind.FILE):
        put_by(claim, None)
    elif len(names) == 1:
        return Taken(claim, queue_of(claim), names[0], kind_of(claim), known)
    elif _scattered(claims, aside, claim, names, known):
        put_by(claim, None)
    return None


def _scattered(claims: Claims, aside: Aside, claim: str, names: list[bytes], known: int | None) -> bool:
    """Version 0.2.0 let handlers work where the claimed file lay, and claimed into directories that it had not
    emptied. Which of these files was dropped nobody can say: so none of them runs, and none is lost."""
    note = f"\n\n{known} jobs of the one that was dropped were taken in." if known else ""
    queue = queue_of(claim)
    left = list(names)
    for name in names:
        if aside.put(claims.fd, inside(claim, name), name, queue, f"{printable(to_text(name))}: {MIXED}{note}"):
            left.remove(name)
    return not left
