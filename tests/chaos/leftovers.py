"""What a gate that was stopped cleanly has left behind, and nobody will ever clean up."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from taskgated.host.paths import Layout

_STATE = {"jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm", "last-id", "lock", "outcomes", "scripts"} | {
    "partings"  # of the workers that were there at the end; the next start removes them
}


def leftovers(layout: Layout, rejected: Collection[str] = ()) -> list[str]:
    """Paths below the gate's root. ``rejected``: the files that are rightly refused, each of which has its reason."""
    refused = {*rejected, *(f"{name}.reason" for name in rejected)}
    found = list(layout.run.iterdir())
    found += [path for path in layout.state.iterdir() if path.name not in _STATE]
    found += [path for directory in (layout.outcomes, layout.scripts) for path in directory.iterdir()]
    found += [
        path
        for path in layout.log.rglob("*")
        if path.is_file() and path.suffix != ".log" and path != layout.last_id_beside_output
    ]
    found += [path for path in _inside(layout.rejected) if path.name not in refused]
    for claim in _inside(layout.claims):
        if not claim.name.startswith("done.") or os.listdir(claim):  # an empty one that was put by is a spare
            found.append(claim)
    found += _inside(layout.failed)  # no job of a file fails here but those that an attack takes away itself
    private = {layout.rejected, layout.failed, layout.claims}
    for path in set(layout.spool.iterdir()) - private:
        found += path.iterdir() if path.is_dir() else [path]
    return sorted(str(path.relative_to(layout.spool.parent)) for path in found if path.name != "lost+found")


def _inside(directory: Path) -> list[Path]:
    """Nothing if it is not there: a spool that was made anew has what it needs when that is needed."""
    return list(directory.iterdir()) if directory.is_dir() else []


def missing(layout: Layout, rejected: Collection[str]) -> list[str]:
    """Which of the files that are to be refused, and of their reasons, are not there."""
    there = {path.name for path in _inside(layout.rejected)}
    return sorted({*rejected, *(f"{name}.reason" for name in rejected)} - there)
