"""What arrives that is no job: empty files, data, scripts without their first line; each is told what to do."""

from __future__ import annotations

import pytest

from tests.env.jobfile import read, refused

HANDLER = "if it is data, drop it in the directory of a queue with a handler"


@pytest.mark.parametrize("name", ["x.sh", "x", "x.yaml", "x.json", "x.py"])
def test_an_empty_file_says_that_it_is_empty(name: str) -> None:
    said = [f"{name}: this file is empty (if it was sent, it did not arrive: send it again)"]
    assert refused("", name) == said


def test_an_empty_list_has_no_lines_yet() -> None:
    assert read("", "x.tasks") == []


@pytest.mark.parametrize(
    ("name", "data", "hint"),
    [
        ("prog.py", "print(1)\n", "its first line must name what runs it: #!/usr/bin/env python3"),
        ("prog.PL", "print 1;\n", "its first line must name what runs it: #!/usr/bin/env perl"),
        ("prog.R", "print(1)\n", "its first line must name what runs it: #!/usr/bin/env Rscript"),
        ("prog.sh", "true\n", "its first line must name what runs it: #!/bin/sh"),
        ("prog", "true\n", "its first line must name what runs it: #!/bin/sh"),
        ("data.csv", "a,b\n", HANDLER),
        ("photo", b"\xff\xd8\xff\xe0\0\x10JFIF", HANDLER),
        ("a.sh.gz", b"\x1f\x8b\x08\x08abc", f"it is compressed: unpack it first; {HANDLER}"),
        ("a.zip", b"PK\3\4abc", f"it is compressed: unpack it first; {HANDLER}"),
        ("jobs.list", "make -C x\n", "if it is a task list, its name must end in .tasks"),
        ("jobs.list", "command: x\n", "if it is a spec, its name must end in .yaml"),
        ("prog.py", "\n#!/usr/bin/python3\n", "#! must be the first two characters of the file"),
    ],
)  # fmt: skip
def test_what_it_may_be(name: str, data: str | bytes, hint: str) -> None:
    (said,) = refused(data, name)
    assert "and queue default has no handler (" in said and hint in said.partition("no handler (")[2]


@pytest.mark.parametrize("line", ["#!", "#! ", "#!\t\r"])
def test_a_first_line_that_names_nothing(line: str) -> None:
    said = "the first line (#!) names no interpreter (write what runs the script: #!/bin/sh)"
    assert refused(f"{line}\ntrue\n", "x.sh") == [f"x.sh:1:3: {said}"]
    (problem,) = refused('script: "#!\\ntrue\\n"\n')
    assert problem.endswith(f"script: {said}")


def test_the_end_of_a_script_of_a_spec_in_the_manner_of_windows() -> None:
    (problem,) = refused('script: "#!/bin/sh\\r\\ntrue\\n"\n')
    assert problem.endswith("(let its lines end in \\n alone)")


@pytest.mark.parametrize("blank", [" ", "\t", "  \t "])
def test_a_line_of_a_list_that_would_go_on(blank: str) -> None:
    said = "a line that ends in \\ and a blank does not go on in the next: each line is a job"
    (problem,) = refused(f"make \\{blank}\nall\n", "x.tasks")
    assert problem.startswith(f"x.tasks:1:6: {said}")
    assert len(read(f"echo \\\\{blank}\n# no \\{blank}\necho '\\ '\n", "x.tasks")) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize(("name", "queue"), [("x.tasks", "default"), ("x.csv", "lines")])
def test_another_encoding_is_one_mistake(encoding: str, name: str, queue: str) -> None:
    (problem,) = refused("echo a\necho b\necho c\n".encode(encoding), name, queue)
    assert ":1:1: this is UTF-" in problem


@pytest.mark.parametrize("mark", ["//", "//  ", "--", ";", ";; ", "%"])
def test_a_directive_behind_the_comment_of_another_language(mark: str) -> None:
    (problem,) = refused(f"#!/usr/bin/env node\n{mark}#TASKGATE timeout: 1h\n", "x.js")
    assert problem == (
        "x.js:2:1: a directive is a comment that begins with # (for a language with other comments use a spec)"
    )
    read(f"#!/usr/bin/env node\n{mark}# a comment\n{mark}#TASKGATES\n", "x.js")


def test_a_directive_that_was_taken_out_is_left_alone() -> None:
    read("#!/bin/sh\n##TASKGATE timeout: 1h\n", "x.sh")
