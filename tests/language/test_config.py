"""The configuration: what holds, how files are put together, and everything that can be wrong with them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from taskgated.errors import ConfigError
from taskgated.host.paths import Layout
from taskgated.language import configfiles
from taskgated.language.bynames import left_alone
from taskgated.language.config import Access, Config, ProbeConfig, Require, Retention, UserConfig, from_values
from taskgated.language.configfiles import load
from taskgated.language.configkeys import KEYS
from taskgated.language.jobfile import file_spec, line_spec, read_specs
from taskgated.language.kinds import Kind
from taskgated.language.names import in_the_making
from taskgated.language.schema import config_schema, dump
from tests import REPOSITORY

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
        probe, queues = re.findall(r"\n#  (?:yarn|etl):((?:\n# .*)+)", REFERENCE.read_text())
        text = f"tokens: {{yarn: 10}}\nprobes:\n  yarn:{probe}\nqueues:\n  etl:{queues}\n".replace("\n#", "\n")
        read = loaded(layout, text)
        assert (read.queue("etl").limit, read.queue("etl").probe) == (4, "yarn")
        assert read.probes["yarn"] == ProbeConfig(read.probes["yarn"].command)
        assert read.probes["yarn"].command[0] == "/usr/share/taskgated/probes/yarn"
        assert read.queue("etl").tokens == {"yarn": 1}
        assert read.queue("thumbnails").handler == ("/usr/local/bin/thumb", "{file}")

    def test_a_handler_that_is_taken_back(self, layout: Layout) -> None:
        given = "queues: {q: {handler: {command: [x, '{line}']}}}\n"
        none, nothing = "queues: {q: {handler: none}}\n", "queues: {q: {limit: 1}}\n"
        read = loaded(layout, given, a=none).queue("q")
        assert (read.handler, read.runs, read.mark) == (None, True, None)
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
            "workers: 3\nready_queue: 9\nmax_backlog: 7\nuser_backlog: 4\nageing: 0\n"
            "limit: 2\nuser_limit: 1\nusers: {alice: {limit: 3}}\n"
            "stop_timeout: 1min\non_stop: wait\n"
            "max_file_size: 2K\nmax_list_size: 3M\n"
            "rescan_interval: 5s\nsettle_time: 0\numask: '0077'\noutput: {max_size: 1K}\n"
            "access: {see: members}\n"
            "retention: {age: 1d, count: 0}\nqueues: {q: {limit: 2, defaults: {priority: 1}}}\n",
        )
        queues = read.queues
        assert read == Config(
            workers=3,
            ready_queue=9,
            max_backlog=7,
            user_backlog=4,
            ageing=0.0,
            limit=2,
            user_limit=1,
            users={"alice": UserConfig(3)},
            stop_timeout=60.0,
            on_stop="wait",
            max_file_size=2048,
            max_list_size=3 * 2**20,
            rescan_interval=5.0,
            settle_time=0.0,
            umask=0o077,
            output=output(1024),
            retention=Retention(86400.0, 0),
            access=Access("members", "owner"),
            queues=queues,
        )
        assert set(queues) == {"q", "default"}
        assert (queues["q"].limit, queues["q"].defaults) == (2, {"output": output(1024), "priority": 1})

    def test_workers(self, layout: Layout) -> None:
        assert loaded(layout).workers == loaded(layout, "workers: auto").workers == len(os.sched_getaffinity(0))
        assert loaded(layout, "workers: 3").ready_queue == 3
        assert loaded(layout, "workers: 3\nready_queue: 1").ready_queue == 1

    def test_the_shell_of_all_jobs(self, layout: Layout) -> None:
        """That of a queue stands before it, as does that of a job; what runs without one is not told of it."""
        queues = "own: {defaults: {shell: [/bin/sh, -c]}}, h: {handler: {command: [x, '{file}']}}"
        config = loaded(layout, f"shell: [bash, -c]\nqueues: {{{queues}}}\n")

        def shell(spec: str, queue: str) -> object:
            (made,) = read_specs("x.yaml", spec.encode(), queue, config)
            return made.to_json().get("shell")

        assert shell("command: x", "default") == shell("command: x", "unheard-of") == ("bash", "-c")
        assert shell("command: x", "own") is None
        assert shell("command: x\nshell: [zsh, -c]", "own") == ("zsh", "-c")
        assert shell("command: [x]", "default") is shell("script: x", "default") is None
        assert "shell" not in file_spec("x", "/x", "h", config).to_json()
        made = line_spec(Kind.TASKS, "x.tasks", 1, b"echo $0", "default", config)
        assert made is not None and made.shell == ("bash", "-c")
        assert loaded(layout).shell == ("/bin/sh", "-c")
        assert refused(layout, "shell: bash") == [
            "taskgated.yaml:1:8: shell: expected a list of arguments, not text 'bash'"
        ]

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
            "conf.d/a.yaml:1:10: 'rejected' cannot be used: refused files lie in the directory of that name "
            "(take another name)",
            "conf.d/a.yaml:1:37: handler: its command must hold either {file} or {line}, and not both",
            said[6],
            "conf.d/c.yaml:1:14: max_backlog: 0 is not between 1 and 1000000000",
        ]
        assert said[6].startswith("conf.d/b.yaml:2:1: not YAML: ")

    def test_a_key_given_twice_hides_nothing_else(self, layout: Layout) -> None:
        said = refused(layout, "workers: 1\nworkers: 2\nqueues: {q: {probe: nope, limit: 0}}\numask: 022\n")
        assert [one.split(":")[1] for one in said] == ["2", "3", "4", "3"], said
        assert "twice" in said[0] and "no probe 'nope'" in said[-1]
        (twice, syntax) = refused(layout, "workers: 1\nworkers: 2\nqueues: [\n")
        assert "twice" in twice and "not YAML" in syntax

    def test_what_does_not_fit_between_files_is_told_beside_what_is_wrong_in_them(self, layout: Layout) -> None:
        said = refused(layout, "tokens: {t: 1}\numask: 022\n", a="queues: {q: {probe: nope, tokens: {t: 2, u: 1}}}\n")
        assert [("umask" in one, "nope" in one, "takes 2" in one, "no tokens" in one) for one in said] == [
            (True, False, False, False), (False, False, True, False), (False, False, False, True),
            (False, True, False, False),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "wrong", ["probes: {p: 3}\ntokens: {t: x}\n", "probes: p\ntokens: t\n", "umask: 22\nprobes: [\n"]
    )
    def test_what_is_there_and_wrong_is_not_missing(self, layout: Layout, wrong: str) -> None:
        said = refused(layout, "queues: {q: {probe: p, tokens: {t: 1}}}\n", a=wrong)
        assert said and all(one.startswith("conf.d/a.yaml") for one in said)

    def test_what_is_wrong_with_defaults_is_said_once(self, layout: Layout) -> None:
        said = refused(layout, "umask: 022\nqueues: {q: {defaults: {warn: {before: 2h}, timeout: 1h}}}\n")
        assert len(said) == 2, said

    def test_too_large(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(configfiles, "MAX_SIZE", 100)
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
            ("max_list_size: 1 x\n", "1:16: max_list_size: expected a size such as 512K, 16M or 4G, not '1 x'"),
            ("retention: {age: never}\n", "1:18: age: expected a duration such as 90s or 2h 30min, not 'never'"),
            ("queues:\n  etl:\n", "2:7: etl: expected a mapping of keys to values, not nothing"),
            ("queues: [etl]\n",
             "1:9: queues: expected a mapping of queue names (letters, digits, '_', '.', '-'), not a list"),
            ("queues: {a b: {}}\n", "1:10: 'a b' cannot be used: queue names (letters, digits, '_', '.', '-')"),
            ("queues: {q: {limits: 3}}\n", "1:14: unknown key 'limits' (did you mean 'limit'?)"),
            ("queues: {q: {defaults: {priority: 101}}}\n", "1:35: priority: 101 is not between 0 and 100"),
            ("queues: {q: {defaults: {delay: 1, not_before: 2027-01-01}}}\n",
             "1:24: 'delay' and 'not_before' exclude each other"),
            ("queues: {q: {handler: x}}\n",
             "1:23: handler: expected a mapping of keys to values, not text (write {command: [x]})"),
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
            ({"umask": "9"}, False), ({"queues": {"rejected": {}}}, False),
            ({"queues": {"failed": {}}}, False), ({"queues": {"a b": {}}}, False),
            ({"queues": {"q": {"handler": {}}}}, False), ({"queues": {"q": {"handler": {"command": []}}}}, False),
            ({"queues": {"q": {"handler": {"command": ["", "{file}"]}}}}, False), ({"queues": []}, False),
            ({"queues": {"q": {"defaults": {"command": "x"}}}}, False), ({"retention": {"count": -1}}, False),
        ],
    )  # fmt: skip
    def test_it_says_what_the_reader_says(self, layout: Layout, values: Any, valid: bool) -> None:
        assert self.validator.is_valid(values) is valid
        assert bool(loaded(layout, json.dumps(values)) if valid else refused(layout, json.dumps(values)))


class TestRequire:
    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("{}", "either a marker or sha256"),
            ("{marker: .done, sha256: .sum}", "either a marker or sha256"),
            ("{marker: done}", "the end of a name, such as .done"),
            ("{marker: ./x}", "the end of a name, such as .done"),
            ("{marker: .}", "the end of a name, such as .done"),
            ("{sha256: NAME.sha256}", "the end of a name, such as .done"),
            ("{md5: .md5}", "unknown key 'md5'"),
            (".done", "expected a mapping of keys to values, not text"),
        ],
    )
    def test_what_it_cannot_be(self, layout: Layout, value: str, why: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{require: {value}}}}}\n")
        assert why in said

    @pytest.mark.parametrize("ending", [".tmp", ".part", ".swp", ".filepart", ".crdownload", ".partial", ".download"])
    def test_an_ending_that_is_left_alone_is_refused(self, layout: Layout, ending: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{require: {{marker: .x{ending}}}}}}}\n")
        assert f"a name that ends in .x{ending} is left alone (take another, such as .done)" in said

    @pytest.mark.parametrize("key", ["marker", "sha256"])
    def test_what_it_is(self, layout: Layout, key: str) -> None:
        config = loaded(layout, f"queues: {{q: {{require: {{{key}: .done}}}}, r: {{}}}}\n")
        require = config.queue("q").require
        assert require is not None and require == Require(**{key: ".done"}) and require.ending == b".done"
        assert config.queue("r").require is None
        assert not in_the_making(b"a.done") and not in_the_making(b"a.sha256")


class TestNames:
    def test_globs(self, layout: Layout) -> None:
        given = "{handler: {command: [x, '{file}']}, ignore: ['*.log'], match: ['*.csv', 'd?ta']}"
        read = loaded(layout, f"ignore: [Thumbs.db]\nqueues: {{q: {given}, r: {{}}}}\n")
        assert (read.ignore, read.queue("q").ignore, read.queue("q").match) == (
            ("Thumbs.db",), ("*.log",), ("*.csv", "d?ta"),
        )  # fmt: skip
        assert left_alone(b"x", "r", read, b"Thumbs.db") == "its name fits Thumbs.db (ignore)"
        assert left_alone(b"a.log", "q", read, None) == "its name fits *.log (ignore of queue q)"
        assert not left_alone(b"a.log", "r", read, None)
        assert read.queue("q").takes(b"\xff.csv") and not read.queue("q").takes(b"a.CSV")
        assert read.queue("r").takes(b"a.CSV")

    @pytest.mark.parametrize("queue", ["match: ['*.csv']", "match: ['*.csv'], handler: none"])
    def test_match_without_a_handler_is_refused(self, layout: Layout, queue: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{{queue}}}}}\n")
        assert "match: it is for a queue with a handler" in said

    @pytest.mark.parametrize("key", ["ignore", "match"])
    def test_one_glob_is_a_list_too(self, layout: Layout, key: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{handler: {{command: [x, '{{file}}']}}, {key}: '*.csv'}}}}\n")
        assert "a list of globs, such as ['*.csv']" in said

    @pytest.mark.parametrize(
        ("glob", "says"),
        [
            ("logs/*.log", "a glob is of a name, without directories (write '*.log')"),
            ("logs/", "a glob is of a name, without directories"),
            ("*.{a,b}", "braces stand for themselves in a glob (write a glob for each)"),
        ],
    )
    @pytest.mark.parametrize(
        "place",
        [
            "ignore: [GLOB]",
            "queues: {q: {ignore: [GLOB]}}",
            "queues: {q: {handler: {command: [x, '{file}']}, match: [GLOB]}}",
        ],
    )
    def test_what_fits_no_name_is_refused(self, layout: Layout, place: str, glob: str, says: str) -> None:
        (said,) = refused(layout, place.replace("GLOB", f"'{glob}'") + "\n")
        assert says in said

    @pytest.mark.parametrize("glob", ["{a}", "[{]a,b}", "*.b{1}", "a,b"])
    def test_braces_that_are_meant_are_taken(self, layout: Layout, glob: str) -> None:
        assert loaded(layout, f"ignore: ['{glob}']\n").ignore == (glob,)

    @pytest.mark.parametrize("glob", ["*.bak", "*.tmp", ".*", "db-?.old"])
    def test_match_of_what_is_left_alone_is_refused(self, layout: Layout, glob: str) -> None:
        (said,) = refused(layout, f"queues: {{q: {{handler: {{command: [x, '{{file}}']}}, match: ['{glob}']}}}}\n")
        assert "is left alone (have it renamed before it is dropped)" in said


def test_a_warning_that_two_files_make_come_before_the_start(layout: Layout) -> None:
    """Lines of a list, and files for a handler, have nothing but the defaults of their queue."""
    main = "queues:\n  q: {defaults: {timeout: 5m}}\n"
    warn = "queues:\n  q:\n    defaults:\n      warn: {before: 10m}\n"
    (said,) = refused(layout, main, a=warn)
    assert "a.yaml:4:13: warn: a signal 10min ahead of a timeout of 5min comes before the start" in said
    assert "the other is in a file before this one" in said
    (said,) = refused(layout, warn, a=main)
    assert "a.yaml:2:27: timeout: a signal" in said


def test_what_two_files_say_of_retries_and_deadlines(layout: Layout) -> None:
    on = "queues:\n  q: {defaults: {retry: {on: [75, 3]}}}\n"
    not_on = "queues:\n  q: {defaults: {retry: {not_on: [75]}}}\n"
    before = "(the other is in a file before this one)"
    assert refused(layout, on, a=not_on)[0].endswith(f"a.yaml:2:34: not_on: 75 is in both 'on' and 'not_on' {before}")
    assert refused(layout, not_on, a=on)[0].endswith(f"a.yaml:2:30: on: 75 is in both 'on' and 'not_on' {before}")
    good = "queues:\n  q: {defaults: {success_exit_codes: [0, 3]}}\n"
    assert "a.yaml:2:38: success_exit_codes: exit code 3 is a success" in refused(layout, on, a=good)[0]
    (said,) = refused(layout, "queues:\n  q: {defaults: {delay: 2h, deadline: 1h}}\n")
    assert "taskgated.yaml:2:39: deadline: 1h after its submission, which is not after its delay of 2h" in said


def test_a_job_may_add_what_the_defaults_of_its_queue_lack(layout: Layout) -> None:
    loaded(layout, "queues: {q: {defaults: {retry: {on: [75, timeout]}}}}\n")


def test_a_later_file_may_mend_what_two_before_it_say(layout: Layout) -> None:
    main = "queues: {q: {defaults: {timeout: 5m}}}\n"
    loaded(layout, main, a="queues: {q: {defaults: {warn: {before: 10m}}}}\n",
           b="queues: {q: {defaults: {timeout: 20m}}}\n")  # fmt: skip
