"""What somebody else wrote does not move a cursor, nor forge a line, where it meets a terminal or a log."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.ctl.terminal import say
from taskgated.errors import ConfigError, Problem, Refused
from taskgated.text import printable
from taskgated.worker import worker
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]

FORGED = "99 backup succeeded"
EVIL = f"x\n00:00:00 job {FORGED}\x1b[2J\x9b2J\r\x7f\u202e\udcff"
"""A new line, sequences that a terminal obeys, a mark that turns the text round, and a byte that is no text."""


def obeys_nothing(text: str) -> None:
    assert not re.search("[^\\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), text
    assert not [line for line in text.splitlines() if FORGED in line.partition("x")[0]], text
    assert FORGED not in [" ".join(line.split()[-3:]) for line in text.splitlines() if line.startswith("00:")], text


@pytest.fixture
def evil(gate: GateEnv) -> GateEnv:
    """A job whose name and file are that, and whose failure quotes more of it."""
    gate.drop(os.fsencode(EVIL), f"#!/no/{EVIL[1:]}".encode("utf-8", "replace"))
    gate.until_over(1)
    return gate


def test_everything_that_ctl_prints(evil: GateEnv, tmp_path: Path) -> None:
    wrong = os.fsencode(tmp_path) + b"/x\n99 backup succeeded\x1b[2J"
    Path(os.fsdecode(wrong)).write_text("command: true\nname: 'x\x1b[2J'\n\x1b[2J: 1\n")
    for command in (
        ["list"],
        ["show", "1"],
        ["wait", "1"],
        ["status"],
        ["check", os.fsdecode(wrong)],
        ["cancel", "1"],
    ):
        done = evil.ctl(*command)
        obeys_nothing((done.stdout + done.stderr).decode())
        assert done.stdout or done.stderr
        if command[0] in ("list", "wait"):
            assert len(done.stdout.splitlines()) == (2 if command[0] == "list" else 1)
    assert evil.ctl("list", "--json").stdout.isascii()


def test_what_the_daemon_answers_is_not_obeyed_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say("one", f"two {EVIL}")
    assert capsys.readouterr().out == f"one\ntwo {printable(EVIL)}\n"


def test_the_log_has_a_line_for_an_event(evil: GateEnv) -> None:
    evil.drop(b"x\n00:00:00 job 99 backup succeeded.yaml", "wrong: \x1b[2J\n")
    until(lambda: "is refused" in evil.log(), "it is refused")
    obeys_nothing(evil.log())
    for line in evil.log().splitlines():
        assert re.match(r"[0-9:]{8} |    ", line), line
        assert not line.startswith("00:00:00 job 99"), line


def test_a_configuration_says_each_problem_in_a_line_of_its_own(gate: GateEnv) -> None:
    gate.configure('"x\\n99 backup succeeded\\e": 1\nwurkers: 2\n')
    done = gate.ctl("reload")
    obeys_nothing(done.stderr.decode())
    assert len(done.stderr.splitlines()) >= 2
    until(lambda: "is not usable" in gate.log(), "it is said")
    obeys_nothing(gate.log())


def test_problems_are_text() -> None:
    problem = Problem("a\nb", 1, 4, f"no {EVIL}", f"\t\x1b: {EVIL}", f"try {EVIL}")
    lines = str(Refused([problem, problem])).split("\n")
    assert len(lines) == 6
    obeys_nothing("\n".join(lines))
    assert lines[1][: lines[2].index("^")] == "    \\t\\x1b:", "the caret is where the fault is"
    assert isinstance(ConfigError([problem]), Refused)


def test_what_a_worker_says(capfd: pytest.CaptureFixture[str]) -> None:
    for text in (EVIL, 10_000 * EVIL):
        worker._say(text)
        said = capfd.readouterr().err
        assert said.index("\n") == len(said) - 1
        obeys_nothing(said)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_what_the_manager_is_told(manager: socket.socket) -> None:
    from taskgated.host.systemd import Systemd

    Systemd().status(f"problem: {EVIL}\nREADY=1")
    told = manager.recv(65536).decode()
    assert told.count("\n") == 0
    obeys_nothing(told)
