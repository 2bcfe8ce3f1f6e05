"""Files of lines: each line is one job, once, in order, also while people append to the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from taskgated.core.job import Spec
from taskgated.intake import lists, pending, read
from taskgated.intake.claim import Claims
from taskgated.intake.events import Accepted, FileRefused, FileWaits, Paused
from taskgated.language.kinds import Kind
from taskgated.store import placement
from taskgated.store.contract import Addition
from taskgated.store.sqlite import database
from taskgated.store.sqlite.store import SqliteStore
from tests import REPOSITORY
from tests.env.intake import Gate, config, running
from tests.env.until import until

GRACE = 0.2


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "GRACE", GRACE)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path) as gate:
        yield gate


def taken_in(gate: Gate, *commands: str) -> None:
    until(lambda: len(gate.sink.commands) >= len(commands) or gate.rejected())
    until(gate.idle)
    assert gate.sink.commands == list(commands)
    assert not gate.rejected()


def claimed(gate: Gate, name: str) -> Path:
    """The file of that name, once it is claimed."""
    return until(lambda: next(gate.layout.claims.glob(f"*/{name}"), None))


# -- lines ---------------------------------------------------------------------------------------


def test_each_line_is_a_job(gate: Gate) -> None:
    gate.drop("a.tasks", "one\n\n  # a comment\ntwo # not one\n three\n")
    taken_in(gate, "one", "two # not one", " three")
    assert gate.told(Accepted) == [Accepted("a.tasks", "default", 3)]


def test_lines_for_a_handler(gate: Gate) -> None:
    gate.drop("lines/numbers", "1\n\n# 2\n3 '4\n")
    taken_in(gate, "/bin/consume\x001", "/bin/consume\0# 2", "/bin/consume\x003 '4")


def test_the_last_line_needs_no_newline(gate: Gate) -> None:
    gate.drop("a.tasks", "one\ntwo")
    taken_in(gate, "one", "two")


def test_comments_only(gate: Gate) -> None:
    gate.drop("a.tasks", "# nothing\n\n")
    until(lambda: not (gate.spool / "a.tasks").exists())
    taken_in(gate)
    assert not gate.told(Accepted)


def test_bytes_that_are_not_utf8(gate: Gate) -> None:
    gate.drop("a.tasks", b"echo \xff\xfe\n")
    taken_in(gate, "echo \udcff\udcfe")


def test_a_long_list_comes_in_pieces(gate: Gate) -> None:
    """Longer than one read and than one addition; a line lies across the border."""
    lines = [f"echo {number} {'x' * (number % 400)}" for number in range(5000)]
    text = "\n".join(lines)
    assert len(text) > 2 * lists.CHUNK
    gate.drop("a.tasks", text)
    until(lambda: len(gate.sink.commands) == 5000)
    assert gate.sink.commands == lines
    assert gate.sink.calls >= 5
    until(gate.idle)


def test_what_follows_a_list_in_its_queue_waits_for_it(tmp_path: Path) -> None:
    with running(tmp_path, capacity=10) as gate:
        gate.drop("a.tasks", "".join(f"{n}\n" for n in range(25)))
        until(lambda: len(gate.sink.commands) == 10)
        gate.drop("b.tasks", "last\n")
        gate.drop("c.yaml", "broken")  # neither taken nor refused before its turn
        until(lambda: gate.told(Paused))
        for expected in (20, 26):
            gate.sink.end_jobs()
            gate.intake.poke()
            until(lambda e=expected: len(gate.sink.commands) == e)
        until(gate.rejected)
        assert gate.sink.commands == [*map(str, range(25)), "last"]


def test_backpressure_holds_a_list_back_in_the_middle(tmp_path: Path) -> None:
    with running(tmp_path, capacity=3) as gate:
        gate.drop("lines/numbers", "".join(f"{n}\n" for n in range(10)))
        until(lambda: gate.told(Paused))
        assert len(gate.sink.commands) == 3
        for expected in range(4, 11):
            gate.sink.end_jobs(1)
            gate.intake.poke()
            until(lambda e=expected: len(gate.sink.commands) == e)
        gate.sink.end_jobs()
        gate.intake.poke()
        until(gate.idle)
        assert gate.sink.commands == [f"/bin/consume\0{n}" for n in range(10)]


# -- bad lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        b"a\0b",
        b"x" * 200_000,
        b"x" * 2 * lists.CHUNK,
        b"#" + b"x" * 2 * lists.CHUNK,
        b" " * 2 * lists.CHUNK + b"x",
    ],
    ids=["NUL", "long", "longer than a read", "long comment", "long blank"],
)
@pytest.mark.parametrize("before", [1, 20_000], ids=["near", "far"])
def test_a_bad_line_refuses_the_list_as_a_whole(gate: Gate, bad: bytes, before: int) -> None:
    data = b"good and long enough\n" * before + bad + b"\ngood\n"
    gate.drop("a.tasks", data)
    until(lambda: gate.told(FileRefused))
    until(gate.idle)
    assert gate.sink.commands == []
    assert (gate.layout.rejected / "a.tasks").read_bytes() == data
    assert f"a.tasks:{before + 1}" in (gate.layout.rejected / "a.tasks.reason").read_text()


def test_a_bad_line_that_comes_late(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "GRACE", 1.0)
    gate.drop("a.tasks", "one\ntwo\n")
    until(lambda: len(gate.sink.commands) == 2)
    with open(claimed(gate, "a.tasks"), "ab") as file:
        file.write(b"three\nbad\0\nfive\n")
    until(lambda: gate.told(FileRefused))
    until(gate.idle)
    assert gate.sink.commands == ["one", "two", "three"]
    reason = (gate.layout.rejected / "a.tasks.reason").read_text()
    assert "a.tasks:4" in reason
    assert "3 jobs" in reason


def test_a_disk_that_cannot_be_read_costs_one_list(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, size: int, offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(lists.Lines, "check", lambda self, fd, parse: fail(fd, 1, 0))
        gate.drop("a.tasks", "one\n")
        until(lambda: gate.told(FileWaits))
        assert "Input/output error" in gate.told(FileWaits)[0].reason
        gate.drop("b.yaml", "command: two\n")
        until(lambda: gate.sink.commands == ["two"])
    until(lambda: gate.sink.commands == ["two", "one"])
    assert not gate.rejected()


# -- appending -----------------------------------------------------------------------------------


def test_appending_again_and_again(gate: Gate) -> None:
    for number in range(20):
        with open(gate.spool / "lines" / "list", "a") as file:
            file.write(f"{number}\n")
    until(lambda: len(gate.sink.commands) == 20)
    until(gate.idle)
    assert gate.sink.commands == [f"/bin/consume\0{n}" for n in range(20)]


def test_lines_that_come_late_keep_their_place(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was appended to the file that is claimed already, the next to a new file of that name."""
    monkeypatch.setattr(read, "GRACE", 30.0)
    gate.drop("lines/list", "one\n")
    until(lambda: len(gate.sink.commands) == 1)
    with open(claimed(gate, "list"), "a") as file:
        file.write("two\n")
    (gate.spool / "lines" / "list").write_text("three\n")
    until(lambda: len(gate.sink.commands) == 3)
    assert gate.sink.commands == [f"/bin/consume\0{line}" for line in ("one", "two", "three")]


def test_lines_that_are_still_being_written_keep_their_place(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next file of that name waits until nobody writes to the one that is claimed."""
    monkeypatch.setattr(read, "GRACE", 30.0)
    gate.drop("lines/list", "one\n")
    until(lambda: len(gate.sink.commands) == 1)
    with open(claimed(gate, "list"), "a") as file:
        file.write("two\n")
        (gate.spool / "lines" / "list").write_text("three\n")
        gate.drop("lines/other", "between\n")
        until(lambda: len(gate.sink.commands) == 2)
    until(lambda: len(gate.sink.commands) == 4)
    assert gate.sink.commands == [f"/bin/consume\0{line}" for line in ("one", "between", "two", "three")]


def test_concurrent_appends_lose_no_line(gate: Gate) -> None:
    """Shells that append one line at a time, as fast as they can, to the same name, for a while."""
    path = gate.spool / "lines" / "lines.txt"
    writers = [
        subprocess.Popen(["bash", "-c", f"for i in {{1..400}}; do echo {w}-$i >> {path}; done"]) for w in range(4)
    ]
    for writer in writers:
        assert writer.wait(60) == 0
    until(lambda: len(gate.sink.commands) >= 1600, timeout=30)
    until(gate.idle)
    lines = [command.split("\0")[1] for command in gate.sink.commands]
    assert sorted(lines) == sorted(f"{w}-{i}" for w in range(4) for i in range(1, 401))
    for w in range(4):  # what one writer wrote in order stays in order
        mine = [int(line.split("-")[1]) for line in lines if line.startswith(f"{w}-")]
        assert mine == sorted(mine)


def test_read_and_truncate_loses_lines(tmp_path: Path) -> None:
    """The test above means something: the obvious way, under the same load, fails it."""
    path = tmp_path / "lines.txt"
    path.touch()
    writers = [
        subprocess.Popen(["bash", "-c", f"for i in {{1..2000}}; do echo {w}-$i >> {path}; done"]) for w in range(4)
    ]
    seen = 0
    running = True
    while running:
        running = any(writer.poll() is None for writer in writers)
        with open(path, "r+") as file:
            seen += len(file.readlines())
            file.truncate(0)
    assert seen < 8000


def test_a_writer_that_waits_in_open_while_the_file_is_claimed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has found the file by its old name, before our rename, and gets it after our read."""
    late: list[subprocess.Popen[bytes]] = []

    def append(point: str) -> None:
        if point == "claim.taken" and not late:
            path = next(gate.layout.claims.glob("*/list"))
            late.append(subprocess.Popen(["sh", "-c", f"echo late >> {path}"]))

    monkeypatch.setattr("taskgated.faultpoints.hook", append)
    gate.drop("lines/list", "early\n")
    taken_in(gate, "/bin/consume\0early", "/bin/consume\0late")
    assert late[0].wait(10) == 0


def test_a_writer_that_comes_at_the_very_end(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the lease under which the file is about to be unlinked."""
    late: list[subprocess.Popen[bytes]] = []

    def append(point: str) -> None:
        if point == "batch.synced" and gate.sink.commands and not late:
            path = next(gate.layout.claims.glob("*/list"))
            late.append(subprocess.Popen(["sh", "-c", f"echo late >> {path}"]))
            until(lambda: _waits_in_open(late[0].pid) or late[0].poll() is not None)

    monkeypatch.setattr("taskgated.faultpoints.hook", append)
    gate.drop("lines/list", "early\n")
    until(lambda: late and late[0].poll() is not None)
    taken_in(gate, "/bin/consume\0early", "/bin/consume\0late")


def _waits_in_open(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/wchan") as file:
            return "break_lease" in file.read()
    except OSError:
        return False


def test_a_writer_that_keeps_the_claimed_file_open(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes is taken in when it has closed the file, the half of a line with its other half."""
    monkeypatch.setattr(read, "GRACE", 0.5)
    gate.drop("lines/list", "one\n")
    until(lambda: len(gate.sink.commands) == 1)
    with open(claimed(gate, "list"), "a") as file:
        file.write("two\nthr")
        file.flush()
        gate.drop("lines/other", "between\n")
        until(lambda: len(gate.sink.commands) == 2)
        file.write("ee\n")
    taken_in(gate, *(f"/bin/consume\0{line}" for line in ("one", "between", "two", "three")))


def test_a_list_that_is_written_anew_after_the_claim(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "GRACE", 0.5)
    gate.drop("lines/list", "one\ntwo\nthree\n")
    until(lambda: len(gate.sink.commands) == 3)
    with open(claimed(gate, "list"), "w") as file:
        file.write("new\n")
    taken_in(gate, *(f"/bin/consume\0{line}" for line in ("one", "two", "three", "new")))


def test_many_lists_at_once(tmp_path: Path) -> None:
    """More than may wait for their end at a time."""
    gate = Gate(tmp_path, config())
    for number in range(600):
        gate.drop(f"lines/{number}", f"{number}\n")
    limit = pending.PENDING
    pending.PENDING = 100
    try:
        gate.start()
        until(lambda: len(gate.sink.commands) == 600, timeout=20)
        until(gate.idle)
        assert sorted(gate.sink.commands) == sorted(f"/bin/consume\0{n}" for n in range(600))
    finally:
        pending.PENDING = limit
        gate.stop()


# -- lists that an earlier version has begun with ---------------------------------------------------


HALF_TAKEN = {  # text, how many jobs 0.3.0 had made of its beginning, what is left
    "a comment behind a mark": (b"\xef\xbb\xbf# jobs\none\ntwo\nthree\n", 2, ["two", "three"]),
    "nothing behind a mark": (b"\xef\xbb\xbf\r\none\ntwo\n", 1, ["one", "two"]),
    "a command behind a mark": (b"\xef\xbb\xbfone\ntwo\nthree\n", 2, ["three"]),
    "a line that goes on": (b"one \\\n two\nthree\nfour\n", 2, ["three", "four"]),
    "the last that was taken goes on": (b"one\ntwo \\\nthree\n", 2, ["three"]),
    "a carriage return in a line": (b"one\rtwo\nthree\nfour\n", 1, ["three", "four"]),
    "all of it": (b"\xef\xbb\xbf\none \\\n", 2, []),
}


def left_by_an_earlier_version(gate: Gate, queue: str, text: bytes, parts: int) -> None:
    claims = Claims(bytes(gate.layout.claims), lambda path, why: None)
    claim = claims.make(queue, Kind.TASKS if queue == "default" else Kind.LINES, b"x.tasks")
    claims.close()
    (gate.layout.claims / claim / "x.tasks").write_bytes(text)
    gate.sink.close()
    path = gate.layout.spool.parent / "sink.sqlite"
    for file in path.parent.glob("sink.sqlite*"):
        file.unlink()
    schema = database.migrations()[:5]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "migrations", lambda: schema)
        SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO claims (claim, parts) VALUES (?, ?)", (claim, parts))


@pytest.mark.parametrize("queue", ["default", "lines"])
@pytest.mark.parametrize("what", HALF_TAKEN)
def test_of_a_list_that_0_3_0_had_half_taken_no_line_is_lost_or_doubled(
    tmp_path: Path, what: str, queue: str
) -> None:
    text, parts, left = HALF_TAKEN[what]
    gate = Gate(tmp_path, config())
    left_by_an_earlier_version(gate, queue, text, parts)
    with running(tmp_path) as gate:
        until(gate.idle)
        assert [command.split("\0")[-1] for command in gate.sink.commands] == left
        assert not gate.rejected()


def test_the_rest_is_refused_at_the_line_that_goes_on(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    left_by_an_earlier_version(gate, "default", b"one \\\ntwo\nthree\nfour \\\nfive\n", 1)
    with running(tmp_path) as gate:
        until(gate.idle)
        assert gate.sink.commands == ["two", "three"]
        assert "line 4" in (reason := (gate.layout.rejected / "x.tasks.reason").read_text()) or ":4:" in reason


@pytest.mark.parametrize("parts", [1, 2])
def test_what_this_version_has_begun_with_it_goes_on_with_by_its_own_count(tmp_path: Path, parts: int) -> None:
    gate = Gate(tmp_path, config())
    claims = Claims(bytes(gate.layout.claims), lambda path, why: None)
    claim = claims.make("default", Kind.TASKS, b"x.tasks")
    claims.close()
    (gate.layout.claims / claim / "x.tasks").write_bytes(b"\xef\xbb\xbf# jobs\none\ntwo\nthree\n")
    known = [Spec(command=command) for command in ("one", "two")[:parts]]
    gate.sink.add([Addition(placement.claimed(claim), 0, known, "x.tasks", "alice", os.getuid(), False)])
    gate.sink.close()
    with running(tmp_path) as gate:
        until(gate.idle)
        assert gate.sink.commands == ["one", "two", "three"]


# -- the reader by itself ------------------------------------------------------------------------


def test_a_million_lines_need_little_memory(tmp_path: Path) -> None:
    """Memory depends on the size of a piece, not on that of the list."""
    path = tmp_path / "list"
    with open(path, "w") as file:
        for number in range(1_000_000):
            file.write(f"{number}\n")
    code = f"""
        import os, resource
        from taskgated.intake.lists import Lines
        from taskgated.core.job import Spec
        fd, spec = os.open({str(path)!r}, os.O_RDONLY), Spec()
        parse = lambda number, line: spec
        lines = Lines("list", 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while not lines.checked:
            lines.check(fd, parse)
        at_end = False
        while not at_end:
            specs, at_end = lines.read(fd, parse, 1000, True)
            lines.parts += len(specs)
        assert lines.parts == 1_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4000
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=REPOSITORY)
