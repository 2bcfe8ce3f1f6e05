"""What all probes share: how they end, how they read times, numbers and conditions, and that they leave nothing."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.env.probing import PROBES, UNKNOWN, USAGE, ask

sys.path.append(str(PROBES))
import probe

NAMES = ("yarn", "slurm", "http", "postgresql", "kerberos")


def test_the_probes_are_those_that_are_there() -> None:
    files = {path.name for path in PROBES.iterdir() if path.is_file()}
    assert files == {*NAMES, "probe.py", "web.py"}
    for name in NAMES:
        assert stat.S_IMODE((PROBES / name).stat().st_mode) & 0o111


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_starts_by_itself_and_tells_how_it_is_used(name: str, tmp_path: Path) -> None:
    """By its first line, from anywhere, whatever lies there, whatever the environment says to Python; and it writes
    nothing beside itself."""
    installed = tmp_path / "installed"
    shutil.copytree(PROBES, installed, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "probe.py").write_text("raise SystemExit('the wrong module')")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "/nonexistent"}
    done = subprocess.run(
        [installed / name, "--help"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name} ")
    assert not (installed / "__pycache__").exists()


def test_who_is_late_at_the_end_of_all_has_a_moment_to_say_of_what() -> None:
    said = []
    with pytest.raises(probe.Unknown, match="the second: no answer within"), probe.Deadline(0.1):
        for name in ("the first", "the second"):
            try:
                with probe.Deadline(probe.Deadline.left()):
                    while True:
                        pass
            except probe.Unknown as error:
                said.append(f"{name}: {error}")
                end = time.monotonic() + 0.05
                while time.monotonic() < end:  # putting it together takes a while on a busy machine
                    pass
        raise probe.Unknown("; ".join(said))
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_nothing_goes_on_for_ever_after_it_was_late() -> None:
    with pytest.raises(probe.Late), probe.Deadline(0.05):
        try:
            with probe.Deadline(1):
                while True:
                    pass
        except probe.Late:
            while True:
                pass


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", [["--nonsense"], ["--timeout", "soon"], ["too", "much"]])
def test_a_wrong_command_line_is_no_answer(name: str, arguments: list[str]) -> None:
    said = ask(name, *arguments)
    assert said.status == USAGE
    assert said.why.startswith("usage: ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8", 8), ("8s", 8), ("1.5 s", 1.5), ("2h 30min", 9000), ("2h30min", 9000), ("1d", 86400), ("500ms", 0.5)],
)
def test_a_time(text: str, seconds: float) -> None:
    assert probe.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "8x", "1h x", "nan", "inf", "1e3", "9" * 30, "min"])
def test_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        probe.duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (8, "8 s"), (60, "1 min"), (90, "1 min 30 s"), (9000, "2 h 30 min"), (90000, "1 d 1 h")],
)
def test_a_time_for_people(seconds: float, text: str) -> None:
    assert probe.span(seconds) == text


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("< 10", [9, "9", 9.5, "-1", "1e0"]),
        ("<= 10", [10, "10.0"]),
        ("> 1.5", ["2", 1.6]),
        (">= 3", [3, "3"]),
        ("== 3", [3, "3", 3.0, " 3.0 "]),
        ("!= 3", ["4", "three", None]),
        ("== ready", ["ready", " ready\n"]),
        ("==ready", ["ready"]),
        ("== true", [True, "true"]),
        ("== null", [None]),
        ("== ", ["", "  "]),
        ("!= ready", ["down", None, ["ready"]]),
        ("contains ok", ["all ok", ["no", "ok"], {"a": "ok"}]),
        ("matches ^v[2-9]", ["v2.1"]),
    ],
)
def test_a_condition_that_holds(condition: str, values: list[object]) -> None:
    made = probe.Condition(condition)
    assert [value for value in values if not made.holds(value)] == []


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("< 10", "10"), ("< 10", 10), ("<= 10", 11), ("> 1.5", "1.5"), (">= 3", 2), ("== 3", 4), ("== 3", "three"),
        ("!= 3", "3.0"), ("== ready", "Ready"), ("== true", 1), ("== null", 0), ("!= ready", "ready"),
        ("contains ok", ["okay"]), ("matches ^v[2-9]", "xv2"),
    ],
)  # fmt: skip
def test_a_condition_that_does_not_hold(condition: str, value: object) -> None:
    assert not probe.Condition(condition).holds(value)


@pytest.mark.parametrize(
    "value",
    ["many", "", None, [1], {"a": 1}, True, math.nan, "nan", "inf", "1_000", "0x10", 10**400, "9" * 400, 1e301],
)
def test_what_is_no_number_is_not_compared_as_one(value: object) -> None:
    with pytest.raises(probe.Unknown, match="no number to compare"):
        probe.Condition("< 10").holds(value)


@pytest.mark.parametrize("text", ["", "10", "=> 3", "< ten", "<", "= 3", "contains", "matches (", "is 3", "~ x"])
def test_no_condition(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        probe.Condition(text)


@given(st.text())
def test_text_from_outside_is_one_line_that_obeys_nothing(text: str) -> None:
    shown = probe.one_line(text)
    assert shown.isprintable() and len(shown) <= 80


def test_a_fault_of_a_probe_is_no_answer(tmp_path: Path) -> None:
    """Python would end with 1."""
    shutil.copytree(PROBES, tmp_path / "p", ignore=shutil.ignore_patterns("__pycache__"))
    program = tmp_path / "p" / "slurm"
    program.write_text(program.read_text().replace("    said, wrong = [], []\n", "    said, wrong = [][0], []\n"))
    command = [sys.executable, "-IBS", program, "--max-pending", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (UNKNOWN, "")
    assert done.stderr == "slurm: a fault of this probe: IndexError('list index out of range')\n"


def test_what_the_locale_cannot_say_is_said_in_another_way(tmp_path: Path) -> None:
    """Isolated, Python takes the encoding of the locale; here that of a program which has replaced it."""
    script = tmp_path / "say"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(PROBES)!r}); import probe; sys.stdout.reconfigure(encoding='ascii')\n"
        "probe.main(probe.new_parser('x', ''), lambda options: probe.Answer(True, 'caf\\u00e9 \\udc80'))\n"
    )
    done = subprocess.run([sys.executable, "-IBS", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("caf\\xe9\n", "")


def test_a_program_that_writes_without_end_is_stopped(tmp_path: Path) -> None:
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\nexec yes PD\n")
    program.chmod(0o755)
    said = ask("slurm", "--max-pending", 3, path=tmp_path)
    assert said.status == UNKNOWN
    assert "squeue writes more than 16 MiB" in said.why


def test_a_program_that_hangs_is_ended_with_the_look(tmp_path: Path) -> None:
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    said = ask("slurm", "--max-pending", 3, "--timeout", "500ms", path=tmp_path)
    assert (said.status, said.why) == (UNKNOWN, "slurm: no answer within 0.5 s")
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_look_ends_in_time_whatever_signals_are_blocked(tmp_path: Path) -> None:
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked := signal.valid_signals() - {signal.SIGCHLD})
    try:
        said = ask("slurm", "--max-pending", 3, "--timeout", "500ms", path=tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    assert (said.status, said.seconds < 60) == (UNKNOWN, True)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    said = ask("slurm", "--max-pending", 3, env={"PATH": str(tmp_path)})
    assert said.status == UNKNOWN
    assert said.why == f"slurm: squeue cannot be run: No such file or directory (PATH is {tmp_path})"
