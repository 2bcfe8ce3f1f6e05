"""A job's output in a file of its own, from the drop to what operators are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[GateEnv]:
    defaults = f"{{stderr: '{{name}}.err', cwd: {tmp_path}, shell: [bash, -c]}}"
    env = GateEnv(tmp_path / "gate", f"queues: {{logged: {{defaults: {defaults}}}}}\n")
    yield env
    env.clean_up()


def test_output_in_files_of_ones_own(gate: GateEnv, tmp_path: Path) -> None:
    gate.start()
    gate.drop("own", f"#!/bin/sh\n#TASKGATE stdout: {tmp_path}/{{name}}-{{id}}.{{attempt}}\necho out; echo err >&2\n")
    gate.until_over(1)
    (job,) = gate.jobs()
    path = tmp_path / f"own-{job['id']}.1"
    assert path.read_text() == "out\n"
    logs = gate.ctl("logs", str(job["id"]))
    assert logs.stdout == b"err\n"
    assert f"stdout went to {path}".encode() in logs.stderr


def test_a_default_of_a_queue_and_a_file_that_cannot_be(gate: GateEnv, tmp_path: Path) -> None:
    gate.start()
    gate.drop("a.tasks", "echo out; echo ${BASH_VERSION:+err} >&2\n", "logged")
    gate.drop("b.yaml", "command: 'true'\nstdout: none/x\nretry: {attempts: 2, delay: 0}\n", "logged")
    gate.until_over(2)
    assert (tmp_path / "echo.err").read_text() == "err\n"
    job = gate.job("true")
    assert job is not None and job["state"] == "failed" and job["attempt"] == 2
    shown = gate.ctl_json("show", str(job["id"]))
    assert shown["attempts"][0]["message"] == "cannot start: stdout 'none/x': No such file or directory"


def test_where_it_went_is_told_with_its_directory(gate: GateEnv, tmp_path: Path) -> None:
    gate.start()
    keys = f"name: n\ncwd: {tmp_path}\nstdout: '{{name}}.{{attempt}}'\nstderr: './%j'\n"
    gate.drop("a.yaml", f"command: 'echo out; exit 1'\n{keys}retry: {{attempts: 2, delay: 0}}\n")
    gate.until_over(1)
    told = [line.removeprefix("taskgatectl: ") for line in gate.ctl("logs", "1").stderr.decode().splitlines()]
    assert told == [f"stdout went to {tmp_path}/n.2", f"stderr went to {tmp_path}/./%j"]
    shown = gate.ctl("show", "1").stdout.decode()
    assert f"    stdout  {tmp_path}/n.2\n    stderr  {tmp_path}/./%j\n" in shown
    assert "      note  line 5: stderr: '%j' is only text in a path here, write {id}\n" in shown


def test_where_nothing_went_is_not_told(gate: GateEnv, tmp_path: Path) -> None:
    """Neither when the file could not be opened nor when there was no program to write to it."""
    gate.start()
    gate.drop("a.yaml", f"command: 'true'\nstdout: {tmp_path}/none/x\n")
    gate.drop("b.yaml", f"command: [/none]\nstdout: {tmp_path}/x\n")
    gate.drop("c.yaml", f"command: [sh, -c, 'exit 126']\nstdout: {tmp_path}/y\n")
    gate.until_over(3)
    assert {gate.ctl("logs", str(job)).stderr for job in (1, 2)} == {b""}
    assert f"stdout went to {tmp_path}/y".encode() in gate.ctl("logs", "3").stderr
    shown = gate.ctl("show", "1").stdout.decode()
    assert f"cannot start: stdout '{tmp_path}/none/x': No such file or directory" in shown
    assert f"    stdout  {tmp_path}/none/x\n" in shown


def test_each_job_of_an_array_reads_and_writes_its_own(gate: GateEnv, tmp_path: Path) -> None:
    gate.start()
    for index in (3, 4):
        (tmp_path / f"in.{index}").write_text(f"{index}\n")
    paths = f"stdin: {tmp_path}/in.{{index}}\nstdout: {tmp_path}/out-{{array}}_{{index}}.{{id}}\n"
    gate.drop("a.yaml", f"command: [cat]\n{paths}array: [3, 4]\n")
    gate.until_over(2)
    written = {f"out-1_{index}.{index - 2}": f"{index}\n" for index in (3, 4)}
    assert {path.name: path.read_text() for path in tmp_path.glob("out*")} == written
    assert f"stdout went to {tmp_path}/out-1_4.2".encode() in gate.ctl("logs", "2").stderr
    gate.drop("b.yaml", f"command: [cat]\n{paths}")
    reason = gate.layout.rejected / "b.yaml.reason"
    until(reason.exists)
    assert "stdin: '{index}' stands for nothing: this job is none of an array" in reason.read_text()


def test_the_shell_of_the_gate_comes_with_a_reload(gate: GateEnv) -> None:
    gate.configure("shell: [bash, -euo, pipefail, -c]\n")
    gate.start()
    gate.drop("a.tasks", "false | true; echo on\n")
    (job,) = gate.until_over(1)
    assert job["state"] == "failed"
    gate.configure("")
    assert gate.ctl("reload").returncode == 0
    gate.drop("b.tasks", "false | true; echo on\n")
    assert gate.until_over(2)[1]["state"] == "succeeded"
    assert gate.ctl("logs", "2").stdout == b"on\n"
