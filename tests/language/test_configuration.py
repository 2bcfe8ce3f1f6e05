"""The configuration: its reference, its drop-ins, and everything that can be wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskgated.core.probe import Confirm, Says
from taskgated.errors import ConfigError
from taskgated.host.paths import Layout
from taskgated.language.config import Config, ProbeConfig, Retention, from_values
from taskgated.language.configfiles import load
from taskgated.language.configkeys import KEYS
from tests import REPOSITORY


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.under(tmp_path)
    made.config_drop_ins.mkdir(parents=True)
    return made


def loaded(layout: Layout, main: str, **drop_ins: str) -> Config:
    layout.config_file.write_text(main)
    for name, text in drop_ins.items():
        (layout.config_drop_ins / f"{name}.yaml").write_text(text)
    return load(layout)


def refusal(layout: Layout, main: str, **drop_ins: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(layout, main, **drop_ins)
    return str(caught.value)


def test_the_reference_says_what_holds_without_it(layout: Layout) -> None:
    assert load(layout, REPOSITORY / "etc" / "taskgated.yaml") == from_values({}) == load(layout)


def test_the_reference_names_every_key() -> None:
    text = (REPOSITORY / "etc" / "taskgated.yaml").read_text()
    assert [key.name for key in KEYS if not re.search(rf"^{key.name}:", text, re.MULTILINE)] == []


def test_the_old_way_is_a_configuration(layout: Layout) -> None:
    config = loaded(layout, (REPOSITORY / "etc" / "examples" / "old-way.yaml").read_text())
    assert config.queue("lines").limit == 2


def test_later_wins_key_by_key(layout: Layout) -> None:
    config = loaded(
        layout,
        "workers: 2\nqueues: {etl: {limit: 3, defaults: {env: {A: a, B: b}}}}\n",
        **{
            "20": "workers: 5\n",
            "10": "workers: 4\nretention: {count: 7}\nqueues: {etl: {defaults: {env: {B: c}}}}\n",
        },
    )
    assert config.workers == config.ready_queue == 5
    assert config.retention == Retention(count=7)
    etl = config.queue("etl")
    assert (etl.limit, etl.defaults["env"]) == (3, {"A": "a", "B": "c"})
    assert "default" in config.queues


def test_output_of_all_jobs(layout: Layout) -> None:
    config = loaded(layout, "output: {max_size: 1M}\nqueues: {q: {defaults: {output: {max_size: 2M}}}}\n")
    assert config.queue("default").defaults["output"]["max_size"] == 2**20
    assert config.queue("q").defaults["output"]["max_size"] == 2**21


def test_all_errors_of_all_files_at_once(layout: Layout) -> None:
    said = refusal(layout, "workerz: 3\numask: 22\n", a="queues: {rejected: {}, q: {limit: 0}}\n", b="workers: [\n")
    for part in (
        "taskgated.yaml:1:1: unknown key 'workerz' (did you mean 'workers'?)",
        "taskgated.yaml:2:8: umask: expected an octal mask in quotes, such as '022', not a whole number '22'",
        "a.yaml:1:10: 'rejected' cannot be used",
        "a.yaml:1:35: limit: 0 is not between 1 and 100000",
        "b.yaml:2:1: not YAML",
    ):
        assert part in said, said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nb: 2\n", "here begins a second"),
        ("- a\n", "expected a mapping"),
        ("queues: {q: {handler: {}}}\n", "'command' is missing"),
        ("queues: {q: {handler: {command: [x]}}}\n", "either {file} or {line}"),
        ("queues: {q: {handler: {command: ['{file}', '{line}']}}}\n", "either {file} or {line}"),
        ("queues: {q: {defaults: {command: x}}}\n", "unknown key 'command'"),
        ("queues: {'a b': {}}\n", "'a b' cannot be used"),
        ("workers: 0\n", "0 is not between 1 and 10000"),
        ("retention: {age: never}\n", "expected a duration"),
        ("max_file_size: 0\n", "must be more than nothing"),
    ],
)
def test_refused(layout: Layout, text: str, said: str) -> None:
    assert said in refusal(layout, text)


def test_empty_and_missing(layout: Layout) -> None:
    assert loaded(layout, "# nothing\n") == from_values({})
    with pytest.raises(ConfigError, match="there is no such file"):
        load(layout, layout.etc / "other.yaml")


def test_a_probe_as_it_is_written_and_as_it_is_usual(layout: Layout) -> None:
    config = loaded(
        layout,
        """
probes:
  usual: {command: test -e /x}
  own: {command: [/bin/a, 1], every: 1min, timeout: 1s, on_error: open, confirm: {open: 3}}
queues: {q: {probe: own}}
""",
    )
    assert config.probes["usual"] == ProbeConfig("test -e /x", 30.0, 10.0, Says.CLOSED, Confirm(1, 1))
    assert config.probes["own"] == ProbeConfig(("/bin/a", "1"), 60.0, 1.0, Says.OPEN, Confirm(3, 1))
    assert (config.queue("q").probe, config.queue("other").probe) == ("own", None)


def test_a_probe_that_is_named_and_not_there(layout: Layout) -> None:
    said = refusal(layout, "queues:\n  q: {probe: yran}\nprobes: {yarn: {command: [x]}}\n")
    assert ":2:14: probe: there is no probe 'yran' (did you mean 'yarn'?)" in said
    assert ":1:21: probe: there is no probe 'p' (define it under probes)" in refusal(
        layout, "queues: {q: {probe: p}}\n"
    )
    config = loaded(layout, "queues: {q: {probe: p}}\n", a="probes: {p: {command: [x]}}\n")
    assert config.queue("q").probe == "p", "another file may have it"


@pytest.mark.parametrize(
    ("probe", "wrong"),
    [
        ("{}", "'command' is missing"),
        ("{command: []}", "command: is empty"),
        ("{command: [x], every: 10ms}", "every: must be at least 100ms"),
        ("{command: [x], timeout: 0}", "timeout: must be more than nothing"),
        ("{command: [x], on_error: error}", "on_error: expected one of open, closed, not text 'error'"),
        ("{command: [x], confirm: {open: 0}}", "open: 0 is not between 1 and 1000"),
        ("{command: [x], cwd: /}", "unknown key 'cwd'"),
    ],
)
def test_what_is_wrong_with_a_probe(layout: Layout, probe: str, wrong: str) -> None:
    assert wrong in refusal(layout, f"probes: {{p: {probe}}}\n")


def test_a_strict_queue_is_not_shared_fairly(layout: Layout) -> None:
    said = refusal(layout, "queues:\n  q: {share: fair, strict: true}\n")
    assert ":2:28: strict: it is for a queue whose jobs go in order (leave out this, or 'share: fair')" in said
    assert loaded(layout, "queues: {q: {share: fair, strict: false}, p: {strict: true}}\n").queue("p").strict
