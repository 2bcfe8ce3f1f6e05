"""What names a job on the command line names no other."""

from __future__ import annotations

import pytest

from taskgated.ctl import __main__ as ctl
from taskgated.host import systemd
from tests.env.gate import GateEnv
from tests.env.until import until

READ_BY_PYTHON = [
    "7_",
    "_9",
    "7_9_1",
    " 79",
    "79 ",
    "+79",
    "-79",
    "\u0667\u0669",
    "7\u0669",
    "0x4f",
    "7.9",
    "79\n",
    "\u00b2",
    "",
]
"""``int()`` makes a number of the most of these."""


@pytest.mark.parametrize("given", READ_BY_PYTHON)
@pytest.mark.parametrize(
    "command",
    [
        ["show"], ["why"], ["logs"], ["wait", "1"], ["cancel"], ["list", "--after"], ["list", "--limit"],
        ["list", "--array"], ["wait", "--array"], ["cancel", "--array"], ["logs", "1", "--attempt"],
        ["show", "1", "--before"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_number_has_the_digits_of_ascii_alone(
    command: list[str], given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ctl.parser([command[0]]).parse_args([*command, "--", given] if command[-1].isalpha() else [*command, given])
    assert ended.value.code == 2
    assert "invalid" not in (said := capsys.readouterr().err), said


def test_a_job_of_an_array_is_named_as_in_slurm(gate: GateEnv) -> None:
    gate.drop("one.yaml", "command: [sleep, '60']\n")
    until(gate.jobs)
    gate.drop("a.yaml", "command: echo {index}\narray: {from: 0, to: 40, step: 2}\n")
    gate.until_over(21)
    (job,) = [job for job in gate.jobs() if job["id"] == 4]
    assert gate.ctl("logs", "2_4").stdout == b"4\n", job
    assert b"array  2, index 4 of 21 jobs" in gate.ctl("show", "2_4").stdout
    assert gate.ctl_json("show", "2_0")["job"]["id"] == 2, "what a spec leaves out is 0"
    assert [job["id"] for job in gate.ctl_json("wait", "2_40", "2")] == [22, 2]
    gate.drop("b.yaml", "command: 'true'\ndelay: 1h\narray: [7, 9]\n")
    until(lambda: len(gate.jobs()) == 24)
    assert gate.ctl("cancel", "23_9").stdout == b"job 24 is cancelled\n"
    assert [job["state"] for job in gate.jobs()[-2:]] == ["queued", "cancelled"]


def test_what_an_array_has_not_is_said(gate: GateEnv) -> None:
    gate.drop("a.yaml", "command: 'true'\narray: {from: 1, to: 3}\n")
    gate.until_over(3)
    for verb in ("cancel", "logs", "show", "wait", "why"):
        none = gate.ctl(verb, "1_4")
        assert (none.returncode, none.stderr) == (1, b"taskgatectl: array 1 has no job with index 4\n")
        other = gate.ctl(verb, "2_1")
        assert other.returncode == 1 and b"there is no array 2: " in other.stderr
        assert gate.ctl(verb, "1_[1-2]").returncode == 2
    whole = gate.ctl("cancel", "--array", "1_2")
    assert whole.returncode == 2 and b"1_2 is one of its jobs, the array is 1" in whole.stderr


def test_a_watchdog_time_of_other_digits_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    for given, half in (("2000000", 1.0), ("\u00b2", None), ("2_0", None), ("", None)):
        monkeypatch.setenv("WATCHDOG_USEC", given)
        assert systemd._watchdog_interval() == half
