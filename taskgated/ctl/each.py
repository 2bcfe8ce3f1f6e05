"""What verbs have in common that do the same with each of several jobs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from taskgated.core.state import State
from taskgated.ctl.array import Named, id_of, named_job, pages_of, still_to_come
from taskgated.ctl.client import CallError, Client, NotSo
from taskgated.ctl.terminal import say, warn
from taskgated.ctl.verb import Exit, array_id
from taskgated.protocol.replies import NO_SUCH_JOB, NOT_POSSIBLE, JobReply, Operation, ShownJob
from taskgated.protocol.strict import unicode_json


class Options(Protocol):
    json: bool
    id: Sequence[Named]
    array: int | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=named_job, nargs="*")
    parser.add_argument(
        "--array", type=array_id, metavar="ID", help="all jobs of the array whose first job has that id"
    )


def each(
    gate: Client,
    options: Options,
    operation: Operation[JobReply],
    states: Sequence[State],
    told: Callable[[ShownJob], str],
    *,
    pausing: bool = False,
    **parameters: object,
) -> int:
    """``operation`` is asked for with the id of each job and ``parameters``; ``told`` says what such a job now is. Of
    an array it is for those that are in one of ``states``, and if ``pausing``, in the pause before their next attempt
    as well."""
    if (options.array is not None) == bool(options.id):
        warn("which jobs? Give ids, or --array ID")
        return Exit.USAGE

    def change(job: int) -> ShownJob:
        return gate.ask(operation, id=job, **parameters)["job"]

    if options.array is not None:
        return _of_array(gate, options.array, states, change, told, pausing=pausing, json=options.json)
    return named(gate, options.id, change, told, json=options.json)


def named(
    gate: Client,
    jobs: Sequence[Named],
    change: Callable[[int], ShownJob],
    told: Callable[[ShownJob], str],
    *,
    json: bool,
) -> int:
    """Each of these jobs; what cannot be done with one is said, and the others have their turn all the same."""

    def changed() -> Iterator[ShownJob]:
        for one in dict.fromkeys(jobs):
            try:
                job = id_of(gate, one)
            except NotSo as error:
                warn(str(error))
                continue
            try:
                yield change(job)
            except NotSo as error:
                warn(of_job(job, error))

    done = _said(changed(), told, json=json)
    if json and (done or len(jobs) > 1):
        say(unicode_json(done if len(jobs) > 1 else done[0]))
    return Exit.OK if len(done) == len(set(jobs)) else Exit.NOT_SO


def of_job(job: int, error: NotSo) -> str:
    """What cannot be done with a job, and with which."""
    text = str(error)
    return text if text.startswith(f"job {job} ") or text == f"no job {job}" else f"job {job}: {text}"


def _of_array(
    gate: Client,
    array: int,
    states: Sequence[State],
    change: Callable[[int], ShownJob],
    told: Callable[[ShownJob], str],
    *,
    pausing: bool,
    json: bool,
) -> int:
    coming = 0
    listed = [*states, State.QUEUED] if pausing else states

    def changed() -> Iterator[ShownJob]:
        nonlocal coming
        for page in pages_of(gate, array, states=listed):
            coming = page.get("coming") or 0
            for job in page["jobs"]:
                if pausing and job["state"] == State.QUEUED and not (job["failures"] and job["due"]):
                    continue
                try:
                    yield change(job["id"])
                except CallError as error:
                    if error.kind not in (NOT_POSSIBLE, NO_SUCH_JOB):
                        raise
                    # it has gone on since it was listed

    done = _said(changed(), told, json=json)
    if json:
        say(unicode_json(done))
    elif not done:
        warn(f"array {array}: no job of it is {' or '.join(states)}{', or in a pause' * pausing}")
    if coming:
        warn(f"array {array}: {still_to_come(coming)}, and left as they are")
    return Exit.OK if done else Exit.NOT_SO


def _said(jobs: Iterable[ShownJob], told: Callable[[ShownJob], str], *, json: bool) -> list[ShownJob]:
    """All of them; a line was said of each at once."""
    done = []
    for job in jobs:
        done.append(job)
        if not json:
            say(f"job {job['id']} {told(job)}")
    return done
