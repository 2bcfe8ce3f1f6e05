"""``taskgatectl check`` asks by the name of a file what the gate asks, before it looks into it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.ctl import __main__ as ctl
from taskgated.host.paths import Layout
from taskgated.language.configfiles import load
from tests.env.gate import GateEnv
from tests.env.intake import Gate
from tests.env.until import until

CONFIG = """\
settle_time: 100ms
ignore: ['*.log']
queues:
  pics: {handler: {command: [/bin/echo, '{file}']}, match: ['*.csv'], ignore: ['raw*'], require: {marker: .done}}
  summed: {handler: {command: [/bin/echo, '{file}']}, require: {sha256: .sha256}}
"""
NOBODY = 65534
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    layout = Layout.under(tmp_path)
    layout.etc.mkdir(parents=True)
    layout.config_file.write_text(CONFIG)

    def run(*argv: str) -> tuple[int, str]:
        status = ctl.main(["--root", str(tmp_path), "check", *argv])
        return status, capsys.readouterr().out

    return run


def made(root: Path, name: str, text: str = "#!/bin/sh\ntrue\n") -> str:
    (root / name).write_text(text)
    return str(root / name)


def test_what_match_does_not_have_is_refused(tmp_path: Path, check: Check) -> None:
    status, said = check("--queue", "pics", made(tmp_path, "x.sh"))
    assert (status, said) == (1, "x.sh: queue pics takes only *.csv (match) (rename it, and drop it again)\n")
    assert "(case counts: rename it, and drop it again)" in check("--queue", "pics", made(tmp_path, "UP.CSV"))[1]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.tmp", "see taskgate-job(5)"),
        ("#auto#", "see taskgate-job(5)"),
        ("a~", "see taskgate-job(5)"),
        (".a.sh", "see taskgate-job(5)"),
        ("a.sh.bak", "see taskgate-job(5)"),
        ("a.log", "its name fits *.log (ignore)"),
        ("raw.csv", "its name fits raw* (ignore of queue pics)"),
        ("raw.csv.done", "its name fits raw* (ignore of queue pics)"),
    ],
)
def test_what_is_left_alone_is_said_so(tmp_path: Path, check: Check, name: str, why: str) -> None:
    path = made(tmp_path, name)
    status, said = check("--queue", "pics", path)
    assert status == 1 and said.startswith(f"{path}: is left alone: ") and said.endswith(f"{why}\n")
    (found,) = json.loads(check("--queue", "pics", "--json", path)[1])
    assert not found["ok"] and found["jobs"] == 0 and found["left_alone"].endswith(why) and not found["problems"]


def test_ignore_of_one_queue_is_not_for_another(tmp_path: Path, check: Check) -> None:
    assert check(made(tmp_path, "raw.sh"))[0] == 0


def test_a_marker_that_is_required_is_told_of_until_it_is_there(tmp_path: Path, check: Check) -> None:
    path = made(tmp_path, "a.csv")
    status, said = check("--queue", "pics", path)
    assert status == 0 and said == (
        f"{path}: 1 job\n{path}: note: it waits until a.csv.done is there, too (require: in taskgated.yaml(5))\n"
    )
    marker = made(tmp_path, "a.csv.done", "")
    assert check("--queue", "pics", path) == (0, f"{path}: 1 job\n")
    text = f"{marker}: note: no job, but says that a.csv is whole (require of queue pics)\n"
    assert check("--queue", "pics", marker) == (0, text)
    assert "has too long a name" in check("--queue", "pics", made(tmp_path, f"{'x' * 247}.csv"))[1]


def test_a_sum_that_is_required_has_to_fit(tmp_path: Path, check: Check) -> None:
    path = made(tmp_path, "a.csv", "1,2\n")
    assert "a.csv.sha256 is there, too, with its SHA-256 sum" in check("--queue", "summed", path)[1]
    made(tmp_path, "a.csv.sha256", hashlib.sha256(b"1,2\n").hexdigest())
    assert check("--queue", "summed", path) == (0, f"{path}: 1 job\n")
    made(tmp_path, "a.csv.sha256", "0" * 64)
    status, said = check("--queue", "summed", path)
    assert status == 1 and f"a.csv.sha256 says {'0' * 64}" in said


def test_a_queue_that_is_not_there_takes_nothing(tmp_path: Path, check: Check) -> None:
    path = made(tmp_path, "x.sh")
    status, said = check("--queue", "pisc", path)
    assert (status, said) == (1, "x.sh: there is no queue 'pisc' (did you mean 'pics'?)\n")
    Layout.under(tmp_path).spool.joinpath("pisc").mkdir(parents=True)
    assert check("--queue", "pisc", path)[0] == 0  # a directory is one
    for name in ("rejected", "../x", ".x"):
        assert check("--queue", name, path)[0] == 1


def test_the_gate_says_the_same_of_these_names(tmp_path: Path, check: Check) -> None:
    names = ["a.csv", "b.sh", "UP.CSV", "c.log", "d.csv.tmp", "#e.csv#", "f.csv.bak", "raw.csv"]
    found = {name: json.loads(check("--queue", "pics", "--json", made(tmp_path, name))[1])[0] for name in names}
    gate = Gate(tmp_path, load(Layout.under(tmp_path)))
    try:
        gate.start()
        for name in names:
            gate.drop(f"pics/{name}", "x")
        gate.drop("pics/a.csv.done", "")
        until(lambda: gate.sink.sources == ["a.csv"])
        until(lambda: {"b.sh", "UP.CSV"} <= set(gate.rejected()))
        left = {path.name for path in (gate.spool / "pics").iterdir()}
    finally:
        gate.stop()
    assert {name for name in names if found[name]["ok"]} == {"a.csv"}
    assert {name for name in names if found[name]["left_alone"]} == left
    for name in ("b.sh", "UP.CSV"):
        assert found[name]["problems"][0]["message"] in (gate.layout.rejected / f"{name}.reason").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_queue_that_the_owner_of_a_file_may_not_use_is_refused_as_by_the_gate(tmp_path: Path, check: Check) -> None:
    config = Layout.under(tmp_path).config_file
    config.write_text("queues: {etl: {}, open: {}}\n")
    for queue, mode in (("etl", 0o770), ("open", 0o777)):
        directory = Layout.under(tmp_path).spool / queue
        directory.mkdir(parents=True)
        directory.chmod(mode)
    path = made(tmp_path, "x.yaml", "{queue: etl, command: x}\n")
    assert check(path) == (0, f"{path}: 1 job\n"), "root may"
    os.chown(path, NOBODY, NOBODY)
    text = f"whoever owns this file may not use the queue etl (those may who may write to {tmp_path}/"
    for argv in ((path,), ("--queue", "etl", path)):
        status, said = check(*argv)
        assert status == 1 and said.startswith(f"x.yaml: {text}"), said
    assert check("--queue", "open", made(tmp_path, "y.yaml", "command: x\n"))[0] == 0


def test_tokens_that_were_set_by_hand_count_as_they_do_for_the_gate(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("tokens: {t: 2}\n")
    more = gate.scratch / "more.yaml"
    more.write_text("{command: 'true', tokens: {t: 3}}\n")
    assert gate.ctl("check", str(more)).returncode == 1
    assert gate.ctl("tokens", "t", "3").returncode == 0
    assert gate.ctl("check", str(more)).returncode == 0
    assert gate.ctl("check", "--config", str(gate.layout.config_file), str(more)).returncode == 1, "of that alone"
    gate.ctl("tokens", "t", "1")
    more.write_text("{command: 'true', tokens: {t: 2}}\n")
    assert gate.ctl("check", str(more)).returncode == 0, "the configured total may come back"
