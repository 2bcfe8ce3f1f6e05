"""Job files of every kind: what they say is what is run, and what they should not say is refused at its place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from taskgated.core.job import Interrupted, Locks, OnConflict, Output, Receiver, Retry, Signal, Spec, Warn
from taskgated.errors import ConfigError, Refused
from taskgated.host.paths import Layout
from taskgated.language.configfiles import load
from taskgated.language.declare import MAX_PROBLEMS
from taskgated.language.jobfile import MAX_LINE, file_spec, line_spec, read_specs
from taskgated.language.kinds import Kind, kind_of
from taskgated.language.schema import dump, job_schema
from taskgated.language.scripts import read_script
from taskgated.text import to_bytes
from tests import REPOSITORY
from tests.env.jobfile import CONFIG, FULL, read, refused, round_trips


class TestSpec:
    @pytest.mark.parametrize("name", ["x.yaml", "x.json"])
    def test_everything(self, name: str) -> None:
        assert read(json.dumps(FULL), name) == [
            Spec(
                command=("a", "b c", ""), name="n", env={"A": "x"}, cwd="/tmp", priority=7, timeout=5400.0,
                kill_after=5.0, linger=2.0, retry=Retry(3, 60.0, 3.0, 7200.0, 0.0), success_exit_codes=(0, 3),
                warn=Warn(Signal.USR2, 90.0, Receiver.GROUP), delay=5.0,
                expires=86400.0, interrupted=Interrupted.FAIL, output=Output(4096),
                tokens={"db": 2}, locks=Locks(("a:b",), ("/c",)), key="k", on_conflict=OnConflict.ONCE_MORE,
            )
        ]  # fmt: skip

    def test_what_it_takes_is_its_queues_if_it_says_nothing(self) -> None:
        said, unsaid, nothing = (
            read(f"command: x\n{more}", queue="scarce")[0] for more in ("tokens: {db: 1}\n", "", "tokens: {}\n")
        )
        assert (said.tokens, unsaid.tokens, nothing.tokens) == ({"db": 1}, {"db": 2}, {})
        assert read("x\n", "x.tasks", "scarce")[0].tokens == {"db": 2}
        assert read("command: x\non_conflict: skip\n", queue="scarce")[0].key == "k"

    def test_an_array_has_locks_and_keys_of_its_own(self) -> None:
        both = "locks: {exclusive: ['{index}', b], shared: ['a{index}', '1']}"
        first, second = read(f"command: x\narray: [1, 2]\nkey: 'k{{index}}'\n{both}\n")
        assert (first.key, second.key) == ("k1", "k2")
        assert first.locks == Locks(("1", "b"), ("a1",)), "of two that have become the same the stronger"
        assert second.locks == Locks(("2", "b"), ("a2", "1"))

    def test_only_a_command(self) -> None:
        assert read("command: echo hi\n") == [Spec(command="echo hi", name="echo")]

    @pytest.mark.parametrize(
        ("text", "commands"),
        [
            ("- command: a\n- command: b\n", ["a", "b"]),
            ("command: a\n---\n- command: b\n- command: c\n---\n", ["a", "b", "c"]),
            (b"\xef\xbb\xbfcommand: a\r\nname: b\r\n", ["a"]),
            ("command: no\n", ["no"]),
            ("command: 1:30\n", ["1:30"]),
        ],
    )
    def test_one_or_many(self, text: str | bytes, commands: list[str]) -> None:
        assert [spec.command for spec in read(text)] == commands

    def test_a_variable_is_what_was_written(self) -> None:
        env = "{V: 1.10, M: 0755, B: 9_0, E: 1e3, N: 'null', O: on, X: 0x1F, L: 99999999999999999999}"
        assert read(f"command: x\nenv: {env}\n")[0].env == {
            "V": "1.10", "M": "0755", "B": "9_0", "E": "1e3", "N": "null", "O": "on", "X": "0x1F",
            "L": "99999999999999999999",
        }  # fmt: skip

    def test_a_number_is_an_argument_as_it_was_written(self) -> None:
        arguments = ["1", "1.10", "010", "-0", "1e3", "0x1F", "0o7", "99999999999999999999"]
        assert read(f"command: [sleep, {', '.join(arguments)}]\n")[0].command == ("sleep", *arguments)
        assert read('{"command": ["sleep", 1.10, -0, 1E3]}', "x.json")[0].command == ("sleep", "1.10", "-0", "1E3")

    @pytest.mark.parametrize(
        ("written", "seconds"),
        [("00:30:00", 1800), ("1-12:00", 129_600), ("1-00:00:30", 86_430), ("90", 90), ("100:00:00", 360_000),
         ("10 mins", 600), ("2hrs", 7200)],
    )  # fmt: skip
    def test_durations_as_others_write_them(self, written: str, seconds: float) -> None:
        assert read(f"command: x\ntimeout: {written}\n")[0].timeout == seconds
        assert read("#!/bin/sh\n#TASKGATE timeout: " + written, "x")[0].timeout == seconds

    @pytest.mark.parametrize(("written", "size"), [("4g", 2**32), ("4GiB", 2**32), ("1.5 MiB", 3 * 2**19), ("4", 4)])
    def test_sizes_as_others_write_them(self, written: str, size: int) -> None:
        assert read(f"command: x\noutput: {{max_size: {written}}}\n")[0].output.max_size == size

    @pytest.mark.parametrize(
        ("command", "name"),
        [
            ("[/usr/bin/x, y]", "x"), ("[/usr/bin/]", "bin"),
            ("[/]", "/"), ("A=1 /opt/r.sh z", "A=1"), ("'\"a b\"'", "a b"),
            ('"it\'s"', "it's"), ('["a\\x1b\\x9b[31m"]', "a??[31m"), ("x" * 300, "x" * 200),
        ],
    )  # fmt: skip
    def test_names_when_none_is_given(self, command: str, name: str) -> None:
        assert read(f"command: {command}\n")[0].name == name

    def test_scripts_inside(self) -> None:
        assert read("script: |\n  echo hi\n") == [Spec(script="#!/bin/sh\necho hi\n", name="script")]
        assert read("script: |\n  #!/bin/awk -f\n  {}\n")[0].script == "#!/bin/awk -f\n{}\n"

    def test_a_delay_longer_than_the_longest_by_default_is_meant(self) -> None:
        assert read("command: x\nretry: {delay: 2h}")[0].retry == Retry(delay=7200.0, max_delay=7200.0)
        with pytest.raises(Refused, match="the first pause, 2h, is longer than the longest, 1h"):
            read("command: x\nretry: {delay: 2h, max_delay: 1h}")

    def test_infinity(self) -> None:
        assert read("command: x\ntimeout: infinity\n", queue="etl")[0].timeout is None


class TestQueues:
    def test_the_spool_itself_may_name_one(self) -> None:
        assert [s.queue for s in read("- {command: x, queue: etl}\n- {command: x, queue: default}")] == [
            "etl",
            "default",
        ]

    def test_a_directory_stands_for_its_own(self) -> None:
        assert [s.queue for s in read("- {command: x, queue: etl}\n- {command: x}", queue="etl")] == ["etl", "etl"]
        assert read("command: x", queue="unconfigured")[0].queue == "unconfigured"
        assert refused("command: x\nqueue: default", queue="etl") == [
            "x.yaml:2:8: queue: dropped for queue 'etl', it cannot ask for 'default'"
        ]

    @pytest.mark.parametrize("where", ["dropped there", "asked for"])
    def test_defaults_stand_behind_the_job(self, where: str) -> None:
        text = "command: x\npriority: 1\nretry: {delay: 5s}\nenv: {B: own}\n"
        (spec,) = read(text, queue="etl") if where == "dropped there" else read(text + "queue: etl\n")
        assert spec == Spec(
            command="x", name="x", queue="etl", priority=1, timeout=7200.0, retry=Retry(attempts=3, delay=5.0),
            env={"A": "1", "B": "own"},
        )  # fmt: skip

    def test_one_time_takes_the_place_of_the_other(self) -> None:
        assert read("command: x", queue="late")[0].delay == 60.0
        (spec,) = read("command: x\nnot_before: 1970-01-01T00:00:01Z", queue="late")
        assert (spec.delay, spec.not_before) == (0.0, 1_000_000)


class TestScripts:
    @pytest.mark.parametrize(
        ("head", "values"),
        [
            ("#TASKGATE priority: 7", {"priority": 7}),
            ("\n  \n# hello\n#TASKGATE priority: 7", {"priority": 7}),
            ("#TASKGATE priority: 7\r", {"priority": 7}),
            ("  #TASKGATE\tpriority: 7", {"priority": 7}),
            ("#TASKGATE {priority: 7, cwd: /tmp} # both", {"priority": 7, "cwd": "/tmp"}),
            ("#TASKGATE priority: 7\n#TASKGATE cwd: /é", {"priority": 7, "cwd": "/é"}),
            ("#TASKGATE name: own", {"name": "own"}),
            ("#TASKGATE queue: late", {"queue": "late", "delay": 60.0}),
            ("##TASKGATE priority: 7", {}),
            ("# \xff\0", {}),
        ],
    )  # fmt: skip
    def test_directives(self, head: str, values: dict[str, Any]) -> None:
        text = f"#!/bin/sh\n{head}\necho\n##TASKGATE nothing: here\n"
        text += " " * 1024 + "\0\n" if "\0" in head else ""
        text = text.replace("\0", "", 1)
        assert read(text, "dir/s.sh") == [Spec(**{"script": text, "name": "s", **values})]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("#TASKGATE nam: x", "s:2:11: unknown key 'nam' (did you mean 'name'?)"),
            ("#TASKGATE  nam: x\r", "s:2:12: unknown key 'nam' (did you mean 'name'?)"),
            ("\n#\n#TASKGATE priority: 101", "s:4:21: priority: 101 is not between 0 and 100"),
            ("#TASKGATE priority: 1\n#TASKGATE priority: 2", "s:3:11: 'priority' is given twice (first in line 2)"),
            ("#TASKGATE {cwd: /, cwd: /}", "s:2:20: 'cwd' is given twice (first in line 2)"),
            ("#TASKGATE command: x", "s:2:11: 'command' has no place in a script: the script is what runs"),
            ("#TASKGATE queue: elt", "s:2:18: queue: there is no queue 'elt' (did you mean 'etl'?)"),
            ("#TASKGATE not_before: 2027-01-01\n#TASKGATE delay: 1s",
             "s:3:18: 'delay' and 'not_before' exclude each other"),
            ("#TASKGATE limits: [a]", "s:2:11: the key 'limits' is not supported by this version"),
            ("#TASKGATE hello", "s:2:11: expected 'key: value'"),
            ("#TASKGATE", "s:2:10: expected 'key: value'"),
            ("#TASKGATE name: &a b", "s:2:17: anchors are not supported (write the value out)"),
            (b"#TASKGATE name: caf\xe9", "s:2:20: a directive must be UTF-8"),
            ("#TASKGATE name: a\x07", "s:2:18: a control character has no place in a directive"),
            ("#TASKGATE name: a\rpriority: 1", "s:2:18: a control character has no place in a directive"),
            ("#\0", "s:2:2: a NUL in its first kilobyte: this is no script"),
        ],
    )  # fmt: skip
    def test_refused_at_its_place(self, text: str | bytes, said: str) -> None:
        data = text.encode() if isinstance(text, str) else text
        assert refused(b"#!/bin/sh\n" + data + b"\nexit\n", "s") == [said]

    def test_all_at_once(self) -> None:
        text = "#!/bin/sh\n#TASKGATE [\n#TASKGATE nam: x\n#TASKGATE priority: 101\n"
        assert [said.split(": ")[0] for said in refused(text, "s")] == ["s:2:12", "s:3:11", "s:4:21"]
        assert len(refused("#!/bin/sh\n" + "#TASKGATE [\n" * 10_000, "s")) == MAX_PROBLEMS + 1

    def test_the_text_is_kept_to_the_byte(self) -> None:
        data = b"\xff\r\nexit\n" + b" " * 1024 + b"\0"
        (spec,) = read(b"#!/bin/sh\n#" + data, "s")
        assert to_bytes(spec.script or "") == b"#!/bin/sh\n#" + data
        assert round_trips(spec)


class TestListsAndHandlers:
    def test_a_task_list(self) -> None:
        found = read(b"# nightly\n\n  \t\n # no\necho a # b\r\n/bin/echo \xff\n'x", "x.tasks", "etl")
        assert [(s.command, s.name) for s in found] == [
            ("echo a # b", "echo"),
            ("/bin/echo \udcff", "echo"),
            ("'x", "'x"),
        ]
        assert {(s.queue, s.priority) for s in found} == {("etl", 60)}
        assert all(map(round_trips, found))

    def test_the_longest_line(self) -> None:
        assert read(b"x" * MAX_LINE + b"\r\n", "x.txt")
        assert refused(b"ok\n" + b"x" * (MAX_LINE + 1) + b"\na\0b", "x.txt") == [
            f"x.txt:2: this line is longer than {MAX_LINE} bytes",
            "x.txt:3:2: a NUL in a line: no program can be given one",
        ]

    def test_lines_are_data(self) -> None:
        found = read(b"# data\n\ncommand: x; {file}\n", "x.yaml", "lines")
        assert [s.command for s in found] == [
            ("consume", "x=# data", "# data"),
            ("consume", "x=command: x; {file}", "command: x; {file}"),
        ]
        assert {(s.name, s.priority, s.queue) for s in found} == {("consume", 7, "lines")}
        assert line_spec(Kind.LINES, "x", 1, b" \n", "lines", CONFIG) is None

    def test_a_file_is_data(self) -> None:
        spec = file_spec("a.b.jpg", "/claims/1/file", "thumbs", CONFIG)
        command = ("/opt/thumb.sh", "-i", "in=/claims/1/file")
        assert spec == Spec(command=command, file="/claims/1/file", name="a.b", queue="thumbs")

    @pytest.mark.parametrize(
        ("name", "queue", "kind"),
        [
            ("a.yml", "default", Kind.SPEC), ("a.json", "default", Kind.SPEC), ("a.txt", "default", Kind.TASKS),
            ("a", "default", Kind.SCRIPT), ("a.yaml", "thumbs", Kind.FILE), ("a", "lines", Kind.LINES),
        ],
    )  # fmt: skip
    def test_kinds(self, name: str, queue: str, kind: Kind) -> None:
        assert kind_of(name, CONFIG.queue(queue)) is kind

    def test_no_kind(self) -> None:
        assert refused(b"\xff\xd8\xff\xe0\0", "a.jpg") == [
            "a.jpg: this is neither a spec (.yaml, .yml, .json) nor a task list (.tasks, .txt) nor a script "
            "(first line #!), and queue default has no handler "
            "(if it is data, drop it in the directory of a queue with a handler)"
        ]


class TestSchema:
    validator = Draft202012Validator(job_schema())

    def test_shipped(self) -> None:
        Draft202012Validator.check_schema(job_schema())
        assert (REPOSITORY / "taskgated" / "job.schema.json").read_text() == dump(job_schema())

    @pytest.mark.parametrize(
        ("values", "valid"),
        [
            (FULL, True), ({"command": "x"}, True), ({"script": "x"}, True), ([{"command": "x"}] * 2, True),
            ({"command": "x", "timeout": "infinity", "env": {"A": 7}}, True), ([], False), ("x", False), ({}, False),
            ({"command": "x", "script": "y"}, False), ({"command": "x", "nam": "y"}, False), ({"command": []}, False),
            ({"command": [""]}, False), ({"command": ["a", 7]}, True),
            ({"command": [7]}, False), ({"command": ["a", True]}, False), ({"command": " "}, False),
            ({"command": "x", "priority": 101}, False), ({"command": "x", "env": {"1A": "x"}}, False),
            ({"command": "x", "env": {"A": None}}, False), ({"command": "x", "cwd": "y"}, False),
            ({"command": "x", "queue": "rejected"}, False), ({"command": "x", "interrupted": "x"}, False),
            ({"command": "x", "delay": 1, "not_before": "2027-01-01"}, False), ({"command": "x", "locks": []}, False),
            ({"command": "x", "locks": {"shared": ["a:b"]}}, True),
            ({"command": "x", "retry": {"attempts": 0}}, False), ({"command": "x", "success_exit_codes": []}, False),
        ],
    )  # fmt: skip
    def test_it_says_what_the_reader_says(self, values: Any, valid: bool) -> None:
        assert self.validator.is_valid(values) is valid
        if valid:
            assert read(json.dumps(values), "x.json")
        else:
            assert refused(json.dumps(values), "x.json")


def test_examples() -> None:
    found = {path.name: path.read_bytes() for path in (REPOSITORY / "etc" / "examples").iterdir() if path.is_file()}
    said = refused(found.pop("broken.yaml"), "broken.yaml")
    assert said[0] == "broken.yaml:2:1: unknown key 'comand' (did you mean 'command'?)"
    found.pop("old-way.yaml")  # a configuration
    found.pop("submit-and-wait")  # a program for submitters
    jobs = {name: len(read(data, name)) for name, data in found.items()}
    assert jobs == {
        "backup": 1, "fails.yaml": 1, "night.tasks": 3, "nightly.yaml": 7, "report.yaml": 1, "retried.yaml": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("taskgated.language.jobfile", ["watchdog", "sqlite3", "taskgated.daemon", "taskgated.store"]),
        ("taskgated.ctl.__main__", ["yaml", "watchdog", "sqlite3", "taskgated.language", "taskgated.daemon"]),
    ],
)
def test_imports_only_what_it_uses(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print(sorted({forbidden!r} & sys.modules.keys()), '{module}' in sys.modules)"
    code = code.replace(repr(forbidden), f"set({forbidden!r})")
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout == "[] True\n"


class TestWarn:
    QUEUES = "queues: {long: {defaults: {warn: {before: 90s}}}, short: {defaults: {timeout: 1min}}}\n"

    @pytest.mark.parametrize(
        ("queue", "text", "place"),
        [
            ("long", "command: x\ntimeout: 90s\n", "x.yaml:2:10: timeout: "),
            ("short", "command: x\nwarn: {before: 1min}\n", "x.yaml:2:7: warn: "),
        ],
    )
    def test_what_the_queue_says_of_it_counts(self, tmp_path: Path, queue: str, text: str, place: str) -> None:
        (tmp_path / "c.yaml").write_text(self.QUEUES)
        config = load(Layout.under(tmp_path), tmp_path / "c.yaml")
        with pytest.raises(Refused) as refused:
            read_specs("x.yaml", text.encode(), queue, config)
        (problem,) = refused.value.problems
        assert str(problem).startswith(place)
        assert "comes before the start" in problem.message
        assert problem.hint == f"the other is among the defaults of queue '{queue}'"
        script = "#!/bin/sh\n#TASKGATE " + text.split("\n", 1)[1]
        with pytest.raises(Refused, match="comes before the start"):
            read_script("x.sh", script.encode(), queue, config)

    def test_a_shorter_one_fits(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text(self.QUEUES)
        config = load(Layout.under(tmp_path), tmp_path / "c.yaml")
        (spec,) = read_specs(
            "x.yaml", b"command: x\ntimeout: 91s\nwarn: {signal: HUP, before: 90s}\n", "long", config
        )
        assert spec.warn == Warn(Signal.HUP, 90.0)
        (spec,) = read_specs("x.yaml", b"command: x\ntimeout: 1s\nwarn: {before: 0s}\n", "long", config)
        assert spec.warn == Warn()

    def test_the_defaults_of_a_queue_are_checked(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text("queues: {q: {defaults: {timeout: 1min, warn: {before: 2min}}}}\n")
        with pytest.raises(ConfigError, match="a signal 2min ahead of a timeout of 1min comes before the start"):
            load(Layout.under(tmp_path), tmp_path / "c.yaml")


def test_a_default_of_a_queue_stands_for_something_in_every_job(tmp_path: Path) -> None:
    text = "queues: {q: {defaults: {stdout: '/l/{name}.{index}'}}}\n"
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"stdout: '\{index\}' stands for nothing in a job that is none of an array"
    ):
        load(Layout.under(tmp_path), tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text(text.replace("index", "id"))
    load(Layout.under(tmp_path), tmp_path / "c.yaml")
