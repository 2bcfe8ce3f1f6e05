"""Where the files of an attempt's streams are."""

from __future__ import annotations

import posixpath

from taskgated.core.job import Spec
from taskgated.core.streams import expand


def stream_paths(spec: Spec, job: int, attempt: int, array: int | None) -> dict[str, str]:
    """Those of its streams that are files, each with its whole path. ``array``: the id of its array."""
    member = (array, spec.array.index) if array is not None else None
    return {
        name: posixpath.join(spec.cwd, expand(stream.path, job, spec.name, attempt, member))
        for name, stream in (("stdin", spec.stdin), ("stdout", spec.stdout), ("stderr", spec.stderr))
        if stream is not None and stream.path
    }
