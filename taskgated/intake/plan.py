"""What a spec or a script makes, in a word that is kept in the store beside how far it has been taken in.

A file with arrays is taken in piece by piece. After a crash or a stop the rest of it is read again, perhaps by
another configuration or version, and may then make other jobs: a script whose foreign directives nobody reads any
more is one job. By its plan that is noticed, and it is known without the file whether all of it is in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from taskgated.core.array import Jobs
from taskgated.core.job import Spec


def plan_of(jobs: Sequence[Spec]) -> str:
    """How many jobs there are, and of arrays a digest of which: the same in every version that has arrays."""
    if not isinstance(jobs, Jobs):
        return str(len(jobs))
    digest = hashlib.sha256()
    for _, array in jobs.templates:
        indices = array.indices if array is not None else ()
        ends = (indices[0], indices[-1], sum(indices)) if indices else ()
        digest.update(f"{len(indices)} {ends}\n".encode())
    return f"{len(jobs)} {digest.hexdigest()[:16]}"


def parts_of(plan: str) -> int:
    """How many jobs there are by a plan; 0 of a file that has none, because it was added as a whole."""
    return int(plan.partition(" ")[0] or 0)
