"""Whatever is plainly meant as a directive is one, or is refused at its place; what is not is left alone."""

from __future__ import annotations

import random
import time

import pytest

from taskgated.language.directives import near
from tests.env.jobfile import read, refused

BELOW = "a directive behind the first line of code has no effect"


def script(*lines: str) -> str:
    return "\n".join(("#!/bin/bash", *lines, "exit", ""))


class TestRefused:
    @pytest.mark.parametrize(
        ("lines", "place"),
        [
            (("set -e", "#TASKGATE timeout: 1h"), "3:1"),
            (("set -e", "", "  #TASKGATE timeout: 1h"), "4:3"),
            (("set -e", "#TASKGATE"), "3:1"),
            (("cat <<EOF", "text", "EOF", "#TASKGATE timeout: 1h"), "5:1"),
            (("cat <<EOF", "no end", "#TASKGATE timeout: 1h"), "4:1"),
            (("x=$((1 << 2))", "#TASKGATE timeout: 1h"), "3:1"),
            (("cat <<<EOF", "#TASKGATE timeout: 1h", "EOF"), "3:1"),
        ],
    )
    def test_behind_the_first_line_of_code(self, lines: tuple[str, ...], place: str) -> None:
        (said,) = refused(script(*lines), "s")
        assert said.startswith(f"s:{place}: {BELOW} (put it before line ")

    @pytest.mark.parametrize(
        "line",
        [
            "#TASKGTE timeout: 1h", "#TAKSGATE timeout: 1h", "#TASKGATED priority: 7", "#TASKATE x y", "#TASKGATES",
            "# TASKGATE timeout: 1h", "#TASKGATE: timeout: 1h", "#TASKGATE:timeout: 1h",
            "#TASKGATE:", "#taskgate timeout: 1h", "#Taskgate timeout: 1h", "# taskgate: timeout=1h",
            "# TASKGATE --timeout=1h", "# Task-Gate retry.attempts: 3", "#taskgate {timeout: 1h}",
            "# TASKGATE tiemout: 1h", "# TASKGATE LOCKS: [a]", "//TASKGATE timeout: 1h", "-- TASKGATE timeout: 1h",
            "#TASKGATE-timeout: 5m", "#taskgate.timeout = 5m", "#TASKGATE_timeout: 5m", "# TASKGATE: timeout 5m",
            "# TASKGATE timeout 5m", "# taskgate timeout 5m", "# TASKGATE queue etl", "#taskgate", "#Taskgate",
            "-- TASKGATE timeout 5m", "# taskgate: cwd /srv", ";; taskgate name: x",
            "# taskgate success-exit-codes: [0]", "# taskgate working-directory: /tmp",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("before", [(), ("set -e",)])
    def test_spelled_otherwise(self, line: str, before: tuple[str, ...]) -> None:
        if line[0] != "#" and not before:
            before = ("",)
        (said,) = refused(script(*before, line), "s")
        assert said.startswith(f"s:{len(before) + 2}:1: ")
        assert "this is no directive" in said or "begins with #" in said

    def test_how_to_write_it(self) -> None:
        assert refused(script("# taskgate: timeout: 1h"), "s") == [
            "s:2:1: this is no directive: '# taskgate:' (write '#TASKGATE timeout: 1h', or ##)"
        ]

    @pytest.mark.parametrize(
        "line",
        [
            "#TASKGATE timeout = 1h", "#TASKGATE timeout 1h", "#TASKGATE timeout:1h", "#TASKGATE --timeout=1h",
            "#TASKGATE-timeout: 1h", "# TASKGATE: timeout 1h", "# TASKGATE timeout=1h", "#TASKGATE: timeout = 1h",
        ],
    )  # fmt: skip
    def test_all_of_it_as_it_has_to_be_written(self, line: str) -> None:
        (said,) = refused(script(line), "s")
        assert said.startswith("s:2:") and "(write '#TASKGATE timeout: 1h'" in said

    def test_in_the_script_of_a_spec(self) -> None:
        said = "script: #TASKGATE has no effect in the script of a spec (write its key beside 'script')"
        for head in ("#!/bin/sh\n  ", ""):
            assert refused(f"script: |\n  {head}#TASKGATE timeout: 1h\n  exit\n") == [f"x.yaml:1:9: {said}"]

    def test_in_a_task_list(self) -> None:
        (said,) = refused("true\n  #TASKGATE timeout: 1h\n", "x.tasks")
        assert said.startswith("x.tasks:2:3: a task list holds no keys (")


class TestLeftAlone:
    @pytest.mark.parametrize(
        "line",
        [
            "# taskgate runs at night: slow", "# TASKGATE is the gate of this host", "# Taskgate: see the manual",
            "# see taskgate timeout: 1h", "##TASKGATE timeout: 1h", "# #TASKGATE timeout: 1h", "#TASKGATE_JOB_ID=5",
            "#TASKGATE_SPOOL=/var/spool/taskgate", "# TASKGATE note: ask alice", "#TASKS: many", "#TARGET: all",
            "# task gate", "#SBATCH --time=1", "# TASKS timeout: 1h", "echo '#TASKGATE x: y'", "true #TASKGATE x: y",
            "taskgate timeout: 1h", "# taskgate runs this script every night", "#taskgate runs this script",
            "# taskgate: timeout after five minutes", "# taskgate output follows", "# taskgate-job(5): see there",
            "#TASKGATE_QUEUE=etl ./run", "# TASKGATE_NAME: of the job", "#taskgatectl list", "# taskgate",
            "# TASKGATE priority jobs.", "# taskgate queue etl", "# taskgate: delay of 5 minutes",
        ],
    )  # fmt: skip
    def test_comments(self, line: str) -> None:
        (spec,) = read(script("#TASKGATE priority: 7", line, "true", line), "s")
        assert (spec.priority, spec.timeout) == (7, None)

    @pytest.mark.parametrize(
        ("begin", "end"),
        [
            ("cat >job <<EOF", "EOF"), ("cat <<'END OF JOB' | sh", "END OF JOB"), ("cat <<-\"E\"", "\tE"),
            ("cat << \\EOF", "EOF"), ("cat <<A <<B", "A\n#TASKGATE x: y\nB"), ("print <<~EOT;", "EOT"),
        ],
    )  # fmt: skip
    def test_here_documents(self, begin: str, end: str) -> None:
        assert read(script(begin, "#!/bin/sh", "#TASKGATE timeout: 1h", "# taskgate name: x", end), "s")


def test_slips_of_the_keyboard() -> None:
    words = ("TASKGATE", "TASKGTE", "TAKSGATE", "TASKGATES", "TASGKTE", "TASKSET", "", "TASKGATEWAYS")
    assert [near(word, "TASKGATE") for word in words] == [0, 1, 1, 1, 2, 3, 3, 3]


def _slips(word: str, of: str) -> int:
    """The same by the definition, and slowly."""
    before: list[int] = []
    last = list(range(len(of) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, other in enumerate(of, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == of[j - 2] and word[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return min(3, last[-1])


def test_slips_of_any_words() -> None:
    source = random.Random(1)
    seen = set()
    for _ in range(20_000):
        word = [source.choice("abc") for _ in range(source.randrange(9))]
        other = list(word)
        for _ in range(source.randrange(5)):
            at = source.randrange(len(other) + 1)
            other[at : at + source.randrange(3)] = source.choice(("", "a", "bc", other[at : at + 2][::-1]))
        slips = _slips("".join(word), "".join(other))
        assert near("".join(word), "".join(other)) == slips, (word, other)
        seen.add(slips)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "line",
    [
        "# taskgate timeou x\n",
        "# taskgate xxxxx: x\n",
        "# taskgates worda: x\n",
        "#taskgate-nomen: x\n",
        "# gatetask x\n",
    ],
)
def test_a_megabyte_of_what_is_nearly_a_directive_is_read_in_no_time(line: str) -> None:
    started = time.process_time()
    text = "#!/bin/sh\n" + line * (1_000_000 // len(line))
    assert read(text, "s")
    assert time.process_time() - started < 2.5


@pytest.mark.parametrize(
    "line",
    [
        "#TASKGATE x: y\n",
        "cat <<EOF\n",
        "#taskgate\n",
        "x <<A <<B\nA\nB\n",
        "# TASKGATE a" + "b" * 90 + ":\n",
        "# note prioritx: y\n",
    ],
)
def test_a_large_script_is_scanned_in_no_time(line: str) -> None:
    started = time.process_time()
    text = "#!/bin/sh\ntrue\n" + line * (900_000 // len(line)) + "#TASKGATE timeout: 1h\n"
    assert refused(text, "s")
    assert time.process_time() - started < 5
