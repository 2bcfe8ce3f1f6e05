"""What somebody writes who knows it from elsewhere: refused with what to write here."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgated.errors import ConfigError
from taskgated.host.paths import Layout
from taskgated.language.config import from_values
from taskgated.language.configfiles import load
from taskgated.language.jobfile import read_file
from tests.env.jobfile import CONFIG, read, refused

HINTS = [
    ("retry.attempts: 3", "unknown key 'retry.attempts' (write retry: {attempts: 3})"),
    ("warn.before: 10s", "unknown key 'warn.before' (write warn: {before: 10s})"),
    ("stdin.text: a b", "unknown key 'stdin.text' (write stdin: {text: a b})"),
    ("array.to: 5", "unknown key 'array.to' (write array: {to: 5})"),
    ("env.PATH: /bin", "unknown key 'env.PATH' (write env: {PATH: /bin})"),
    ("retry.attempts: [1]", "unknown key 'retry.attempts' (write retry: {attempts: ...})"),
    ("retry.tries: 3", "(known in retry: attempts, delay, factor, jitter, max_delay, not_on, on)"),
    ("array: 1-10%2", "not text '1-10%2' (write {from: 1, to: 10, at_most: 2})"),
    ("array: 0-15:5", "not text '0-15:5' (write {from: 0, to: 15, step: 5})"),
    ("array: '1,3,5'", "not text '1,3,5' (write [1,3,5])"),
    ("array: 10", "not a whole number '10' (write {to: 10} for so many jobs, [10] for that index alone)"),
    ("array: [eu, us]", "array: an index is a whole number (for texts write {lines: [eu, us]})"),
    ("array: {values: [eu, 2], at_most: 1}", "values: an index is a whole number (for texts write {lines: [eu, 2]})"),
    ("array: {lines: ['a', ' ']}", "a line is blank"),
    ('array: {lines: ["a\\nb"]}', "a line has a line break inside"),
    ("array: {lines: [true]}", "expected a text, not true or false"),
    ("array: {lines: []}", "lines: is empty"),
    ("output: /tmp/x.log", "not text (a file that takes it is stdout: /tmp/x.log)"),
    ("log: /tmp/x.log", "unknown key 'log' (did you mean 'stdout'?)"),
    ("logFile: /tmp/x.log", "unknown key 'logFile' (did you mean 'stdout'?)"),
    ("error: /tmp/x.log", "unknown key 'error' (did you mean 'stderr'?)"),
    ("input: /tmp/x", "unknown key 'input' (did you mean 'stdin'?)"),
    ("user: alice", "unknown key 'user' (all jobs run as the user of the gate)"),
    ("mem: 4G", "unknown key 'mem' (memory is not counted by this version: let such jobs go through a queue with a"
     " limit)"),
    ("cpus: 4", "unknown key 'cpus' (what CPUs a job takes is not counted by this version: let such jobs go through a"
     " queue with a limit)"),
    ("expires: 2027-01-01", "(us ms s min h d w month y) (that is a date: say how long, such as 2h)"),
    ("not_before: 2h", "not '2h' (that is how long: say delay: 2h)"),
    ("timeout:1h", "(write timeout: 1h, with a blank)"),
    ("requires: [test, -e, /x]", "not a list (write {command: [test, -e, /x]})"),
    ("retry: [1]", "not a list"),
    ("tokens: db", "not text 'db' (write {db: 1})"),
    ("rate: 3", "(it is a key of queues: write it in the configuration, under the queue)"),
    ("probe: x", "(it is a key of queues: write it in the configuration, under the queue)"),
    ("workers: 3", "(it is a key of the configuration)"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "said"), HINTS)
def test_what_to_write_instead(key: str, said: str) -> None:
    problems = refused(f"command: x\n{key}\n")
    assert len(problems) == 1 and problems[0].endswith(said), problems


@pytest.mark.parametrize("text", ["command:x\n", "timeout:1h\ncommand: x\n", "- timeout:1h\n  command: x\n"])
def test_a_key_without_a_blank(text: str) -> None:
    assert ", with a blank)" in refused(text)[0]


@pytest.mark.parametrize(
    ("text", "first"),
    [("ignore: [*.csv]", "*"), ("cwd: *-*-* 06:00", "*"), ("a: {b: @5, c: d}", "@"), ("- %x", "%"), ("`x`", "`")],
)
def test_what_means_something_in_yaml_is_to_be_quoted(text: str, first: str) -> None:
    assert f"(a value that begins with {first} has to be in quotes)" in refused(text)[0]


@pytest.mark.parametrize("text", ["a: b: *c", "a: b &c: d", "a: x*y: z"])
def test_what_is_wrong_before_it_is_no_matter_of_quotes(text: str) -> None:
    assert "in quotes" not in refused(text)[0]


@pytest.mark.parametrize("text", ["a: [\n", "command: http://x: y\n", "x: 'a\n"])
def test_other_mistakes_have_no_such_hint(text: str) -> None:
    assert "blank" not in refused(text)[0]


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("--timeout=1h", "timeout: 1h"), ("timeout:1h", "timeout: 1h"), ("timeout=1h", "timeout: 1h"),
        ("retry.attempts=3", "retry: {attempts: 3}"), ("retry.attempts:3", "retry: {attempts: 3}"),
    ],
)  # fmt: skip
def test_what_is_told_to_be_written_in_a_directive_is_taken(line: str, right: str) -> None:
    assert refused(f"#!/bin/sh\n#TASKGATE {line}\n", "x.sh")[0].endswith(f"(write '#TASKGATE {right}')")
    read(f"#!/bin/sh\n#TASKGATE {right}\n", "x.sh")


def test_a_range_of_another_system_that_is_too_long() -> None:
    for last in (1_000_000_000, 10**17):
        (said,) = refused(f"#!/bin/sh\n#SBATCH --array=1-{last}\n", "x.sh")
        assert "an array has at most 1000000" in said or "is not between 0 and 1000000000" in said


def test_lines_may_be_a_list_of_texts() -> None:
    specs = read("command: [x, '{line}']\narray: {lines: [eu, 1.10, ' a b'], at_most: 2}\n")
    assert [(spec.command, spec.array.index, spec.array.at_most) for spec in specs] == [
        (("x", "eu"), 1, 2), (("x", "1.10"), 2, 2), (("x", " a b"), 3, 2),
    ]  # fmt: skip


def wrong_with(root: Path, text: str) -> list[str]:
    (root / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Layout.under(root), root / "c.yaml")
    return [str(problem).split("\n")[0] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("rate: 10/min", "not text (write {starts: 10, per: 1min})"),
        ("rate: 5 per 2 hours", "not text (write {starts: 5, per: 2h})"),
        ("rate: 7/fortnight", "not text (write {starts: 7, per: 1min})"),
        ("rate: unlimited", "not text (write none)"),
        ("breaker: 3", "breaker: expected a mapping of keys to values, not a whole number (write {failures: 3})"),
        ("machine: 8", "not a whole number (write {load: 8})"),
        ("limit: {auto: 16}", "not a whole number (write {max: 16})"),
        ("limit: {auto: {overload: 75}}", "not a whole number (write {exit_codes: [75]})"),
        ("require: .done", "not text (write {marker: .done})"),
        ("handler: [x, '{file}']", "not a list (write {command: [...]})"),
        ("timeout: 1h", "unknown key 'timeout' (it is a key of jobs: write it under defaults of the queue)"),
    ],
)
def test_what_to_write_of_a_queue_instead(tmp_path: Path, written: str, said: str) -> None:
    (problem,) = wrong_with(tmp_path, f"queues: {{q: {{{written}}}}}\n")
    assert problem.endswith(said), problem


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("queues: {q: 4}", "q: expected a mapping of keys to values, not a whole number (write {limit: 4})"),
        ("users: {alice: 3}", "(write {limit: 3})"),
        ("probes: {y: [a, b]}", "(write {command: [a, b]})"),
        ("probes: {y: {command: a, confirm: 2}}", "(write {open: 2, closed: 2})"),
        ("access: members", "(write {see: members, cancel: members})"),
        ("retention: 30d", "(write {age: 30d})"),
        ("rate: {starts: 1}", "(it is a key of queues: write it in the configuration, under the queue)"),
    ],
)
def test_what_to_write_in_the_configuration_instead(tmp_path: Path, written: str, said: str) -> None:
    (problem,) = wrong_with(tmp_path, f"{written}\n")
    assert problem.endswith(said), problem


@pytest.mark.parametrize(
    ("opens", "said"), [("Mo-Fr", "Mon..Fri"), ("Di", "Tue"), ("Do..So", "Thu..Sun"), ("lun", "Mon")]
)
def test_weekdays_of_other_languages(tmp_path: Path, opens: str, said: str) -> None:
    text = f"queues: {{q: {{windows: {{opens: '{opens} 22:00', closes: '6:00'}}}}}}\n"
    (problem,) = wrong_with(tmp_path, text)
    assert problem.endswith(f"'{opens}' is no weekday (write {said})"), problem


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("array: [1]", "unknown key 'array' (an array is no default: a job says it)"),
        ("name: x", "unknown key 'name' (it is no default: a job says it)"),
    ],
)
def test_what_is_no_default_of_a_queue(tmp_path: Path, key: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(f"queues: {{q: {{defaults: {{{key}}}}}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(Layout.under(tmp_path), tmp_path / "c.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("shell", "option"),
    [
        ("[bash]", "-c"), ("[/usr/bin/bash, -l]", "-c"), ("[python3.11, -u]", "-c"), ("[perl, -w]", "-e"),
        ("[bash, --norc]", "-c"), ("[bash, -lc]", ""), ("[bash, -l, -euo, pipefail, -c]", ""), ("[perl, -we]", ""),
        ("[/opt/own]", ""),
    ],
)  # fmt: skip
def test_a_shell_that_takes_the_text_for_a_file(shell: str, option: str) -> None:
    (spec,) = read(f"command: x\nshell: {shell}\n")
    program = shell.strip("[]").split(",", maxsplit=1)[0]
    note = f"line 2: shell: {program} without {option} takes the text for the name of a file"
    assert spec.notes == ((note,) if option else ())


def test_the_last_element_of_the_list_is_the_text() -> None:
    assert read_file("x.tasks", b"echo\n", "default", CONFIG)[0].notes == ()


def test_expires_of_a_queue_is_undone_by_a_job() -> None:
    config = from_values({"queues": {"q": {"defaults": {"expires": 60.0}}}})
    assert read_file("x.yaml", b"command: x\n", "q", config)[0].expires == 60.0
    assert read_file("x.yaml", b"command: x\nexpires: infinity\n", "q", config)[0].expires is None
    assert refused("command: x\nexpires: never\n")[0].endswith("(write infinity)")


def test_a_first_pause_that_is_longer_than_the_longest_is_refused() -> None:
    (said,) = refused("command: x\nretry: {attempts: 3, delay: 2h, max_delay: 1h}\n")
    assert said.endswith("max_delay: the first pause, 2h, is longer than the longest, 1h")
    assert read("command: x\nretry: {attempts: 3, delay: 2h}\n")[0].retry.max_delay == 7200.0
