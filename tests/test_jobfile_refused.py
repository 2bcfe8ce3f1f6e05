"""What is wrong with a job file is said exactly, all at once, and whatever is dropped does no more than that."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobfile_env import FULL, read, refused, round_trips
from taskgated.core.job import to_bytes
from taskgated.errors import Refused
from taskgated.formats.declare import MAX_PROBLEMS
from taskgated.formats.keys import LATER

KNOWN = (
    "known: command, cwd, delay, env, expires, interrupted, kill_after, name, not_before, output, priority, queue, "
    "retry, script, success_exit_codes, timeout"
)
LINE = "a list of arguments, or text for /bin/sh -c"

REFUSALS: list[tuple[str, str]] = [
    ("", "x.yaml: there is no job in this file"),
    ("[]", "x.yaml: there is no job in this file"),
    ("---\n---\n", "x.yaml: there is no job in this file"),
    ("hello", "x.yaml:1:1: expected a mapping of keys to values, not text"),
    ("- command: x\n-\n", "x.yaml:2:2: expected a mapping of keys to values, not nothing"),
    ("- - command: x\n", "x.yaml:1:3: expected a mapping of keys to values, not a list"),
    ("name: x\n", "x.yaml:1:1: a job has either 'command' or 'script'"),
    ("{}", "x.yaml:1:1: a job has either 'command' or 'script'"),
    ("command: x\nscript: y\n", "x.yaml:1:1: a job has either 'command' or 'script', not both"),
    ("comand: x\n", "x.yaml:1:1: unknown key 'comand' (did you mean 'command'?)"),
    ("Command: x\n", "x.yaml:1:1: unknown key 'Command' (did you mean 'command'?)"),
    ("COMMAND: x\n", "x.yaml:1:1: unknown key 'COMMAND' (did you mean 'command'?)"),
    ("command: x\nzzz: 1\n", f"x.yaml:2:1: unknown key 'zzz' ({KNOWN})"),
    ("command: x\n'a\\b': 1\n", f"x.yaml:2:1: unknown key 'a\\b' ({KNOWN})"),
    ("command: []\n", "x.yaml:1:10: command: is empty"),
    ("command: ''\n", "x.yaml:1:10: command: is empty"),
    ("command:\n", f"x.yaml:1:9: command: expected {LINE}, not nothing"),
    ("command: ['', x]\n", "x.yaml:1:10: command: its first argument, the program, is empty"),
    ("command: [a, 0o7]\n", "x.yaml:1:14: expected text, not a whole number '0o7' (put it in quotes)"),
    ("command: [a, true]\n", "x.yaml:1:14: expected text, not true or false (put it in quotes)"),
    ("command: [a, [b]]\n", "x.yaml:1:14: expected text, not a list"),
    ("command: {a: b}\n", f"x.yaml:1:10: command: expected {LINE}, not a mapping"),
    ("command: 7\n", f"x.yaml:1:10: command: expected {LINE}, not a whole number '7'"),
    ("script: ' '\n", "x.yaml:1:9: script: is empty"),
    ("script: [a]\n", "x.yaml:1:9: script: expected the text of a script, not a list"),
    ("command: x\nname: 7\n", "x.yaml:2:7: name: expected text, not a whole number '7' (put it in quotes)"),
    (f"command: x\nname: {'n' * 201}\n", "x.yaml:2:7: name: longer than 200 characters"),
    ('command: x\nname: "a\\nb"\n', "x.yaml:2:7: name: a control character has no place here"),
    ('command: x\nname: "a\\x9bb"\n', "x.yaml:2:7: name: a control character has no place here"),
    ("command: x\nqueue: elt\n", "x.yaml:2:8: queue: there is no queue 'elt' (did you mean 'etl'?)"),
    ("command: x\nqueue: rejected\n", "x.yaml:2:8: queue: expected a queue's name, not 'rejected'"),
    ("command: x\nqueue: a/b\n", "x.yaml:2:8: queue: expected a queue's name, not 'a/b'"),
    ("command: x\nenv: [A]\n", "x.yaml:2:6: env: expected a mapping of names to values, not a list"),
    ("command: x\nenv: {1A: x}\n", "x.yaml:2:7: '1A' is not a name for a variable"),
    ("command: x\nenv:\n  A:\n", "x.yaml:3:5: A: expected text, not nothing (put it in quotes)"),
    ("command: x\nenv: {A: yes, B: true}\n", "x.yaml:2:18: B: expected text, not true or false (put it in quotes)"),
    ("command: x\ncwd: here\n", "x.yaml:2:6: cwd: expected an absolute path, not 'here'"),
    ("command: x\npriority: high\n", "x.yaml:2:11: priority: expected a whole number, not text 'high'"),
    ("command: x\npriority: 1.0\n", "x.yaml:2:11: priority: expected a whole number, not a number '1.0'"),
    ("command: x\npriority: true\n", "x.yaml:2:11: priority: expected a whole number, not true or false"),
    ("command: x\npriority: -1\n", "x.yaml:2:11: priority: -1 is not between 0 and 100"),
    ("command: x\npriority: 101\n", "x.yaml:2:11: priority: 101 is not between 0 and 100"),
    ("command: x\ntimeout: 0\n", "x.yaml:2:10: timeout: must be more than nothing"),
    ("command: x\ntimeout: true\n",
     "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min, not true or false"),
    ("command: x\ntimeout: soon\n", "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min, not 'soon'"),
    ("command: x\ntimeout: 1e20\n", "x.yaml:2:10: timeout: longer than a hundred years"),
    ("command: x\ntimeout: 5 parsecs\n",
     "x.yaml:2:10: timeout: unknown unit of time 'parsecs' (us ms s min h d w month y)"),
    ("command: x\nretry: 3\n", "x.yaml:2:8: expected a mapping of keys to values, not a whole number"),
    ("command: x\nretry: {attemps: 3}\n", "x.yaml:2:9: unknown key 'attemps' (did you mean 'attempts'?)"),
    ("command: x\nretry: {attempts: 0}\n", "x.yaml:2:19: attempts: 0 is not between 1 and 1000000"),
    ("command: x\nretry: {factor: 1e999}\n", "x.yaml:2:17: factor: inf is not between 1 and 100"),
    ("command: x\nretry: {jitter: .nan}\n", "x.yaml:2:17: jitter: expected a number, not text '.nan'"),
    ("command: x\nsuccess_exit_codes: 3\n",
     "x.yaml:2:21: success_exit_codes: expected a list of numbers, not a whole number '3'"),
    ("command: x\nsuccess_exit_codes: []\n", "x.yaml:2:21: success_exit_codes: is empty"),
    ("command: x\nsuccess_exit_codes: [0, 256]\n", "x.yaml:2:25: 256 is not between 0 and 255"),
    ("command: x\nnot_before: 20270131\n",
     "x.yaml:2:13: not_before: expected a time such as 2027-01-31T02:00:00+01:00, not a whole number '20270131'"),
    ("command: x\ndelay: 1s\nnot_before: 2030-01-01T00:00:00Z\n",
     "x.yaml:2:8: 'delay' and 'not_before' exclude each other"),
    ("command: x\ninterrupted: Rerun\n",
     "x.yaml:2:14: interrupted: expected one of rerun, fail, not text 'Rerun' (did you mean 'rerun'?)"),
    ("command: x\ninterrupted: 7\n", "x.yaml:2:14: interrupted: expected one of rerun, fail, not a whole number '7'"),
    ("command: x\noutput: {max_size: 1 lot}\n",
     "x.yaml:2:20: max_size: expected a size such as 512K, 16M or 4G, not '1 lot'"),
    (f"command: x\noutput: {{max_size: {'9' * 400}}}\n",
     f"x.yaml:2:20: max_size: expected a size such as 512K, 16M or 4G, not text '{'9' * 57}...'"),
    (f"command: [a, {'x' * 131_072}]\n", "x.yaml:1:14: longer than 131071 bytes: no program can be given that"),
    (f"command: {'é' * 65_536}\n", "x.yaml:1:10: command: longer than 131071 bytes: no program can be given that"),
    (f"command: x\nenv: {{A: {'x' * 131_072}}}\n",
     "x.yaml:2:10: A: longer than 131071 bytes: no program can be given that"),
    *((f"command: x\n{key}: 1\n", f"x.yaml:2:1: the key '{key}' is not supported by this version") for key in LATER),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("text", "said"), REFUSALS, ids=[text[:60] for text, _ in REFUSALS])
    def test_exactly(self, text: str, said: str) -> None:
        assert refused(text) == [said]

    def test_all_at_once(self) -> None:
        text = "- command: x\n  priority: 300\n  retry: {delay: x, jitter: 2}\n- comand: y\n- command: [1, 2]\n"
        places = [problem.split(": ")[0] for problem in refused(text)]
        assert places == ["x.yaml:2:13", "x.yaml:3:18", "x.yaml:3:29", "x.yaml:4:3", "x.yaml:5:13", "x.yaml:5:16"]

    def test_but_not_without_end(self) -> None:
        said = refused("".join(f"k{n}: 1\n" for n in range(50_000)))
        assert len(said) == MAX_PROBLEMS + 1
        assert said[-1] == f"x.yaml: these are the first {MAX_PROBLEMS}; there may be more"

    def test_places_in_json(self) -> None:
        text = '{"name": "\\ud83d\\ude00", "priority": 101,\r\n\t"command": 7}'
        assert refused(text, "x.json") == [
            "x.json:1:38: priority: 101 is not between 0 and 100",
            f"x.json:2:13: command: expected {LINE}, not a whole number '7'",
        ]
        assert refused("command: x\n", "x.json") == ["x.json:1:1: not JSON: Expecting value"]

    def test_too_large(self) -> None:
        for name in ("x.yaml", "x"):
            said = refused(b"#!" + b" " * 2**20, name)
            assert said == [f"{name}: larger than 1048576 bytes (see max_file_size)"]


SEEDS = [
    json.dumps(FULL),
    "- command: x\n  queue: etl\n  not_before: 2027-01-01T00:00:00Z\n- script: |\n    echo\n  timeout: infinity\n",
    "#!/bin/sh\n#TASKGATE name: x\n#TASKGATE retry: {attempts: 3, delay: 1min}\necho\n",
]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_is_dropped_is_refused_or_kept_as_it_is(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS)).encode()
    pieces = st.binary(max_size=3) | st.sampled_from(
        [b"9" * 400, b"1e999", b"\\ud800", b"\\0", b"~", b"- ", b"[", b"\r", b"7"]
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(pieces) + text[at + data.draw(st.integers(0, 3)) :]
    check_any(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
@example(b"command: x\noutput: {max_size: " + b"9" * 400 + b"}")
@example(b'{"command": "\\ud800"}')
def test_any_bytes(data: bytes) -> None:
    check_any(data)
    check_any(b"#!" + data)


def check_any(data: bytes) -> None:
    for name, queue in (("x.yaml", "default"), ("x.json", "etl"), ("x.tasks", "late"), ("x", "x"), ("x", "lines")):
        try:
            found = read(data, name, queue)
        except Refused as error:
            assert error.problems and str(error)
        else:
            assert all(map(round_trips, found))
            assert all(
                to_bytes(part) for spec in found for part in (spec.name, *(spec.command or "x"), spec.cwd) if part
            )
