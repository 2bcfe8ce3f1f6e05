"""What people write: read exactly, and refused exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskgated.core.job import Output, Retry, Spec
from taskgated.errors import Refused
from taskgated.language import units, yamlread
from taskgated.language.config import Config, QueueConfig, from_values
from taskgated.language.jobfile import (
    MAX_LINE,
    line_spec,
    read_file,
    read_specs,
)
from taskgated.language.kinds import Kind, check_script, kind_of
from taskgated.language.schema import config_schema, dump, job_schema
from taskgated.language.scripts import read_script
from taskgated.language.source import Source
from tests import REPOSITORY

CONFIG = from_values(
    {
        "queues": {
            "etl": {"defaults": {"priority": 60, "retry": {"attempts": 3}, "env": {"A": "1", "B": "2"}}},
            "thumbs": {"handler": {"command": ("thumb", "{file}")}},
            "lines": {"handler": {"command": ("consume", "x={line}")}},
        }
    }
)


def specs(text: str | bytes, name: str = "x.yaml", queue: str = "default", config: Config = CONFIG) -> list[Spec]:
    return read_specs(name, text.encode() if isinstance(text, str) else text, queue, config)


def refusal(text: str | bytes, name: str = "x.yaml", queue: str = "default") -> str:
    with pytest.raises(Refused) as caught:
        data = text.encode() if isinstance(text, str) else text
        read_file(name, data, queue, CONFIG)
    return str(caught.value)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("on", "on"), ("no", "no"), ("yes", "yes"), ("1:30", "1:30"), ("2026-01-01", "2026-01-01"),
            ("010", 10), ("0o10", 8), ("0x10", 16), ("-7", -7), ("1e3", 1000.0), (".5", 0.5), ("~", None),
            ("null", None), ("true", True), ("FALSE", False), ("'true'", "true"), ('"7"', "7"), (".inf", ".inf"),
            ("9" * 30, "9" * 30), ("=", "="), ("1_000", "1_000"),
        ],
    )  # fmt: skip
    def test_scalars_are_those_of_yaml_1_2(self, text: str, value: object) -> None:
        (node,) = yamlread.read_yaml(Source.of("x", text), text)
        assert node.value == value
        assert type(node.value) is type(value)

    @pytest.mark.parametrize(
        ("text", "place", "message"),
        [
            ("command: x\ncommand: y\n", "x.yaml:2:1", "'command' is given twice (first in line 1)"),
            ("command: &a x\n", "x.yaml:1:10", "anchors are not supported"),
            ("a: &a [x]\nb: *a\n", "x.yaml:1:4", "anchors are not supported"),
            ("command: *a\n", "x.yaml:1:10", "aliases are not supported"),
            ("command: !!python/object:os.system x\n", "x.yaml:1:10", "tags are not supported"),
            ("<<: {a: b}\n", "x.yaml:1:1", "merge keys are not supported"),
            ("? [a]\n: b\n", "x.yaml:1:3", "a key must be text, not a list"),
            ("command: [a\n", "x.yaml:2:1", "not YAML"),
            ("command: 'a\0b'\n", "x.yaml:1:12", "NUL has no place in a text"),
            ('command: "a\\0b"\n', "x.yaml:1:10", "NUL has no place in a text"),
            (b"ok: 1\ncommand: \xff\n", "x.yaml:2:10", "byte 0xff is not UTF-8"),
            ("a: \x07\n", "x.yaml:1:4", "character U+0007 has no place in a text"),
            ("[" * 100 + "]" * 100, "x.yaml:1:33", "nested deeper than 32"),
        ],
    )
    def test_refused_with_line_and_column(self, text: str | bytes, place: str, message: str) -> None:
        said = refusal(text)
        assert said.startswith(f"{place}: {message}"), said

    def test_too_many_values_and_too_large(self) -> None:
        assert "more than 200000 values" in refusal("[" + "a," * 250_000 + "a]")
        assert "larger than 1048576 bytes" in refusal("#" * 2_000_000)

    def test_the_caret_points_at_the_place_also_in_a_long_line(self) -> None:
        said = refusal("{command: x, " + " " * 5000 + "nam: y}").splitlines()
        assert said[1][said[2].index("^") :].startswith("nam: y")

    def test_windows_line_ends_tabs_and_a_byte_order_mark(self) -> None:
        (spec,) = specs(b"\xef\xbb\xbfcommand: x\r\nname: 'a b'\r\n")
        assert (spec.command, spec.name) == ("x", "a b")

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: ", "'", '"', "!a ", "&a ", "|\n "])
    def test_bombs(self, opening: str) -> None:
        """In a process of its own, on a thread with a small stack: a crash of the parser must not be ours."""
        code = (
            "import threading, sys\n"
            "from taskgated.language import yamlread\n"
            "from taskgated.language.source import Source\n"
            "from taskgated.errors import Refused\n"
            f"text = ({opening!r} * 300_000)[:1_000_000]\n"
            "def run():\n"
            "    try: yamlread.read_yaml(Source.of('x', text), text)\n"
            "    except Refused: pass\n"
            "    print('alive')\n"
            "threading.stack_size(128 * 1024)\n"
            "t = threading.Thread(target=run); t.start(); t.join()\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, timeout=60, check=False
        )
        assert result.stdout == b"alive\n", result

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300))
    @example(b"\xed\xa0\x80")
    @example(b"%YAML 9.9\n---\n")
    @example(b"- command: 99999999999999999999999999999999\n")
    def test_arbitrary_bytes_are_read_or_refused(self, data: bytes) -> None:
        for name in ("x.yaml", "x.json", "x.tasks", "x"):
            try:
                read_file(name, data, "default", CONFIG)
            except Refused as error:
                assert str(error)

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_mutated_specs_are_read_or_refused(self, data: st.DataObject) -> None:
        text = "name: x\ncommand: [a, 'b']\nretry: {attempts: 3, delay: 1min}\nenv: {A: b}\ntimeout: 2h\n"
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(text)))
            text = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
        try:
            found = specs(text.encode("utf-8", "surrogatepass"))
        except Refused:
            return
        for spec in found:
            assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


class TestJson:
    def test_what_yaml_has_not(self) -> None:
        (spec,) = specs('{\n\t"command": ["\\ud83d\\ude00", "a\\/b"]\n}', "x.json")
        assert spec.command == ("\U0001f600", "a/b")

    def test_must_be_json(self) -> None:
        assert refusal("command: x\n", "x.json").startswith("x.json:1:1: not JSON")
        assert "'command' is given twice" in refusal('{"command": "x", "command": "y"}', "x.json")
        assert refusal('{"command": "x",\n "priority": 101}', "x.json").startswith("x.json:2:14: priority: 101")


class TestSpecs:
    def test_everything(self) -> None:
        (spec,) = specs(
            "name: n\ncommand: [a, 'b c']\nenv: {A: x, N: 7}\ncwd: /tmp\npriority: 7\ntimeout: 1h 30min\n"
            "kill_after: 5s\nretry: {attempts: 3, delay: 1min, factor: 3, max_delay: 1h, jitter: 0}\n"
            "success_exit_codes: [0, 3]\ndelay: 5s\nexpires: 1d\ninterrupted: fail\noutput: {max_size: 4K}\n"
        )
        assert spec == Spec(
            command=("a", "b c"), name="n", env={"A": "x", "N": "7"}, cwd="/tmp", priority=7, timeout=5400.0,
            kill_after=5.0, retry=Retry(3, 60.0, 3.0, 3600.0, 0.0), success_exit_codes=(0, 3), delay=5.0,
            expires=86400.0, interrupted=spec.interrupted, output=Output(4096),
        )  # fmt: skip
        assert spec.interrupted == "fail"

    def test_one_many_documents(self) -> None:
        assert len(specs("- command: a\n- command: b\n")) == 2
        assert [s.command for s in specs("command: a\n---\ncommand: b\n---\n")] == ["a", "b"]

    def test_default_names(self) -> None:
        assert [s.name for s in specs("- command: [/bin/x, y]\n- command: A=1 /opt/run.sh z\n")] == ["x", "A=1"]
        found = line_spec(Kind.TASKS, "f", 1, b"  /usr/bin/make -C x\n", "default", CONFIG)
        assert found is not None and found.name == "make"

    def test_an_inline_script_gets_an_interpreter(self) -> None:
        assert specs("script: |\n  echo hi\n")[0].script == "#!/bin/sh\necho hi\n"
        assert specs("script: |\n  #!/bin/bash\n  echo hi\n")[0].script == "#!/bin/bash\necho hi\n"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "x.yaml: this file is empty (if it was sent, it did not arrive: send it again)"),
            ("[]", "x.yaml: there is no job in this file"),
            ("hello", "x.yaml:1:1: expected a mapping of keys to values, not text"),
            ("name: x\n", "x.yaml:1:1: a job has either 'command' or 'script'"),
            ("command: x\nscript: y\n", "x.yaml:1:1: a job has either 'command' or 'script', not both"),
            ("command: x\npriorty: 3\n", "x.yaml:2:1: unknown key 'priorty' (did you mean 'priority'?)"),
            ("command: x\npriority: high\n", "x.yaml:2:11: priority: expected a whole number, not text 'high'"),
            ("command: x\npriority: 101\n", "x.yaml:2:11: priority: 101 is not between 0 and 100"),
            ("command: x\npriority: true\n", "x.yaml:2:11: priority: expected a whole number, not true or false"),
            ("command: []\n", "x.yaml:1:10: command: is empty"),
            ("command: ['']\n", "x.yaml:1:10: command: its first argument, the program, is empty"),
            ("command: [7, a]\n", "x.yaml:1:11: expected a program first, not a whole number '7' (put it in quotes)"),
            ("command: {a: b}\n", "x.yaml:1:10: command: expected a list of arguments, or text for /bin/sh -c"),
            ("command: x\ntimeout: soon\n", "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min"),
            ("command: x\ntimeout: 0\n", "x.yaml:2:10: timeout: must be more than nothing"),
            ("command: x\ntimeout: 5 parsecs\n", "x.yaml:2:10: timeout: unknown unit of time 'parsecs'"),
            ("command: x\nretry: {attemps: 3}\n", "x.yaml:2:9: unknown key 'attemps' (did you mean 'attempts'?)"),
            ("command: x\nretry: 3\n", "x.yaml:2:8: retry: expected a mapping of keys to values, not a whole number"),
            ("command: x\ncwd: here\n", "x.yaml:2:6: cwd: expected an absolute path, not 'here'"),
            ("command: x\nenv: {1A: x}\n", "x.yaml:2:7: '1A' is not a name for a variable"),
            ("command: x\ninterrupted: maybe\n", "x.yaml:2:14: interrupted: expected one of rerun, fail"),
            ("command: x\noutput: {max_size: lots}\n", "x.yaml:2:20: max_size: expected a size such as 512K"),
            ("command: x\nsuccess_exit_codes: [0, 256]\n", "x.yaml:2:25: 256 is not between 0 and 255"),
            ("command: x\nqueue: elt\n", "x.yaml:2:8: queue: there is no queue 'elt' (did you mean 'etl'?)"),
            ("command: x\ndelay: 1s\nnot_before: 2030-01-01T00:00:00Z\n", "'delay' and 'not_before' exclude"),
            ("command: x\nnot_before: tomorrow\n", "x.yaml:2:13: not_before: expected a time such as"),
            *((f"command: x\n{key}: 1\n", f"x.yaml:2:1: the key '{key}' is not supported by this version")
              for key in ("limits",)),
        ],
    )  # fmt: skip
    def test_refused(self, text: str, said: str) -> None:
        assert said in refusal(text)

    def test_all_that_is_wrong_at_once(self) -> None:
        said = refusal("- command: x\n  priority: 300\n- comand: y\n- command: z\n  timeout: x\n")
        assert [line.split(":")[1] for line in said.splitlines() if line.startswith("x.yaml")] == ["2", "3", "5"]

    def test_queues(self) -> None:
        assert specs("command: x\nqueue: etl\n")[0].queue == "etl"
        assert specs("command: x\n", queue="etl")[0].priority == 60
        with pytest.raises(Refused, match="dropped for queue 'etl', it cannot ask for 'default'"):
            specs("command: x\nqueue: default\n", queue="etl")

    def test_defaults_of_a_queue_stand_behind_what_the_job_says(self) -> None:
        (spec,) = specs("command: x\nretry: {delay: 5s}\nenv: {B: own}\npriority: 1\n", queue="etl")
        assert spec.retry == Retry(attempts=3, delay=5.0)
        assert spec.env == {"A": "1", "B": "own"}
        assert spec.priority == 1


class TestScripts:
    def test_directives(self) -> None:
        text = (
            "#!/bin/sh\n\n# hello\n#TASKGATE name: job\n#TASKGATE retry: {attempts: 3}\r\necho\n##TASKGATE name: b\n"
        )
        (spec,) = read_script("s", text.encode(), "default", CONFIG)
        assert (spec.name, spec.retry.attempts, spec.script) == ("job", 3, text)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("#!/bin/sh\n#TASKGATE nam: x\n", "s:2:11: unknown key 'nam' (did you mean 'name'?)"),
            ("#!/bin/sh\n#\n#TASKGATE priority: 101\n", "s:3:21: priority: 101 is not between 0 and 100"),
            ("#!/bin/sh\n#TASKGATE priority: 1\n#TASKGATE priority: 2\n", "s:3:11: 'priority' is given twice"),
            ("#!/bin/sh\n#TASKGATE command: x\n", "s:2:11: 'command' has no place in a script"),
            ("#!/bin/sh\n#TASKGATE hello\n", "s:2:11: expected 'key: value'"),
        ],
    )
    def test_refused_at_the_place_in_the_script(self, text: str, said: str) -> None:
        assert said in refusal(text, "s")

    def test_any_bytes_are_kept(self) -> None:
        (spec,) = read_script("s", b"#!/bin/sh\necho \xff\xfe\n", "default", CONFIG)
        assert spec.script is not None
        assert spec.script.encode("utf-8", "surrogateescape") == b"#!/bin/sh\necho \xff\xfe\n"


class TestLists:
    def test_tasks(self) -> None:
        found = read_file("x.tasks", b"# no\n\n  \necho a # b\r\necho \xff", "default", CONFIG)
        assert [s.command for s in found] == ["echo a # b", "echo \udcff"]

    def test_lines_for_a_handler_are_data(self) -> None:
        found = read_file("x.yaml", b"# data\n\na b\n", "lines", CONFIG)
        assert [s.command for s in found] == [("consume", "x=# data"), ("consume", "x=a b")]

    def test_a_file_for_a_handler(self) -> None:
        (spec,) = read_file("a.jpg", b"\0", "thumbs", CONFIG)
        assert (spec.command, spec.file, spec.name) == (("thumb", "a.jpg"), "a.jpg", "a")

    def test_refused(self) -> None:
        assert "x.tasks:2:3: a NUL in a line" in refusal(b"ok\nab\0c\n", "x.tasks")
        assert "x.tasks:1: this line is longer" in refusal(b"x" * (MAX_LINE + 1), "x.tasks")
        assert read_file("x.tasks", b"x" * MAX_LINE, "default", CONFIG)


def test_kinds() -> None:
    plain, thumbs, lines = QueueConfig("default"), CONFIG.queue("thumbs"), CONFIG.queue("lines")
    assert kind_of("a.yml", plain) is Kind.SPEC
    assert kind_of("a.txt", plain) is Kind.TASKS
    assert kind_of("a", plain) is Kind.SCRIPT
    assert kind_of("a.yaml", thumbs) is Kind.FILE
    assert kind_of("a.yaml", lines) is Kind.LINES
    with pytest.raises(Refused, match="neither a spec"):
        check_script("a.jpg", b"\xff", "default")


class TestUnits:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("90", 90),
            ("90s", 90),
            ("2h 30min", 9000),
            ("1h30min", 5400),
            ("1.5h", 5400),
            ("500ms", 0.5),
            ("1w 1d", 691200),
        ],
    )
    def test_durations(self, text: str, seconds: float) -> None:
        assert units.duration(text) == seconds

    @pytest.mark.parametrize("text", ["", "x", "5 x", "-1s", "1s x", "1e99d", "s"])
    def test_not_durations(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            units.duration(text)

    @given(st.integers(0, 10**12))
    def test_round_trips(self, number: int) -> None:
        assert units.size(units.format_size(number)) == number
        if number < 10**11:
            assert round(units.duration(units.format_duration(number / 1000)) * 1000) == number

    @pytest.mark.parametrize("text", ["", "4X", "-1", "1.2.3", "9999999T"])
    def test_not_sizes(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            units.size(text)

    def test_times(self) -> None:
        assert units.timestamp("1970-01-01T01:00:00+01:00") == 0
        assert units.timestamp("1970-01-01T00:00:00.000001Z") == 1


class TestShipped:
    @pytest.mark.parametrize(("name", "schema"), [("job", job_schema), ("config", config_schema)])
    def test_the_schema_is_generated(self, name: str, schema: Any) -> None:
        assert (REPOSITORY / "taskgated" / f"{name}.schema.json").read_text() == dump(schema())

    def test_the_examples_are_read(self) -> None:
        for path in sorted((REPOSITORY / "etc" / "examples").iterdir()):
            if path.name == "old-way.yaml" or path.is_dir():  # configurations, and ways in
                continue
            if path.name == "broken.yaml":
                assert "did you mean 'command'" in refusal(path.read_bytes(), path.name)
            else:
                assert read_file(path.name, path.read_bytes(), "default", CONFIG)

    def test_the_command_line_imports_only_what_it_uses(self) -> None:
        code = "import sys, taskgated.ctl.__main__; print({'yaml', 'watchdog', 'sqlite3'} & sys.modules.keys())"
        result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True)
        assert result.stdout == b"set()\n"
