"""Every parser, given anything: what comes out is a value or the error that is documented, and it comes soon."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskgated.core.array import MOST
from taskgated.core.job import Dialect, Outcome, Result, Spec
from taskgated.errors import ConfigError, ProtocolError, Refused
from taskgated.host import acl
from taskgated.intake.claim import queue_of
from taskgated.intake.lists import CHUNK, Lines, too_long
from taskgated.language import units
from taskgated.language.config import Config
from taskgated.language.configfiles import load
from taskgated.language.configkeys import KEYS
from taskgated.language.declare import schema_of
from taskgated.language.jobfile import line_spec, read_file
from taskgated.language.jsonread import read_json
from taskgated.language.keys import JOB
from taskgated.language.kinds import kind_of
from taskgated.language.source import Source, decode
from taskgated.language.sums import stated
from taskgated.language.yamlread import read_yaml
from taskgated.protocol.channel import Channel
from taskgated.protocol.channel import decode as decode_message
from taskgated.protocol.messages import Hello, Identity, for_worker, from_worker
from taskgated.protocol.serving import Settings, for_server, from_server
from taskgated.text import printable, to_text
from tests.env.jobfile import CONFIG, FULL, round_trips
from tests.language import vocabulary

SOON = 10.0
"""Seconds that one input may take: far more than any does on an idle machine, far less than one that explodes."""
fuzz = settings(
    max_examples=400,
    deadline=timedelta(seconds=SOON),
    suppress_health_check=[HealthCheck.too_slow],  # how fast inputs are made is for the machine's load to decide
)
words = settings(fuzz, max_examples=200)

NO_NAME = b"\0/"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# -- what is fed in ------------------------------------------------------------------------------

TOKENS = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b"\x1b[2J", "\u2028".encode(), b"'", b'"',
    b"\\", b"\\ud800", b"[", b"]", b"{", b"}", b": ", b"- ", b"? ", b"&a ", b"*a", b"!!python/object:os.system ",
    b"<<: ", b"|+\n", b">9\n", b"%YAML 9.9\n", b"---\n", b"...\n", b"#", b"#!", b"#TASKGATE ", b"1e999", b"-0",
    b"NaN", b"0x" + b"f" * 40, b"9" * 5000, b"infinity", b"2026-02-30", b"1" * 30 + b"min", b"99y", b"name",
    b"command", b"queue: lines", b"null", b"true", b"# taskgate: ", b"#TASKGTE ", b"<<EOF\n", b"\nEOF\n",
    b"00:30:00", b"1-12:00", b"30:00", b"4GB", b"cmd: ", b"[sleep, 1.10, 010]", b"\xff\xfe", b"\\\n",
)  # fmt: skip
SPEC_YAML = b"""\
- name: nightly report
  command: [/opt/etl/report, --day, yesterday]
  env: {A: x, B: 1.10}
  priority: 80
  timeout: 2h 30min
  retry: {attempts: 3, delay: 1min, factor: 1.5, max_delay: 2h, jitter: 0}
  success_exit_codes: [0, 3]
  not_before: 2027-01-31T02:00:00+01:00
  output: {max_size: 4K, journal: true}
  stdin: {text: yes please}
  tty: true
  stdout: /var/log/etl/{name}.{id}
  stderr: {path: "err.{attempt}", mode: truncate}
- {command: module load x, shell: [bash, -l, -euo, pipefail, -c]}
- script: |
    #!/bin/sh
    echo hello
  interrupted: fail
  expires: 1d
"""
SCRIPT = b"""\
#!/bin/bash
#TASKGATE name: backup
# by hand
#TASKGATE retry: {attempts: 3, delay: 10s}

tar cf a b
##TASKGATE x: 1
"""
TASKS = b"# nightly\nmake -C /src/a\n\n  true\r\necho 'a b' | wc\n"
CONFIGURATION = b"""\
workers: 2
stop_timeout: 30s
retention: {age: 30d, count: 7}
access: {see: members}
umask: '027'
queues:
  default: {limit: 2}
  etl: {limit: 4, defaults: {priority: 60, retry: {attempts: 3, delay: 1min}, delay: 5}}
  lines: {handler: {command: [/usr/local/bin/consume, "{line}"]}}
"""


SUMS = (b"ab" * 32, b"AB" * 32, b"  x\n", b" *x\n", b"\\", b"\n", b"SHA256 (x) = ", b"\r", b"\xff", b" ")


@st.composite
def mutants(draw: st.DrawFn, *valid: bytes) -> bytes:
    """Something valid after a few cuts, repetitions and insertions."""
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(
            st.sampled_from((b"", data[start:end] * 2, data[start:end] * 50, *TOKENS)) | st.binary(max_size=4)
        )
        data = data[:start] + piece + data[draw(st.sampled_from((start, end))) :]
    return data


def inputs(*valid: bytes) -> st.SearchStrategy[bytes]:
    soup = st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join)
    return st.binary(max_size=200) | soup | mutants(*valid)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from((
    "command", "script", "env", "retry", "output", "interrupted", "success_exit_codes", "name", "job", "attempt",
    "result", "exit_code", "pid", "start", "boot", "cgroup", "settings", "worker_socket",
))  # fmt: skip
JSON = st.recursive(
    SCALARS | st.sampled_from(("rerun", "timed out", "succeeded")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)


@contextmanager
def descriptor(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


# -- what people write ---------------------------------------------------------------------------


def shown(error: Refused) -> None:
    """What is said of a bad file is fit for a terminal and for a log: no line of it can be forged or endless."""
    assert error.problems
    for problem in error.problems:
        lines = str(problem).split("\n")
        assert len(lines) <= 3, "a message that somebody else's text has broken into lines"
        assert problem.line >= 0 and problem.column >= 0
        assert len(problem.text) <= 200
        assert problem.message.isprintable()
        assert not CONTROL.search(str(problem).replace("\n", "")), "a name or a line that a terminal would obey"


@fuzz
@given(inputs(SPEC_YAML, CONFIGURATION))
def test_yaml(data: bytes) -> None:
    try:
        text = decode("x", data, 1024**2)
        read_yaml(Source.of("x", text), text)
    except Refused as error:
        shown(error)


@fuzz
@given(inputs(json.dumps([FULL, FULL]).encode(), b'{"a": [1, 2.5e3, null, "\\u00e4"]}'))
def test_json(data: bytes) -> None:
    try:
        text = decode("x", data, 1024**2)
        read_json(Source.of("x", text), text)
    except Refused as error:
        shown(error)


@fuzz
@pytest.mark.parametrize(
    ("name", "queue", "valid"),
    [
        ("x.yaml", "default", SPEC_YAML),
        ("x.json", "default", json.dumps([FULL, FULL]).encode()),
        ("x.sh", "default", SCRIPT),
        ("x.tasks", "etl", TASKS),
        ("x", "lines", TASKS),
        ("x", "thumbs", b"anything"),
    ],
)
@given(data=st.data())
def test_job_files(name: str, queue: str, valid: bytes, data: st.DataObject) -> None:
    content = data.draw(inputs(valid))
    try:
        specs = read_file(name, content, queue, CONFIG)
    except Refused as error:
        shown(error)
    else:
        assert all(round_trips(spec) for spec in specs), "what is accepted survives the store and the worker's socket"
        assert not any("\0" in part for spec in specs for part in [spec.name, spec.cwd, *spec.env.values()])


def accepted(name: str, content: bytes, config: Config = CONFIG) -> tuple[int, list[Spec]] | list[str]:
    """How many jobs a file makes, and some of them; or what is said of it."""
    try:
        specs = read_file(name, content, "default", config)
    except Refused as error:
        shown(error)
        return [str(problem) for problem in error.problems]
    some = [specs[place] for place in {0, len(specs) // 2, len(specs) - 1}]
    for spec in some:
        assert round_trips(spec)
        assert spec.array.at_most is None or spec.array.at_most > 0
        assert spec.array.count == 0 or 0 <= spec.array.place < spec.array.count <= MOST
        assert not any("\0" in part for part in [spec.name, spec.cwd, *spec.env.values()])
    return len(specs), some


def test_every_key_is_among_the_words() -> None:
    """A new key is fuzzed, or this fails."""
    assert set(vocabulary.declared(schema_of(JOB))) == set(vocabulary.JOB)
    assert set(vocabulary.declared(schema_of(KEYS))) == set(vocabulary.CONFIGURATION)


@words
@given(st.lists(vocabulary.mappings(vocabulary.JOB, "command"), min_size=1, max_size=3))
def test_words_of_jobs(mappings: list[str]) -> None:
    """They mean the same whatever mark is before them and whatever ends their lines; in another encoding nothing."""
    text = "".join(f"- {mapping}\n" for mapping in mappings)
    found = accepted("x.yaml", text.encode())
    assert accepted("x.yaml", b"\xef\xbb\xbf" + text.encode()) == found
    assert accepted("x.yaml", text.replace("\n", "\r\n").encode()) == found
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        (said,) = accepted("x.yaml", text.encode(encoding))
        assert "this is UTF-" in str(said)
    accepted("x.json", vocabulary.quoted_json(mappings[0]))


@words
@given(vocabulary.mappings(vocabulary.JOB), st.data())
def test_words_of_scripts(mapping: str, data: st.DataObject) -> None:
    script = vocabulary.own_directives(mapping)
    found = accepted("x.sh", script)
    if isinstance(found, tuple):  # what is refused is shown with its first line
        assert isinstance(accepted("x", b"\xef\xbb\xbf" + script), tuple)
    accepted("x", data.draw(mutants(script)))


@words
@given(vocabulary.directives(), st.booleans(), st.data())
def test_words_of_others(script: bytes, cut: bool, data: st.DataObject) -> None:
    config = replace(CONFIG, foreign_directives=tuple(Dialect))
    found = accepted("x.sh", data.draw(mutants(script)) if cut else script, config)
    if isinstance(found, tuple):
        for spec in found[1]:
            assert all(note.isprintable() for note in spec.notes)


@words
@given(st.binary(max_size=80) | st.lists(st.sampled_from(SUMS), max_size=4).map(b"".join), st.binary(max_size=4))
def test_files_with_sums(text: bytes, name: bytes) -> None:
    found = stated(text, name)
    assert found is None or re.fullmatch("[0-9a-f]{64}", found)


@fuzz
@given(st.binary(min_size=1, max_size=20), st.sampled_from(("yaml", "tasks", "sh")))
def test_names_of_bad_files(name: bytes, ending: str) -> None:
    """Whoever may drop a file chooses its name, which is said in the reason beside it and in the log."""
    with pytest.raises(Refused) as refused:
        read_file(f"{to_text(name.translate(None, NO_NAME))}.{ending}", b"\0", "default", CONFIG)
    shown(refused.value)


@fuzz
@given(inputs(SCRIPT))
def test_the_header_of_a_script(data: bytes) -> None:
    with suppress(Refused):
        read_file("x", b"#!/bin/sh\n#TASKGATE " + data, "default", CONFIG)


def pieces(data: bytes, queue: str) -> list[Spec]:
    """The jobs of a list, read in the pieces in which intake reads it. ``Refused`` says what is wrong."""
    lines = Lines("x", 0)

    def parse(number: int, line: bytes) -> Spec | None:
        too_long("x", number, line)
        return line_spec(kind_of("x.txt", CONFIG.queue(queue)), "x", number, line, queue, CONFIG)

    with descriptor(data) as fd:
        while not lines.checked:
            lines.check(fd, parse)
        specs, at_end = lines.read(fd, parse, 7, True)
        while not at_end:
            more, at_end = lines.read(fd, parse, 7, True)
            specs += more
    if lines.refused is not None:
        raise lines.refused
    return specs


@fuzz
@given(inputs(TASKS), st.sampled_from(("default", "lines")))
def test_lists_in_pieces(data: bytes, queue: str) -> None:
    try:
        whole = read_file("x.tasks", data, queue, CONFIG)
    except Refused as error:
        shown(error)
        with pytest.raises(Refused):
            pieces(data, queue)
    else:
        assert pieces(data, queue) == whole


def configured(data: bytes) -> None:
    """It is a configuration, or what is said of it is fit to be shown."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "c.yaml")
        path.write_bytes(data)
        layout = SimpleNamespace(config_file=path, config_drop_ins=Path(directory, "conf.d"))
        try:
            assert isinstance(load(layout), Config)
        except ConfigError as error:
            shown(error)


@fuzz
@given(inputs(CONFIGURATION))
def test_configuration(data: bytes) -> None:
    configured(data)


@words
@given(vocabulary.mappings(vocabulary.CONFIGURATION))
def test_words_of_the_configuration(mapping: str) -> None:
    configured(mapping.encode())


UNITS = st.text(max_size=30) | st.from_regex(
    r"[0-9.]{0,40} ?(us|ms|s|min|h|d|y|K|G|E|g|GiB|GB|)( [0-9]{1,400}(h|s)?)?"
    r"|([0-9]{1,6}-)?[0-9]{1,7}(:[0-9]{1,3}){0,3}",
    fullmatch=True,
)
TIMES = st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?([0-9]{2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]{0,12})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


@fuzz
@given(UNITS | TIMES)
def test_units(text: str) -> None:
    for parse, least in ((units.duration, 0), (units.size, 0), (units.timestamp, -(2**62))):
        with suppress(ValueError):
            assert least <= parse(text) < 2**62


# -- what programs write -------------------------------------------------------------------------


@fuzz
@given(JSON)
def test_what_workers_say(data: Any) -> None:
    documented: tuple[tuple[Callable[[Any], object], tuple[type[Exception], ...]], ...] = (
        (Spec.from_json, (KeyError, TypeError, ValueError)),
        (Outcome.from_json, (KeyError, TypeError, ValueError)),
        (Identity.from_json, (ProtocolError,)),
    )
    for parse, allowed in documented:
        with suppress(*allowed):
            parse(data)
    with suppress(ProtocolError):
        Settings.parse({"settings": data})


KINDS = ["run", "ack", "stop", "ping", "quit", "pong", "outcome", "fork", "bury"]
KINDS += ["forked", "exited", "buried", "held up", "failed", "other"]
PARSERS = (Hello.parse, for_worker, from_worker, for_server, from_server)


@fuzz
@given(st.dictionaries(st.sampled_from(KINDS), JSON, max_size=2))
def test_what_is_said_between_processes(message: dict[str, Any]) -> None:
    for parse in PARSERS:
        with suppress(ProtocolError):
            parse(message)


@fuzz
@given(st.fixed_dictionaries({"pid": SCALARS, "start": SCALARS | JSON, "boot": JSON}, optional={"cgroup": JSON}))
def test_identities(data: dict[str, Any]) -> None:
    with suppress(ProtocolError):
        identity = Identity.from_json(data)
        assert Identity.from_json(identity.to_json()) == identity


@fuzz
@given(st.integers(0, 2**62), st.integers(0, 2**31), st.sampled_from(Result), st.text(max_size=20))
def test_outcomes_come_back_as_they_went(job: int, attempt: int, result: Result, message: str) -> None:
    """But for what no terminal should be told."""
    outcome = Outcome(job, attempt, result, message=message)
    back = Outcome.from_json(json.loads(json.dumps(outcome.to_json())))
    begun = result is not Result.KILLED  # who was killed, and tells of no start, had none
    assert back == replace(outcome, message=printable(message), begun=begun)
    assert back.message.isprintable()


MESSAGE = b'{"method": "io.taskgate.Gate.Show", "parameters": {"id": 1}}'
FRAMES = st.binary(max_size=60) | mutants(MESSAGE) | st.sampled_from((b"[" * 100_000, b"9" * 10_000, MESSAGE))


@fuzz
@given(FRAMES)
def test_one_message(frame: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(decode_message(frame), dict)


@fuzz
@given(st.lists(FRAMES, max_size=5), st.integers(1, 5000))
def test_a_channel(frames: list[bytes], step: int) -> None:
    """However the bytes are cut: the messages before the first bad one arrive, each once, and then the error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        expected: list[Any] = []
        bad = False
        for part in b"\0".join([*frames, b""]).split(b"\0")[:-1]:
            try:
                expected.append(decode_message(part))
            except ProtocolError:
                bad = True
                break
        channel, received = Channel(ours), []
        data = b"\0".join([*frames, b""])
        refused = False
        try:
            for at in range(0, len(data), step):
                theirs.sendall(data[at : at + step])
                for message in channel.receive():  # one by one: those before an error have arrived
                    received.append(message)
            theirs.close()
            while not channel.closed:
                for message in channel.receive():
                    received.append(message)
        except ProtocolError:
            refused = True
        assert refused == bad
        assert repr(received) == repr(expected)  # not the values: NaN does not even equal itself


@fuzz
@given(
    st.binary(max_size=60)
    | st.lists(
        st.tuples(st.sampled_from((1, 2, 4, 8, 16, 32, 77)), st.integers(0, 7), st.integers(0, 9)), max_size=6
    ).map(lambda rows: b"\2\0\0\0" + b"".join(struct.pack("<HHI", *row) for row in rows))
)
def test_access_control_lists(data: bytes) -> None:
    """A file system in user space may say anything: the answer is yes, no, or that it cannot be read."""
    status = SimpleNamespace(st_mode=0o40770, st_uid=1, st_gid=3)
    told = mock.patch.object(os, "getxattr", return_value=data)
    with told, mock.patch.object(os, "stat", return_value=status), suppress(OSError):
        assert acl.may_enter("/x", 7) in (True, False)


@fuzz
@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f]{16}-[0-9a-f]{8}(-[a-z]{4,6})?\.[a-z./]*", fullmatch=True))
def test_ids_of_claims(claim: str) -> None:
    with suppress(ValueError):
        assert "/" not in queue_of(claim)


# -- what is meant to take long ------------------------------------------------------------------

MB = 1024**2
BOMBS = {
    "aliases": b"a: &a [x]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b"*%c," % (c - 1) * 9) for c in range(98, 123)),
    "brackets": b"[" * MB,
    "braces": b'{"a":' * (MB // 5),
    "block nesting": b"\n".join(b" " * n + b"a:" for n in range(1400)),
    "dashes": b"- " * (MB // 2),
    "a flat list": b"[" + b"1," * (MB // 2 - 2) + b"1]",
    "empty documents": b"---\n" * (MB // 4),
    "quotes": b'"' * MB,
    "one line": b"x" * MB,
    "backslashes": b'"' + b"\\" * (MB - 2) + b'"',
    "colons": b":" * MB,
    "question marks": b"? " * (MB // 2),
    "anchors": b"&a " * (MB // 3),
    "comments": b"#\n" * (MB // 2),
    "blank lines": b"\n" * MB,
    "carriage returns": b"\r" * MB,
    "unknown keys": b"".join(b"k%06d: 1\n" % n for n in range(MB // 12)),
    "jobs": b"- command: x\n" * (MB // 13),
    "bad jobs": b"- {}\n" * (MB // 5),
    "a long key": b"k" * (MB // 2) + b": 1\n",
    "keys like names": b"".join(b"comman%07d: 1\n" % n for n in range(MB // 18)),
    "digits": b"- timeout: " + b"9" * (MB - 20),
    "bytes of no text": b"\xff" * MB,
    "directives": b"#!/bin/sh\n" + b"#TASKGATE\n" * (MB // 10 - 1),
    "one directive": b"#!/bin/sh\n#TASKGATE env: {" + b"A: 1, " * (MB // 6 - 9),
    "quoted words": b"'" + b"a " * (MB // 2 - 1),
}


@pytest.mark.parametrize("name", ["x.yaml", "x.json", "x", "x.tasks"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_of_the_largest_size(bomb: str, name: str) -> None:
    started = time.process_time()  # of this process alone: a busy machine does not make a parser slow
    content = BOMBS[bomb][:MB]
    try:
        read_file(name, content, "default", CONFIG)
    except Refused as error:
        assert len(error.problems) <= (101 if name != "x.tasks" else MB)
    assert time.process_time() - started < SOON


SCRIPT_BOMBS = {
    "one directive": b"#SBATCH --export=A" + b"x" * (MB - 40),
    "marks in one path": b"#PBS -o " + b"$PBS_JOBID" * (MB // 10 - 4),
    "a long list": b"#$ -l " + b"h_rt=1," * (MB // 7 - 4),
    "indices": b"#SBATCH --array=0-999999999\n",
    "lists of indices": b"#SBATCH -a 1,0-90000\n#SBATCH -a 1,0-90001\n" * (MB // 200),
    "options": b"".join(b"#SBATCH --mail-user=x%06d\n" % number for number in range(MB // 130)),
    "letters": (b"#SBATCH -" + b"Q" * 8100 + b"\n") * 25,
}
"""Directives of others. Behind the first, which is as long as may be, they are fewer, and take as much less time."""


@pytest.mark.parametrize("bomb", SCRIPT_BOMBS)
def test_a_script_with_directives_of_others(bomb: str) -> None:
    config = replace(CONFIG, foreign_directives=tuple(Dialect))
    started = time.process_time()
    with suppress(Refused):
        read_file("x", b"#!/bin/sh\n" + SCRIPT_BOMBS[bomb], "default", config)
    assert time.process_time() - started < SOON / 2


@pytest.mark.parametrize("line", [b"x" * (2 * CHUNK), b"\0" * (2 * CHUNK), b"'" * CHUNK + b"\n", b" " * (2 * CHUNK)])
def test_one_endless_line_is_no_job(line: bytes) -> None:
    for queue in ("default", "lines"):
        with pytest.raises(Refused):
            pieces(b"true\n" + line, queue)
