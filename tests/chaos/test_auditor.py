"""The auditor of the trials catches each thing that it is there for, and does not cry without reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.auditor import Line, Verdict, ends, judge, read
from tests.env.until import until

RECORD = Path(__file__).with_name("record.py")


def record(text: str) -> list[Line]:
    """From ``start NAME ATTEMPT PID`` lines, a second apart."""
    rows = (row.split() for row in text.strip().splitlines())
    return [
        Line(word, name, int(attempt), int(pid), at * 10**9) for at, (word, name, attempt, pid) in enumerate(rows)
    ]


class TestJudge:
    def test_a_clean_record(self) -> None:
        lines = record("start a 1 10\nstart b 1 11\nend a 1 10\nstart c 1 12\nend c 1 12\nend b 1 11")
        assert judge(lines, "abc", limit=2) == Verdict()

    def test_killed_and_run_again(self) -> None:
        lines = record("start a 1 10\nstart b 1 11\nstart a 2 12\nend a 2 12\nend b 1 11")
        assert judge(lines, "ab", limit=2) == Verdict()

    def test_killed_and_run_again_with_its_pid_and_number(self) -> None:
        """As after a power cut: the start was not on the disk yet, and pids are given anew."""
        lines = record("start a 1 10\nstart b 1 11\nend b 1 11\nstart a 1 10\nend a 1 10")
        assert judge(lines, "ab", limit=1, repeats=True) == Verdict()
        assert judge(lines, "ab", limit=1).gaps == ("a",), "nothing else gives a number twice"

    def test_unknown(self) -> None:
        assert judge(record("start a 1 10\nend a 1 10\nstart x 1 11\nend x 1 11"), "a") == Verdict(unknown=("x",))

    def test_lost(self) -> None:
        assert judge(record("start a 1 10\nend a 1 10\nstart b 1 11"), "abc").lost == ("b", "c")

    def test_twice_by_its_own_word(self) -> None:
        lines = record("start a 1 10\ntwice a 2 11\nstart a 2 11\nend a 2 11")
        assert judge(lines, "a") == Verdict(twice=("a",))

    @pytest.mark.parametrize(
        "text",
        [
            "start a 1 10\nstart a 2 11\nend a 1 10\nend a 2 11",
            "start a 1 10\nstart a 2 11\nend a 2 11\nend a 1 10",
            "start a 1 10\nstart a 2 11\nend a 1 10",  # the second was killed, but began before the first had ended
        ],
    )
    def test_twice_by_interval(self, text: str) -> None:
        assert judge(record(text), "a").twice == ("a",)

    def test_over_by_its_own_word(self) -> None:
        assert judge(record("over a 1 10\nstart a 1 10\nend a 1 10"), "a") == Verdict(over=("a",))

    def test_over_by_interval(self) -> None:
        lines = record("start a 1 10\nstart b 1 11\nstart c 1 12\nend a 1 10\nend b 1 11\nend c 1 12")
        assert judge(lines, "abc", limit=2) == Verdict(over=("c",))
        assert judge(lines, "abc", limit=3) == judge(lines, "abc") == Verdict()

    def test_again(self) -> None:
        lines = record("start a 1 10\nend a 1 10\nstart a 2 11\nend a 2 11")
        assert judge(lines, "a") == Verdict(again=("a",))
        assert ends(lines) == {"a": 2}

    def test_gaps(self) -> None:
        assert judge(record("start a 2 10\nstart a 1 11\nend a 1 11"), "a") == Verdict(gaps=("a",))
        assert judge(record("end a 1 10"), "a") == Verdict(gaps=("a",))
        assert judge(record("start a 1 10\nend a 1 11"), "a") == Verdict(gaps=("a",))


class TestRead:
    def test_there_is_none(self, tmp_path: Path) -> None:
        assert read(tmp_path) == []

    @pytest.mark.parametrize("cut", ["", "e", "end back 1 2", "end back 1 2 30", "\0\0\0"])
    def test_a_cut_line_is_unsaid(self, tmp_path: Path, cut: str) -> None:
        first = Line("start", "backend", 1, 2, 29)
        (tmp_path / "record").write_text(f"start backend 1 2 29\n{cut}")
        assert read(tmp_path) == [first]
        with open(tmp_path / "record", "a") as file:  # what runs after the power cut
            file.write("end backend 2 3 31\n")
        assert read(tmp_path) == [first, Line("end", "backend", 2, 3, 31)]

    def test_anything_else_is_no_record(self, tmp_path: Path) -> None:
        (tmp_path / "record").write_text("start a 1 2 3\nstop a 1 2 4\n")
        with pytest.raises(ValueError, match="line 2"):
            read(tmp_path)


Start = Callable[..., "subprocess.Popen[bytes]"]


class TestRealProcesses:
    """record.py itself, and what the auditor makes of it."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Start]:
        """Starts an attempt, and waits until it says that it runs."""
        started: list[subprocess.Popen[bytes]] = []

        def start(name: str, seconds: float, *limits: str, attempt: int = 1) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, RECORD, tmp_path, name, str(seconds), *limits],
                env={**os.environ, "TASKGATE_ATTEMPT": str(attempt)},
            )
            started.append(process)
            until(
                lambda: any((line.word, line.pid) == ("start", process.pid) for line in read(tmp_path)),
                f"{name} says that it started",
            )
            return process

        yield start
        for process in started:
            process.kill()
            process.wait()

    def test_one_after_the_other(self, start: Start, tmp_path: Path) -> None:
        for name in "abc":
            assert start(name, 0, "1", "narrow=1").wait(20) == 0
        assert judge(read(tmp_path), "abc", limit=1) == Verdict()

    def test_two_of_a_name_at_once(self, start: Start, tmp_path: Path) -> None:
        start("a", 60)  # it will be killed: only the lock can tell
        assert start("a", 0, attempt=2).wait(20) == 0
        assert judge(read(tmp_path), "a") == Verdict(twice=("a",))

    def test_three_with_two_slots(self, start: Start, tmp_path: Path) -> None:
        start("a", 60, "2")
        start("b", 60, "2")
        assert start("c", 0, "2").wait(20) == 0
        assert judge(read(tmp_path), "abc") == Verdict(lost=("a", "b"), over=("c",))

    def test_each_limit_has_its_own_slots(self, start: Start, tmp_path: Path) -> None:
        start("a", 60, "3", "narrow=1")
        assert start("b", 0, "3").wait(20) == 0
        assert judge(read(tmp_path), "ab") == Verdict(lost=("a",))
        assert start("c", 0, "3", "narrow=1").wait(20) == 0
        assert judge(read(tmp_path), "abc") == Verdict(lost=("a",), over=("c",))

    def test_killed_and_started_again(self, start: Start, tmp_path: Path) -> None:
        first = start("a", 60, "1")
        first.kill()
        first.wait()
        assert judge(read(tmp_path), "a") == Verdict(lost=("a",))
        assert start("a", 0, "1", attempt=2).wait(20) == 0
        assert judge(read(tmp_path), "a", limit=1) == Verdict()
