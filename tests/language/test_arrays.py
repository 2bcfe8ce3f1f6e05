"""The key ``array``: the jobs that it makes, and what is refused."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.array import Jobs, fill, literal, placeholders
from taskgated.language.config import from_values
from taskgated.language.jobfile import read_file
from taskgated.language.jobs import _extent
from taskgated.language.keys import DEFAULTS, JOB
from tests.env.jobfile import read, refused, round_trips


def test_a_range_makes_a_job_for_each_index() -> None:
    specs = read("name: part {index}\ncommand: [echo, 'no {index}', '{{index}}']\narray: {from: 2, to: 9, step: 3}\n")
    assert [spec.array.index for spec in specs] == [2, 5, 8]
    assert [spec.command for spec in specs] == [("echo", f"no {index}", "{index}") for index in (2, 5, 8)]
    assert [spec.name for spec in specs] == ["part 2", "part 5", "part 8"]
    assert [(spec.array.place, spec.array.count) for spec in specs] == [(0, 3), (1, 3), (2, 3)]
    assert all(round_trips(spec) for spec in specs)


def test_a_list_of_indices() -> None:
    assert [spec.array.index for spec in read("command: [x]\narray: [3, 9, 5]\n")] == [3, 9, 5]
    specs = read("command: [x]\narray: {values: [3, 9, 5], at_most: 2}\n")
    assert [(spec.array.index, spec.array.at_most) for spec in specs] == [(3, 2), (9, 2), (5, 2)]


def test_lines_that_stand_in_the_file() -> None:
    specs = read("command: [gzip, '{line}']\narray:\n  lines: |\n    a b.txt\n\n    $(rm c)\n")
    assert [(spec.command, spec.array.index, spec.array.line) for spec in specs] == [
        (("gzip", "a b.txt"), 1, "a b.txt"),
        (("gzip", "$(rm c)"), 2, "$(rm c)"),
    ]
    assert all(round_trips(spec) for spec in specs)


def test_the_shell_keeps_what_is_its_own() -> None:
    (spec,) = read("command: 'echo ${index} {index} {other}'\narray: [7]\n")
    assert spec.command == "echo ${index} 7 {other}"


def test_without_an_array_nothing_is_filled() -> None:
    (spec,) = read("command: [echo, '{index}', '{{index}}']\n")
    assert spec.command == ("echo", "{index}", "{{index}}")
    assert "array" not in spec.to_json()


def test_a_script_is_not_touched() -> None:
    text = "#!/bin/sh\n#TASKGATE array: {from: 1, to: 2, at_most: 1}\necho {index}\n"
    specs = read(text, "run")
    assert [(spec.script, spec.array.index, spec.array.at_most) for spec in specs] == [(text, 1, 1), (text, 2, 1)]


def test_several_documents_with_and_without_an_array() -> None:
    specs = read("command: [a]\n---\ncommand: [b]\narray: [4, 5]\n---\ncommand: [c]\n---\ncommand: [d]\narray: [6]\n")
    assert [(spec.command, spec.array.index) for spec in specs] == [
        (("a",), 0), (("b",), 4), (("b",), 5), (("c",), 0), (("d",), 6),
    ]  # fmt: skip
    assert specs[3:] == [specs[3], specs[4]] and specs[-1] == specs[4] and len(specs) == 5


def test_a_million_indices_cost_no_more_memory_than_one() -> None:
    def peak(to: int) -> int:
        tracemalloc.start()
        specs = read(f"command: [echo, '{{index}}']\narray: {{to: {to}}}\n")
        assert len(specs) == to and specs[to - 1].array.index == to
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(1_000_000) < peak(1) + 20_000


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ("{}", "x.yaml:2:8: array: it needs 'to'"),
        ("{from: 1}", "it needs 'to'"),
        ("{to: 3, values: [1]}", "just one of them"),
        ("{values: [1], step: 2}", "just one of them"),
        ("{from: 5, to: 4}", "from 5 to 4 there is nothing"),
        ("{to: 1000001}", "1000001 jobs, an array has at most 1000000"),
        ("{to: 3, step: 0}", "step: 0 is not between"),
        ("{to: 3, at_most: 0}", "at_most: 0 is not between"),
        ("{to: 3, atmost: 1}", "unknown key 'atmost'"),
        ("[1, 2, 1]", "the index 1 is given twice"),
        ("[]", "is empty"),
        ("7", "expected a mapping such as {from: 1, to: 100}, or a list of numbers"),
        ("[-1]", "-1 is not between"),
        ("{lines: /etc/shadow}", "the name of a file stands where lines are expected"),
        ("{lines: ' '}", "is empty"),
    ],
)
def test_what_is_refused(array: str, said: str) -> None:
    assert said in "\n".join(refused(f"command: [x]\narray: {array}\n"))


def test_placeholders_that_cannot_be_filled() -> None:
    assert "has no lines" in refused("command: [x, '{line}']\narray: [1]\n")[0]
    assert (
        "TASKGATE_ARRAY_LINE"
        in refused("command: 'x {line}'\narray: {lines: 'a\\nb'}\n".replace("'a\\nb'", '"a\\nb"'))[0]
    )
    line = "y" * 100_000
    assert "becomes longer" in refused(f"command: [x, '{'{line}' * 2}']\narray: {{lines: {line}}}\n")[0]


def test_what_is_told_to_be_written_for_just_that_is_just_that() -> None:
    assert "write {{line}} for just that" in refused("command: [x, '{line}']\narray: [1]\n")[0]
    assert read("command: [x, '{{line}}']\narray: [1]\n")[0].command == ("x", "{line}")


def test_the_environment_and_the_directory_differ_as_well() -> None:
    text = """\
command: [x]
cwd: /data/{index}/{line}
env: {PART: 'part {index} of {line}', BRACES: '{{index}} ${index} {id}', NUMBER: 7}
array: {lines: "a\\nb/c\\n"}
"""
    specs = read(text)
    assert [spec.cwd for spec in specs] == ["/data/1/a", "/data/2/b/c"]
    assert [spec.env["PART"] for spec in specs] == ["part 1 of a", "part 2 of b/c"]
    assert {(spec.env["BRACES"], spec.env["NUMBER"]) for spec in specs} == {("{index} ${index} {id}", "7")}
    assert all(round_trips(spec) for spec in specs)


def test_so_do_those_of_the_queue_and_of_a_directive() -> None:
    config = from_values({"queues": {"q": {"defaults": {"cwd": "/d/{index}", "env": {"A": "{index}", "B": "q"}}}}})
    (spec,) = read_file("x.sh", b"#!/bin/sh\n#TASKGATE array: [3]\n#TASKGATE env: {B: 'b{index}'}\n", "q", config)
    assert (spec.cwd, spec.env) == ("/d/3", {"A": "3", "B": "b3"})
    (spec,) = read_file("x.sh", b"#!/bin/sh\ntrue\n", "q", config)
    assert (spec.cwd, spec.env) == ("/d/{index}", {"A": "{index}", "B": "q"})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("cwd: '/x/{line}'\narray: [1]", "{line} stands for nothing"),
        ("env: {A: '{line}'}\narray: [1]", "{line} stands for nothing"),
        ("cwd: '{index}'\narray: [1]", "cwd: expected an absolute path"),
        (f"cwd: '/{'d' * 4080}{{line}}'\narray: {{lines: '123456789012345'}}", "cwd becomes longer than 4095 bytes"),
        (f"env: {{A: '{'v' * 131060}{{line}}'}}\narray: {{lines: '123456789012'}}", "the variable A becomes longer"),
    ],
)
def test_what_would_fail_only_later_is_refused(keys: str, said: str) -> None:
    (found,) = refused(f"command: [x]\n{keys}\n")
    assert said in found


def test_what_fits_when_it_is_filled_is_taken() -> None:
    (spec,) = read(f"command: [x]\ncwd: '/{'d' * 4080}{{line}}'\narray: {{lines: '12345678901234'}}\n")
    assert len(spec.cwd) == 4095
    (spec,) = read(f"command: [x]\nenv: {{A: '{'v' * 131060}{{line}}'}}\narray: {{lines: '12345678901'}}\n")
    assert len(spec.env["A"]) == 131071


def test_what_other_systems_say_has_no_placeholders() -> None:
    text = b"#!/bin/sh\n#SBATCH -a 3 -J 'n {index}' --chdir=/d/{index}\n#SBATCH --export=A={index}{{line}},B=x\n"
    (spec,) = read_file("x.sh", text, "default", from_values({}))
    assert (spec.name, spec.cwd) == ("n {index}", "/d/{index}")
    assert (spec.env["A"], spec.env["B"]) == ("{index}{{line}}", "x")
    (spec,) = read_file("x.sh", text.replace(b"-a 3", b""), "default", from_values({}))
    assert (spec.name, spec.cwd, spec.env["A"]) == ("n {index}", "/d/{index}", "{index}{{line}}")


def test_thousands_of_large_arrays_are_read_at_once() -> None:
    """The intake reads them, and everybody waits for that."""
    began = time.process_time()
    refused("---\ncommand: [x]\narray: {to: 1000000}\n" * 1000)
    assert time.process_time() - began < 10


@given(
    st.text("{}$ {index}{line}", max_size=40)
    | st.lists(st.sampled_from(["{", "}", "$", "index", "line"])).map("".join)
)
def test_a_text_that_is_meant_as_it_is(text: str) -> None:
    assert fill(literal(text), {"index": "7", "line": "8"}) == text
    assert fill(literal(text), {}) == text


def test_an_array_of_large_jobs_is_refused() -> None:
    text = "#!/bin/sh\n#TASKGATE array: {to: 1000000}\n" + "# x\n" * 1000
    assert "bytes in the database" in refused(text, "run")[0]


def test_many_arrays_in_one_file_are_no_more_than_one() -> None:
    """Else a small file fills any disk."""
    one = f"command: [echo, '{'x' * 400}', '{{index}}']\narray: {{to: 1000000}}\n"
    assert len(read(one)) == 1_000_000
    (problem,) = refused("---\n".join([one] * 4))
    assert "the arrays until here take" in problem and "bytes in the database" in problem


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_an_array_takes_is_counted_by_all_of_its_lines(elsewhere: bool) -> None:
    """One line may be long, as long as the others are not."""
    lines = ["x" * (4000 if elsewhere else 50_000), *(f"{number} \\" for number in range(30_000))]
    listed = "".join(f"    {line}\n" for line in lines)
    keys = "cwd: '/d/{line}'\nenv: {A: '{line}{line}'}\n" if elsewhere else ""
    specs = read(f"command: [echo, 'a {{line}}, and {{line}}']\n{keys}array:\n  lines: |\n{listed}")
    assert isinstance(specs, Jobs)
    ((template, array),) = specs.templates
    assert array is not None
    place, total = _extent(template, array)
    taken = sum(len(json.dumps(spec.to_json())) for spec in specs.pieces(0))
    assert place == 0 and taken <= total < 1.02 * taken


def test_an_array_is_no_default_of_a_queue() -> None:
    assert "array" in {key.name for key in JOB} - {key.name for key in DEFAULTS}


def test_filling() -> None:
    values = {"index": "7"}
    assert fill("{index}{{index}}${index}{line}{{line}}", values) == "7{index}${index}{line}{line}"
    assert placeholders("{index} {{line}} ${index} {line}") == ["index", "line"]
    assert fill("{line}", {"line": "{index}", "index": "7"}) == "{index}", "what was filled in is not looked at again"
