"""A database that was put back from yesterday: no id is given twice, and nothing that lies there is taken for what a
new job, or a new attempt, has written or done."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from taskgated.attempts.outcomes import Outcomes
from taskgated.attempts.writer import Writer
from taskgated.core.job import Outcome, Result
from taskgated.daemon import ids
from taskgated.daemon.ids import known
from taskgated.host.paths import Layout
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def put_back(gate: GateEnv, copy: Path) -> None:
    for name in ("jobs.sqlite-wal", "jobs.sqlite-shm"):
        (gate.layout.state / name).unlink(missing_ok=True)
    shutil.copy(copy, gate.layout.database)


@pytest.fixture
def yesterday(make_gate: MakeGate, tmp_path: Path) -> tuple[GateEnv, Path]:
    """A stopped gate that has run one job, and a copy of its database."""
    gate = make_gate("workers: 1\n")
    gate.drop("a.yaml", "name: kept\ncommand: echo kept\n")
    gate.until_over(1)
    gate.stop()
    copy = tmp_path / "copy.sqlite"
    with SqliteStore(gate.layout.database)._db as db:
        db.execute("PRAGMA wal_checkpoint = TRUNCATE").fetchall()
    shutil.copy(gate.layout.database, copy)
    gate.start()
    return gate, copy


def test_its_new_jobs_have_new_ids_and_nothing_of_others(yesterday: tuple[GateEnv, Path]) -> None:
    gate, copy = yesterday
    gate.drop("b.yaml", "[{name: lost, command: echo lost}, {name: silent, command: 'true'}]")
    gate.until_over(3)
    gate.stop()
    put_back(gate, copy)
    gate.start()
    gate.drop("c.yaml", "name: new\ncommand: 'true'\n")
    kept, new = gate.until_over(2)
    assert (kept["id"], kept["name"], new["name"]) == (1, "kept", "new")
    assert new["id"] > 3
    assert gate.ctl("logs", str(new["id"])).stdout == b""
    assert gate.ctl("logs", "1").stdout == b"kept\n"
    assert "the database knows jobs up to 1, but there were some up to 3" in gate.log()
    gate.stop()
    gate.start()
    gate.drop("d.yaml", "name: next\ncommand: 'true'\n")
    assert gate.until_over(3)[-1]["id"] == new["id"] + 1, "once is enough"


@pytest.mark.parametrize("lost", ["state", "log"])
def test_also_of_those_that_left_nothing(yesterday: tuple[GateEnv, Path], lost: str) -> None:
    """All of one directory is put back, or is new; the other still knows."""
    gate, copy = yesterday
    gate.drop("b.yaml", "[{name: silent, command: 'true'}]")
    gate.until_over(2)
    until(lambda: known(gate.layout) >= 2, "its id is noted, a moment later")
    gate.kill_all()
    shutil.rmtree(getattr(gate.layout, lost))
    if lost == "log":
        put_back(gate, copy)
    gate.start()
    gate.drop("c.yaml", "name: new\ncommand: 'true'\n")
    job = until(lambda: gate.job("new"), "it is taken in")
    assert job["id"] > 2


def test_a_crash_leaves_no_gap(gate: GateEnv) -> None:
    for number in range(1, 4):
        gate.drop(f"{number}.yaml", f"name: n{number}\ncommand: echo x\n")
        gate.until_over(number)
        gate.kill_all()
        gate.start()
    assert [job["id"] for job in gate.jobs()] == [1, 2, 3]


def test_an_attempt_that_was_forgotten_leaves_neither_output_nor_outcome(make_gate: MakeGate) -> None:
    """Its job is queued again, and the new attempt has its number: it is silent, and fails."""
    gate = make_gate("workers: 1\nqueues: {shut: {limit: 1}}\n")
    gate.drop("a.yaml", "[{name: first, command: sleep 600, queue: shut}, {name: j, command: exit 3, queue: shut}]")
    gate.until_running("first")
    job = until(lambda: gate.job("j"), "it is taken in")
    gate.kill_all()
    path = Path(outputs.path(gate.layout.log, job["id"], 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in (path.name, f"{path.name}.5", f"{path.name}.9"):
        path.with_name(name).write_text("old\n")
    Outcomes(gate.layout.outcomes).write(Outcome(job["id"], 1, Result.SUCCEEDED, exit_code=0))
    gate.start()
    gate.ctl("cancel", str(gate.until_running("first")["id"]))
    gate.until_over(2)
    ended = gate.jobs()[-1]
    assert (ended["state"], ended["attempt"], ended["exit_code"]) == ("failed", 1, 3)
    assert gate.ctl("logs", str(job["id"])).stdout == b""


class TestKnown:
    def layout(self, root: Path) -> Layout:
        layout = Layout.under(root)
        for directory in (layout.outcomes, layout.scripts, layout.log):
            directory.mkdir(parents=True)
        return layout

    def test_nothing(self, tmp_path: Path) -> None:
        assert ids.known(Layout.under(tmp_path)) == 0
        assert ids.known(self.layout(tmp_path / "made")) == 0

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("log/000000/17.1.log", 17),
            ("log/001234/1234017.2.log", 1234017),
            ("log/001234/1234017.2.log.4096", 1234017),
            ("log/1234567/1234567890.1.log", 1234567890),
            ("state/outcomes/18.1.json", 18),
            ("state/outcomes/18.1.tmp", 18),
            ("state/scripts/19.3", 19),
            ("log/000000/17.x", 0),
            ("log/000000/99017.1.log", 0),
            ("log/lost+found/5.1.log", 0),
            ("log/999999999999999999999/999999999999999999999000.1.log", 0),
            ("state/scripts/README", 0),
        ],
    )
    def test_what_jobs_leave(self, tmp_path: Path, name: str, number: int) -> None:
        self.layout(tmp_path)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        (tmp_path / "log" / "9999999").mkdir()  # what retention has left for a moment
        assert ids.known(Layout.under(tmp_path)) == number

    @pytest.mark.parametrize("content", ["", "12x\n", "\n", "9" * 25, "\x00" * 21])
    def test_what_is_no_number_says_nothing(self, tmp_path: Path, content: str) -> None:
        layout = self.layout(tmp_path)
        layout.last_id.write_text(content)
        layout.last_id_beside_output.write_text("5\n")
        assert ids.known(layout) == 5

    def test_nor_what_is_no_file(self, tmp_path: Path) -> None:
        layout = self.layout(tmp_path)
        os.mkfifo(layout.last_id)
        layout.last_id_beside_output.mkdir()
        assert ids.known(layout) == 0


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    path = tmp_path / "1.1.log"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        writer = Writer(str(path), 100)
        writer.write(b"new")
        writer.finish()
    assert "that of another attempt is in the way" in writer.error
    assert (writer.total, writer.omitted) == (3, 3)
    assert path.read_text() == "old"


def test_it_is_told_also_by_a_start_that_fails(make_gate: MakeGate) -> None:
    """The ids are left out from then on, so no later start has anything to tell."""
    gate = make_gate(start=False)
    output = Path(outputs.path(gate.layout.log, 5000, 1))
    output.parent.mkdir(parents=True)
    output.touch()
    (gate.layout.worker_socket / "in the way").mkdir(parents=True)
    gate.launch()
    assert gate.wait() == os.EX_TEMPFAIL
    assert "it was put back from a copy, or is new" in gate.log()
