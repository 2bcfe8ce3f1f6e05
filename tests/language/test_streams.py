"""The streams of a job: which directory a path begins at, and what in it is only text."""

from __future__ import annotations

import pytest

from taskgated.core.job import Spec
from taskgated.core.places import stream_paths
from taskgated.core.streams import Stream
from taskgated.errors import Refused
from taskgated.language.config import from_values
from taskgated.language.jobfile import file_spec, line_spec, read_file
from taskgated.language.kinds import Kind
from tests.env.jobfile import round_trips

CONFIG = from_values(
    {
        "queues": {
            "with": {"defaults": {"cwd": "/d", "stdout": Stream("{name}.log")}},
            "without": {"defaults": {"stdout": Stream("{name}.log"), "stderr": Stream("/e")}},
            "files": {"handler": {"command": ("x", "{file}")}, "defaults": {"stderr": Stream("log")}},
        }
    }
)
HINT = "(write the whole path, or say cwd)"


def read(text: str, queue: str = "default", name: str = "x.yaml") -> Spec:
    (spec,) = read_file(name, text.encode(), queue, CONFIG)
    assert round_trips(spec)
    return spec


def refused(text: str, queue: str = "default", name: str = "x.yaml") -> list[str]:
    with pytest.raises(Refused) as caught:
        read(text, queue, name)
    return [str(problem).split("\n")[0] for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["command: x\ncwd: /d\nstdout: a/log\n", "command: x\nstdout: log\ncwd: /\n"])
def test_below_the_directory_that_it_names(text: str) -> None:
    assert read(text).notes == ()


def test_below_that_of_the_queue_and_below_that_of_the_job() -> None:
    assert read("command: x\nstderr: log\n", "with").cwd == "/d"
    assert read("command: x\ncwd: /j\n", "without").stdout == Stream("{name}.log")
    assert read("command: x\nqueue: with\n").stdout == Stream("{name}.log")
    assert read("#!/bin/sh\n#TASKGATE cwd: /j\n#TASKGATE stdin: in\n", name="x").cwd == "/j"


def test_below_none() -> None:
    (said,) = refused("#!/bin/sh\n#TASKGATE stdout: log\n", name="x.sh")
    assert said == f"x.sh:2:19: stdout: 'log' is below no directory: the job has no cwd {HINT}"
    whose = "stdout: '{name}.log', a default of the queue, is below no directory: the job has no cwd"
    assert refused("command: x\n", "without") == [f"x.yaml:1:1: {whose} {HINT}"]
    assert refused("echo\n\n# no\necho\n", "without", "x.tasks") == [
        f"x.tasks:{line}: {whose} {HINT}" for line in (1, 4)
    ]
    with pytest.raises(Refused, match="stderr: 'log', a default of the queue, is below no directory"):
        file_spec("a.csv", "/claims/a.csv", "files", CONFIG)
    assert line_spec(Kind.TASKS, "x", 1, b"echo\n", "with", CONFIG) is not None


@pytest.mark.parametrize(
    ("path", "notes"),
    [
        ("/l/%j.log", ["'%j' is only text in a path here, write {id}"]),
        ("/l/%A_%a.%a", ["'%A' is only text in a path here, write {array}", "'%a' is only text in a path here, write"
                         " {index}"]),
        ("/l/$TASKGATE_JOB_ID", ["'$TASKGATE_JOB_ID' is only text in a path here, write {id}"]),
        ("/l/$SLURM_JOB_NAME.log", ["'$SLURM_JOB_NAME' is only text in a path here, write {name}"]),
        ("/l/^array_index^", ["'^array_index^' is only text in a path here, write {index}"]),
        ("/l/$HOME/x", ["'$HOME' is only text in a path here"]),
        ("/l/%Y-%m", ["'%Y' is only text in a path here", "'%m' is only text in a path here"]),
        ("/l/{id}.{name}", []), ("/l/100%", []), ("/l/a$", []), ("/l/%%", []), ("/l/^a", []),
    ],
)  # fmt: skip
def test_what_is_only_text(path: str, notes: list[str]) -> None:
    expected = tuple(f"line 2: stdout: {note}" for note in notes)
    assert read(f"command: x\nstdout: {path}\n").notes == expected
    assert read(f"#!/bin/sh\n#TASKGATE stdout: {path}\n", name="x").notes == expected


def test_each_job_of_a_file_has_its_own_notes() -> None:
    specs = read_file("x.yaml", b"- {command: a, stdout: /%j}\n- {command: b}\n- {command: c, stderr: /%x}\n",
                      "default", CONFIG)  # fmt: skip
    assert [len(spec.notes) for spec in specs] == [1, 0, 1]
    assert specs[2].notes[0].startswith("line 3: stderr: '%x'")


def test_a_path_of_another_system_was_translated() -> None:
    spec = read("#!/bin/sh\n#SBATCH -D /d -o %j.%%x -e stderr\n", name="x")
    assert (spec.stdout, spec.stderr, spec.notes) == (Stream("{id}.%x", spec.stdout.mode) if spec.stdout else None,
                                                      Stream("./stderr", spec.stderr.mode) if spec.stderr else None,
                                                      ())  # fmt: skip


def test_the_whole_path() -> None:
    spec = read("command: x\nname: n\ncwd: /d\nstdin: '{id}'\nstdout: /o/{name}.{attempt}\n")
    assert stream_paths(spec, 7, 2, None) == {"stdin": "/d/7", "stdout": "/o/n.2"}
