"""The streams of a job together with all else that it says: where their files are, and what is only text there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from taskgated.core.streams import Stdin, Stream, of_arrays
from taskgated.language.declare import Check, Values
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.text import quoted

STREAMS = ("stdin", "stdout", "stderr")

_MARK = re.compile(r"%[0-9]*[A-Za-z]|\^[A-Za-z_]+\^|\$[A-Za-z_]+")
_OURS = {
    "%j": "{id}", "%J": "{id}", "%A": "{array}", "%a": "{index}", "%I": "{index}", "%x": "{name}",
    "^array_index^": "{index}", "PBS_JOBID": "{id}", "PBS_JOBNAME": "{name}", "PBS_ARRAY_INDEX": "{index}",
    "SLURM_JOB_ID": "{id}", "SLURM_JOBID": "{id}", "SLURM_JOB_NAME": "{name}", "SLURM_ARRAY_JOB_ID": "{array}",
    "SLURM_ARRAY_TASK_ID": "{index}", "JOB_ID": "{id}", "JOB_NAME": "{name}", "TASK_ID": "{index}",
    "SGE_TASK_ID": "{index}", "TASKGATE_JOB_ID": "{id}", "TASKGATE_JOB_NAME": "{name}",
    "TASKGATE_ATTEMPT": "{attempt}", "TASKGATE_ARRAY_ID": "{array}", "TASKGATE_ARRAY_INDEX": "{index}",
}  # fmt: skip
"""What other systems have in a path (sbatch(1), bsub(1), qsub(1)), and what a shell would expand; and how it is
written here."""


def check_streams(node: Node, values: Values, merged: Values, check: Check) -> None:
    """``node``: that of the job, ``merged``: its values with the defaults of its queue."""
    if "array" not in values:
        for key, word in words_of_arrays(values):
            hint = "{id} differs from job to job"
            check.wrong(
                node_at(node, key), f"{key}: '{{{word}}}' stands for nothing: this job is none of an array", hint
            )
    match values.get("stdout"), values.get("stderr"):
        case Stream(path, one), Stream(other, another) if path == other and one is not another:
            check.wrong(
                node_at(node, "stderr"),
                "stderr: it is the file of stdout, with another mode",
                "say the same mode for both",
            )
    entries = node.value if isinstance(node.value, Entries) else Entries()
    for key, path in below_nothing(merged):
        message, hint = no_directory(key, path, of_queue=key not in entries)
        check.wrong(node_at(node, key), message, hint)
    for key, path in _paths(values):
        at = node_at(node, key)
        for mark in dict.fromkeys(_MARK.findall(path)):
            ours = _OURS.get(mark.removeprefix("$"))
            check.note(at, f"{key}: {quoted(mark)} is only text in a path here" + f", write {ours}" * bool(ours))


def words_of_arrays(values: Values) -> Iterator[tuple[str, str]]:
    """The words in the paths of its streams that only a job of an array has something for, each with its key."""
    for key, path in _paths(values):
        if word := next(of_arrays(path), ""):
            yield key, word


def below_nothing(merged: Values) -> Iterator[tuple[str, str]]:
    """The streams whose path begins at no directory that anybody named, with the path. Such a file would lie in the
    root of the host, where nobody looks for it, and mostly nobody may write."""
    if "cwd" not in merged:
        for key, path in _paths(merged):
            if not path.startswith("/"):
                yield key, path


def no_directory(key: str, path: str, *, of_queue: bool) -> tuple[str, str]:
    """What is wrong with it, and what to do."""
    whose = ", a default of the queue," if of_queue else ""
    return (
        f"{key}: {quoted(path)}{whose} is below no directory: the job has no cwd",
        "write the whole path, or say cwd",
    )


def _paths(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The keys of the streams that are files, each with its path."""
    for key in STREAMS:
        if isinstance(stream := values.get(key), Stream | Stdin) and stream.path:
            yield key, stream.path
