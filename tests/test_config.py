"""The configuration: what holds, how files are put together, and everything that can be wrong with them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from taskgated import config
from taskgated.config import KEYS, Access, Config, Retention, from_values, load
from taskgated.errors import ConfigError
from taskgated.formats.schema import config_schema, dump
from taskgated.paths import Layout

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = REPOSITORY / "etc" / "taskgated.yaml"
OLD_WAY = REPOSITORY / "etc" / "examples" / "old-way.yaml"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.under(tmp_path)
    made.config_drop_ins.mkdir(parents=True)
    return made


def loaded(layout: Layout, main: str | bytes = "", **drop_ins: str) -> Config:
    layout.config_file.write_bytes(main.encode() if isinstance(main, str) else main)
    for name, text in drop_ins.items():
        (layout.config_drop_ins / f"{name}.yaml").write_text(text)
    return load(layout)


def refused(layout: Layout, main: str | bytes = "", **drop_ins: str) -> list[str]:
    """Each problem, without its picture and its directory."""
    with pytest.raises(ConfigError) as caught:
        loaded(layout, main, **drop_ins)
    return [str(problem).split("\n")[0].removeprefix(f"{layout.etc}/") for problem in caught.value.problems]


def output(max_size: int) -> dict[str, Any]:
    return {"max_size": max_size, "journal": False, "journal_rate": 100}


class TestReference:
    def test_it_says_what_holds_without_it(self, layout: Layout) -> None:
        assert load(layout, REFERENCE) == from_values({}) == load(layout)

    def test_it_has_every_key(self) -> None:
        text = REFERENCE.read_text()
        assert [key.name for key in KEYS if not re.search(rf"^{key.name}:", text, re.MULTILINE)] == []

    def test_its_examples_are_right(self, layout: Layout) -> None:
        examples = re.findall(r"^#( .*)$", REFERENCE.read_text().partition("\n#  etl:")[2], re.MULTILINE)
        read = loaded(layout, "queues:\n  etl:\n" + "\n".join(examples))
        assert read.queue("etl").limit == 4
        assert read.queue("thumbnails").handler == ("/usr/local/bin/thumb", "{file}")

    def test_a_handler_that_is_taken_back(self, layout: Layout) -> None:
        given = "queues: {q: {handler: {command: [x, '{line}']}}}\n"
        none, nothing = "queues: {q: {handler: none}}\n", "queues: {q: {limit: 1}}\n"
        read = loaded(layout, given, a=none).queue("q")
        assert (read.handler, read.runs, read.mark) == (None, True, "")
        read = loaded(layout, none, a=given).queue("q")
        assert (read.handler, read.runs, read.mark) == (("x", "{line}"), False, "{line}")
        assert not loaded(layout, nothing, a=nothing).queue("q").runs

    def test_the_old_way(self, layout: Layout) -> None:
        lines = loaded(layout, "", old=OLD_WAY.read_text()).queue("lines")
        assert (lines.limit, lines.handler and lines.handler[-1]) == (2, "{line}")


class TestValues:
    def test_everything(self, layout: Layout) -> None:
        read = loaded(
            layout,
            "workers: 3\nready_queue: 9\nmax_backlog: 7\nuser_backlog: 4\nstop_timeout: 1min\non_stop: wait\n"
            "max_file_size: 2K\nmax_list_size: 3M\n"
            "rescan_interval: 5s\nsettle_time: 0\numask: '0077'\noutput: {max_size: 1K}\n"
            "access: {see: members}\n"
            "retention: {age: 1d, count: 0}\nqueues: {q: {limit: 2, defaults: {priority: 1}}}\n",
        )
        queues = read.queues
        assert read == Config(
            3,
            9,
            7,
            4,
            60.0,
            "wait",
            2048,
            3 * 2**20,
            5.0,
            0.0,
            0o077,
            output(1024),
            Retention(86400.0, 0),
            Access("members", "owner"),
            queues,
        )
        assert set(queues) == {"q", "default"}
        assert (queues["q"].limit, queues["q"].defaults) == (2, {"output": output(1024), "priority": 1})

    def test_workers(self, layout: Layout) -> None:
        assert loaded(layout).workers == loaded(layout, "workers: auto").workers == len(os.sched_getaffinity(0))
        assert loaded(layout, "workers: 3").ready_queue == 3
        assert loaded(layout, "workers: 3\nready_queue: 1").ready_queue == 1

    def test_output_of_all_jobs(self, layout: Layout) -> None:
        read = loaded(layout, "output: {max_size: 1M}\nqueues: {q: {defaults: {output: {max_size: 2M}}}}\n")
        assert read.queue("default").defaults["output"] == output(2**20)
        assert read.queue("q").defaults["output"] == output(2**21)
        assert read.queue("only-a-directory").defaults["output"] == output(2**20)

    @pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeff", "~"])
    def test_nothing(self, layout: Layout, text: str) -> None:
        assert loaded(layout, text) == from_values({})


class TestDropIns:
    def test_later_wins_key_by_key(self, layout: Layout) -> None:
        read = loaded(
            layout,
            "workers: 2\nqueues: {etl: {limit: 3, defaults: {env: {A: a, B: b}, priority: 9}}}\n",
            **{
                "20": "workers: auto\n",
                "10": "workers: 4\nretention: {count: 7}\nqueues: {etl: {defaults: {env: {B: c}}}, new: {}}\n",
                "9": "retention: {count: 9, age: 1d}\n",
            },
        )
        assert read.workers == len(os.sched_getaffinity(0))
        assert read.retention == Retention(86400.0, 9)
        etl = read.queue("etl")
        assert etl.limit == 3
        assert etl.defaults == {"env": {"A": "a", "B": "c"}, "priority": 9, "output": output(2**24)}
        assert set(read.queues) == {"default", "etl", "new"}

    @pytest.mark.parametrize(
        ("first", "second"), [("delay: 5s", "not_before: 2027-01-01"), ("not_before: 2027-01-01", "delay: 5s")]
    )
    def test_of_two_times_the_later_file_wins(self, layout: Layout, first: str, second: str) -> None:
        read = loaded(
            layout, f"queues: {{q: {{defaults: {{{first}}}}}}}", a=f"queues: {{q: {{defaults: {{{second}}}}}}}"
        )
        assert read.queue("q").defaults.keys() - {"output"} == {second.partition(":")[0]}

    def test_only_visible_yaml_files_are_read(self, layout: Layout) -> None:
        for name in (".hidden.yaml", "x.yaml~", "x.yml", "x.yaml.dpkg-new"):
            (layout.config_drop_ins / name).write_text("nonsense: 1\n")
        (layout.config_drop_ins / ".#lock.yaml").symlink_to("user@host.1")
        assert loaded(layout) == from_values({})

    def test_a_file_that_cannot_be_read_is_an_error(self, layout: Layout) -> None:
        (layout.config_drop_ins / "a.yaml").symlink_to("gone")
        (layout.config_drop_ins / "b.yaml").mkdir()
        (layout.config_drop_ins / "c.yaml").symlink_to("/dev/null")
        assert refused(layout) == [
            "conf.d/a.yaml: there is no such file",
            "conf.d/b.yaml: cannot be read: Is a directory",
        ]

    def test_a_directory_that_cannot_be_read_is_an_error(self, layout: Layout) -> None:
        layout.config_drop_ins.rmdir()
        assert loaded(layout) == from_values({})
        layout.config_drop_ins.write_text("")
        assert refused(layout) == ["conf.d: cannot be read: Not a directory"]


class TestFiles:
    def test_the_usual_file_may_be_missing_a_given_one_not(self, layout: Layout) -> None:
        assert load(layout) == from_values({})
        for path in (layout.etc / "other.yaml", layout.config_file):
            with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}: there is no such file$"):
                load(layout, path)

    def test_a_given_file_stands_for_the_usual_one(self, layout: Layout) -> None:
        layout.config_file.write_text("nonsense: 1\n")
        (layout.config_drop_ins / "a.yaml").write_text("workers: 7\n")
        other = layout.etc / "other.yaml"
        other.write_text("workers: 1\nready_queue: 3\n")
        assert (load(layout, other).workers, load(layout, other).ready_queue) == (7, 3)

    def test_all_errors_of_all_files(self, layout: Layout) -> None:
        said = refused(
            layout,
            "workerz: 3\numask: 022\nqueues: {q: {handler: {}, limit: 0}}\n",
            a="queues: {rejected: {}, q: {handler: {command: [x]}}}\n",
            b="workers: [\n",
            c="max_backlog: 0\n",
        )
        assert said == [
            "taskgated.yaml:1:1: unknown key 'workerz' (did you mean 'workers'?)",
            "taskgated.yaml:2:8: umask: expected an octal mask in quotes, such as '022', not a whole number '022' "
            "(put it in quotes)",
            "taskgated.yaml:3:23: 'command' is missing",
            "taskgated.yaml:3:34: limit: 0 is not between 1 and 100000",
            "conf.d/a.yaml:1:10: 'rejected' cannot be used: queue names (letters, digits, '_', '.', '-')",
            "conf.d/a.yaml:1:37: handler: its command must hold either {file} or {line}, and not both",
            said[6],
            "conf.d/c.yaml:1:14: max_backlog: 0 is not between 1 and 1000000000",
        ]
        assert said[6].startswith("conf.d/b.yaml:2:1: not YAML: ")

    def test_too_large(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(config, "MAX_SIZE", 100)
        assert loaded(layout, " " * 100)
        assert refused(layout, " " * 101) == ["taskgated.yaml: larger than 100 bytes (split it into drop-ins)"]


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("workers: 1\n---\nworkers: 2\n", "3:1: a configuration is one document, here begins a second"),
            ("- workers\n", "1:1: expected a mapping of keys to values, not a list"),
            ("workers: 1\nworkers: 2\n", "2:1: 'workers' is given twice (first in line 1)"),
            ("workers: &n 1\n", "1:10: anchors are not supported (write the value out)"),
            ("queues: *q\n", "1:9: aliases are not supported (write the value out)"),
            ("workers: !!int 1\n", "1:10: tags are not supported (leave it out)"),
            ("<<: {}\n", "1:1: merge keys are not supported (write it out)"),
            (b"workers: \xff\n", "1:10: byte 0xff is not UTF-8"),
            ("[" * 99, "1:33: nested deeper than 32"),
            ("workers: 0\n", "1:10: workers: 0 is not between 1 and 10000"),
            ("workers: Auto\n", "1:10: workers: expected a whole number, not text 'Auto'"),
            ("workers:\n", "1:9: workers: expected a whole number, not nothing"),
            ("umask: '8'\n", "1:8: umask: expected an octal mask in quotes, such as '022', not '8'"),
            ("max_file_size: 0\n", "1:16: max_file_size: must be more than nothing"),
            ("max_list_size: 1g\n", "1:16: max_list_size: expected a size such as 512K, 16M or 4G, not '1g'"),
            ("retention: {age: never}\n", "1:18: age: expected a duration such as 90s or 2h 30min, not 'never'"),
            ("queues:\n  etl:\n", "2:7: expected a mapping of keys to values, not nothing"),
            ("queues: [etl]\n",
             "1:9: queues: expected a mapping of queue names (letters, digits, '_', '.', '-'), not a list"),
            ("queues: {a b: {}}\n", "1:10: 'a b' cannot be used: queue names (letters, digits, '_', '.', '-')"),
            ("queues: {q: {limits: 3}}\n", "1:14: unknown key 'limits' (did you mean 'limit'?)"),
            ("queues: {q: {defaults: {priority: 101}}}\n", "1:35: priority: 101 is not between 0 and 100"),
            ("queues: {q: {defaults: {delay: 1, not_before: 2027-01-01}}}\n",
             "1:24: 'delay' and 'not_before' exclude each other"),
            ("queues: {q: {handler: x}}\n", "1:23: expected a mapping of keys to values, not text"),
            ("queues: {q: {handler: {command: x}}}\n", "1:33: command: expected a list of arguments, not text 'x'"),
            ("queues: {q: {handler: {command: ['', '{file}']}}}\n",
             "1:33: command: its first argument, the program, is empty"),
            ("queues: {q: {handler: {command: ['{file}', '{line}']}}}\n",
             "1:23: handler: its command must hold either {file} or {line}, and not both"),
        ],
    )  # fmt: skip
    def test_exactly(self, layout: Layout, text: str | bytes, said: str) -> None:
        assert refused(layout, text) == [f"taskgated.yaml:{said}"]

    @pytest.mark.parametrize("key", ["command", "script", "queue", "name"])
    def test_what_is_no_default(self, layout: Layout, key: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{defaults: {{{key}: x}}}}}}\n")
        assert said.startswith(f"taskgated.yaml:1:25: unknown key '{key}' (")


class TestSchema:
    validator = Draft202012Validator(config_schema())

    def test_shipped(self) -> None:
        Draft202012Validator.check_schema(config_schema())
        assert (REPOSITORY / "taskgated" / "config.schema.json").read_text() == dump(config_schema())

    @pytest.mark.parametrize(
        ("values", "valid"),
        [
            ({}, True), ({"workers": "auto", "umask": "022", "queues": {"default": {}}}, True),
            ({"queues": {"q": {"limit": 1, "handler": {"command": ["x", "{file}"]}}}}, True),
            ({"queues": {"q": {"defaults": {"retry": {"attempts": 3}, "timeout": "2h"}}}}, True),
            ({"workers": "many"}, False), ({"workers": 0}, False), ({"workerz": 1}, False), ({"umask": 22}, False),
            ({"umask": "9"}, False), ({"queues": {"rejected": {}}}, False), ({"queues": {"a b": {}}}, False),
            ({"queues": {"q": {"handler": {}}}}, False), ({"queues": {"q": {"handler": {"command": []}}}}, False),
            ({"queues": {"q": {"handler": {"command": ["", "{file}"]}}}}, False), ({"queues": []}, False),
            ({"queues": {"q": {"defaults": {"command": "x"}}}}, False), ({"retention": {"count": -1}}, False),
        ],
    )  # fmt: skip
    def test_it_says_what_the_reader_says(self, layout: Layout, values: Any, valid: bool) -> None:
        assert self.validator.is_valid(values) is valid
        assert bool(loaded(layout, json.dumps(values)) if valid else refused(layout, json.dumps(values)))
