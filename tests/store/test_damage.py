"""A database that is not what was written: one bad row fails one job, and worse is said, in words, within seconds.

Most damages meet the store's threads in this process, which takes milliseconds; some meet a real daemon.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.ctl.client import CallError
from taskgated.daemon import troubles
from taskgated.daemon.checks import Spell
from taskgated.errors import Damaged, StoreError, TaskgateError
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition, Details, Filter, Questions, Store
from taskgated.store.placement import claimed, here
from taskgated.store.reader import Reader
from taskgated.store.sqlite.check import check
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.store import SqliteStore
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until
from tests.store.jobs import fetch

T = TypeVar("T")

MakeGate = Callable[..., GateEnv]
SEED = 4711
DAMAGES = 30
JOBS = 120
QUEUES = ("default", "etl", "builds")
SECONDS = 30.0
"""For an answer, or an end, on a busy machine; what is tried again and again takes for ever."""
PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database with jobs in most states."""
    path = tmp_path_factory.mktemp("whole") / "jobs.sqlite"
    store = SqliteStore(path)
    store.begin("", 1)
    specs = [
        Spec(("true",), name=f"job {n}", queue=QUEUES[n % 3], env={"A": "b" * (n % 50)}, priority=n % 100,
             delay=1e6 * (n % 7 == 0), expires=1e7 if n % 5 == 0 else None)
        for n in range(JOBS)
    ]  # fmt: skip
    store.add([Addition(claimed("c"), 0, specs, "a.yaml", "alice", 1000)])
    now = time.time_ns() // 1000
    for job in fetch(store, dict.fromkeys(QUEUES, 20)):
        store.start(job.id, 1, here(json.dumps({"pid": 1, "start": 1, "boot": "another", "cgroup": None})))
        outcome = Outcome(job.id, 1, Result.SUCCEEDED, exit_code=0, started=now, finished=now)
        store.finish(outcome, Verdict(Verb.SUCCEED))
    store.commit()
    store.close()
    return path


def flip(path: Path, chance: random.Random, bits: int) -> str:
    data = bytearray(path.read_bytes())
    for _ in range(bits):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{bits} bits"


def page(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    at = PAGE * chance.randrange(len(data) // PAGE)
    data[at : at + PAGE] = chance.choice((bytes(PAGE), chance.randbytes(PAGE)))
    path.write_bytes(data)
    return f"page {at // PAGE}"


def truncate(path: Path, chance: random.Random) -> str:
    size = chance.randrange(1, path.stat().st_size)
    os.truncate(path, size)
    return f"{size} bytes are left"


def log(path: Path, chance: random.Random) -> str:
    path.with_name(f"{path.name}-wal").write_bytes(chance.randbytes(50_000))
    return "garbage for a log"


VALUES = ("garbage", b"\xff\xfe", "\0", "", -1, 2**62, 1.5, '{"command": "true", "later": 1}', "{}", "[]")


def cell(path: Path, chance: random.Random) -> str:
    """Some value in some column, past all constraints; the indexes go with it."""
    table = chance.choice(("jobs", "jobs", "jobs", "attempts", "counts", "meta"))
    db = sqlite3.connect(path)
    db.execute("PRAGMA ignore_check_constraints = ON")
    column = chance.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")])
    value = chance.choice(VALUES)
    where = {"jobs": "id", "attempts": "job"}.get(table)
    ids = [row[0] for row in db.execute(f"SELECT {where} FROM {table}")] if where else []
    try:
        for id_ in chance.sample(ids, min(3, len(ids))):
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where} = ?", (value, id_))
        if where is None:
            db.execute(f"UPDATE {table} SET {column} = ?", (value,))
    except sqlite3.IntegrityError:
        pass  # not even so: a key twice, an id that is no number
    db.commit()
    db.close()
    return f"{table}.{column} = {value!r}"


KINDS: tuple[Callable[[Path, random.Random], str], ...] = (
    page, page, cell, cell, cell, truncate, log, lambda *args: flip(*args, 1), lambda *args: flip(*args, 50),
)  # fmt: skip


def damaged(whole: Path, directory: Path, number: int) -> tuple[Path, str]:
    chance = random.Random(SEED + number)
    path = directory / whole.name
    shutil.copy(whole, path)
    return path, KINDS[number % len(KINDS)](path, chance)


def showing(job: int, store: Questions) -> Details:
    return store.show(job)


class Gate:
    """The store as the daemon has it: two threads, and a turn of the loop whenever one of them wakes it."""

    def __init__(self, path: Path) -> None:
        self.turn = threading.Event()
        store = SqliteStore(path)
        self.store = StoreClient(store, self.turn.set)
        self.reader = Reader(SqliteQuestions(path), self.turn.set)
        self.store.start()
        self.reader.start()

    def read(self, question: Callable[[Questions], object]) -> None:
        answers: list[Answer[object]] = []
        self.reader.ask(question, answers.append)
        assert self._one_of(answers, self.reader) is not None

    def ask(self, question: Callable[[Questions], T]) -> Answer[T] | None:
        """None: the thread has ended, and says why."""
        answers: list[Answer[T]] = []
        self.store.ask(question, answers.append)
        return self._one_of(answers, self.store)

    def do(self, verb: Callable[[Store], T]) -> Answer[T] | None:
        """None: the thread has ended, and says why."""
        answers: list[Answer[T]] = []
        self.store.submit(verb, answers.append)
        return self._one_of(answers, self.store)

    def _one_of(self, answers: list[Answer[T]], thread: StoreClient | Reader) -> Answer[T] | None:
        end = time.monotonic() + SECONDS
        while not answers:
            if isinstance(thread, StoreClient):
                thread.flush()
                assert not thread.trouble, f"it is tried again and again: {thread.trouble}"
            if not thread.alive and isinstance(thread, StoreClient):
                assert "is damaged" in thread.damage
                assert "--check-store" in thread.damage
                return None
            assert time.monotonic() < end, "no answer"
            self.turn.wait(0.1)
            self.turn.clear()
            thread.deliver()
        assert answers[0].error is None or isinstance(answers[0].error, TaskgateError)
        return answers[0]

    def work(self) -> None:
        """What a daemon does: asks, runs all that it can, and fails what cannot be run."""
        self.read(lambda store: store.backlog())
        self.read(lambda store: store.list(0, 500, Filter()))
        self.read(lambda store: store.list(0, 500, Filter([State.QUEUED])))
        self.read(lambda store: store.prunable(1.0, 1, 200))
        for job in range(1, JOBS):
            self.read(partial(showing, job))
        if self.do(lambda store: store.wake()) is None:
            return
        for _ in range(JOBS + 1):
            found = self.ask(lambda store: fetch(store, dict.fromkeys(QUEUES, 5)))
            if found is None or found.error is not None or not found.get():
                return  # it is over, or the daemon would end here, or it is all done
            for one in found.get():
                if not self.one(one.id, one.attempt + 1, one.unreadable):
                    return
        raise AssertionError("the same jobs come again and again")

    def one(self, job: int, attempt: int, unreadable: str) -> bool:
        if not unreadable:
            started = self.do(lambda store: store.start(job, attempt, here("{}")))
            if started is None:
                return False
            if started.error is None:
                outcome = Outcome(job, attempt, Result.SUCCEEDED)
                ended = self.do(lambda store: store.finish(outcome, Verdict(Verb.SUCCEED)))
                return ended is not None and ended.error is None
        condemned = self.do(lambda store: store.condemn(job, "unreadable"))
        return condemned is not None and condemned.error is None and condemned.get() is not None

    def close(self) -> None:
        self.store.stop(SECONDS)
        assert self.reader.stop(SECONDS)


@pytest.mark.parametrize("number", range(DAMAGES))
def test_every_question_is_answered(whole: Path, tmp_path: Path, number: int) -> None:
    path, what = damaged(whole, tmp_path, number)
    said: list[str] = []
    verdict = check(path, said.append)
    assert verdict in (os.EX_OK, os.EX_DATAERR, os.EX_IOERR), what
    assert said, what
    assert len(said) < 500, what
    try:
        gate = Gate(path)
        before = SqliteQuestions(path)
    except StoreError as error:
        assert str(path) in str(error), what
        assert verdict != os.EX_OK, what
        return
    for question in (before.before, before.lanes, before.queued):
        try:
            question()
        except StoreError as error:
            assert isinstance(error, Damaged), f"{what}: {error}"
    before.close()
    try:
        gate.work()
    finally:
        gate.close()
    if gate.store.damage or gate.reader.damage:
        assert verdict == os.EX_DATAERR, f"{what}: {said}"


def check_store(gate: GateEnv) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskgated", "--root", str(gate.root), "--check-store"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def follow(advice: str) -> int:
    """Type what it says is to be done, as it stands, but for the service, which is not there."""
    if shutil.which("sqlite3") is None:
        pytest.skip("needs sqlite3")
    lines = [line.strip() for line in advice.splitlines() if line.startswith("    ")]
    mine = [line for line in lines if not line.startswith(("systemctl ", "taskgated "))]
    assert mine, advice
    return subprocess.run(["sh", "-c", "\n".join(mine)], capture_output=True, timeout=60, check=False).returncode


def put(gate: GateEnv, database: Path) -> None:
    gate.layout.state.mkdir(parents=True, mode=0o700)
    shutil.copy(database, gate.layout.database)


@pytest.mark.parametrize("number", range(1000, 1000 + len(KINDS)))
def test_a_daemon_says_it_or_ends(whole: Path, tmp_path: Path, make_gate: MakeGate, number: int) -> None:
    path, what = damaged(whole, tmp_path, number)
    gate = make_gate("workers: 2\n", start=False)
    put(gate, path)
    process = gate.launch()
    answer = until(lambda: process.poll() or "version" in gate.status(), f"it answers or ends ({what})", SECONDS)
    if answer is True:
        for method, parameters in (("List", {}), ("List", {"states": ["queued"]}), ("Show", {"id": 50})):
            try:
                gate.call(method, **parameters)
            except TaskgateError:
                pass  # an error is an answer, and to be gone, too, as it is looked at below
        until(
            lambda: process.poll() is not None or not gate.status()["counts"].get("running", 1),
            f"what can run has run ({what})",
            2 * SECONDS,
        )
    if process.poll() is not None:
        assert process.returncode == os.EX_IOERR, f"{what}\n{gate.log()}"
        assert str(gate.layout.database) in gate.log(), what
        assert "Traceback" not in gate.log(), what


def test_the_page_with_the_last_id(whole: Path, make_gate: MakeGate) -> None:
    """It is asked for before anything else is."""
    gate = make_gate("workers: 2\n", start=False)
    put(gate, whole)
    db = sqlite3.connect(gate.layout.database)
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
    db.close()
    with open(gate.layout.database, "r+b") as file:
        os.pwrite(file.fileno(), bytes(PAGE), (page - 1) * PAGE)
    gate.launch()
    assert gate.wait() == os.EX_IOERR
    assert f"the database {gate.layout.database} is damaged" in gate.log()
    assert "Traceback" not in gate.log()


@pytest.mark.parametrize("value", ["x", b"\xff", 1.5, None])
def test_a_last_id_that_is_none(whole: Path, make_gate: MakeGate, value: Any) -> None:
    """A start says so, and what there is to do about it does it."""
    gate = make_gate("workers: 2\n", start=False)
    put(gate, whole)
    edit(gate, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'jobs'", value)
    gate.launch()
    assert gate.wait() == os.EX_IOERR
    assert f"the last id in sqlite_sequence is {value!r}" in gate.log()
    assert "Traceback" not in gate.log()
    found = check_store(gate)
    assert found.returncode == os.EX_DATAERR
    assert f"the last id in sqlite_sequence is {value!r}" in found.stdout
    assert follow(found.stdout) == 0
    assert check_store(gate).returncode == os.EX_OK
    with sqlite3.connect(gate.layout.database) as db:
        assert db.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(JOBS,)]
    db.close()


def edit(gate: GateEnv, sql: str, *values: Any) -> None:
    db = sqlite3.connect(gate.layout.database)
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute(sql, values)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("spec", '{"command": "true", "since": [1]}', "keys that this version does not know: since"),
        ("spec", '{"command": "tr', "Unterminated string"),
        ("spec", '{"command": "true", "timeout": "long"}', "timeout has no value"),
        ("spec", b"\xff", "spec: not of the right type"),
        ("source", 5, "source: not of the right type"),
        ("failures", -1, "a value that it cannot have"),
    ],
)
def test_a_bad_row_fails_one_job(make_gate: MakeGate, column: str, value: Any, said: str) -> None:
    """Of one queue with a limit, the one that comes first: those behind it run all the same."""
    gate = make_gate("workers: 1\nqueues: {default: {limit: 1}}\n")
    gate.drop("a.yaml", "".join(f"- {{name: j{n}, command: 'true', delay: 1d}}\n" for n in range(3)))
    until(lambda: len(gate.jobs()) == 3, "the jobs are there")
    gate.stop()
    edit(gate, f"UPDATE jobs SET due = NULL, due_clock = NULL, {column} = iif(id = 1, ?, {column})", value)
    found = check_store(gate)
    assert found.returncode == os.EX_DATAERR, found
    assert "job 1: its row" in found.stdout
    assert "To do:" in found.stdout
    gate.start()
    first, second, third = gate.until_over(3)
    assert (second["state"], third["state"]) == ("succeeded", "succeeded")
    assert first["state"] == "failed"
    shown = gate.call("Show", id=1)
    assert said in gate.log()
    assert "cannot be read" in shown["job"]["reason"]
    assert shown["spec"] is None
    assert f"runs  (cannot be read: {shown['unreadable']})" in gate.ctl("show", "1").stdout.decode()
    assert gate.status()["ready"]


def test_a_bad_row_that_runs_still_counts(make_gate: MakeGate) -> None:
    """Its spec is gone, and its worker is there: its limit holds, and its end is heard of."""
    gate = make_gate("workers: 2\nqueues: {default: {limit: 1}}\n")
    go, runs = gate.scratch / "go", gate.scratch / "runs"
    command = json.dumps(f"echo $TASKGATE_JOB_ID >>{runs}; until [ -e {go} ]; do sleep 0.05; done")
    gate.drop("a.yaml", f"- {{name: a, command: {command}}}\n- {{name: b, command: {command}}}\n")
    until(runs.exists, "the first one runs")
    gate.kill()
    edit(gate, "UPDATE jobs SET spec = '{' WHERE id = 1")
    gate.start()
    until(lambda: "job 1: still runs" in gate.log(), "its worker has come back")
    assert [job["state"] for job in gate.jobs()] == ["running", "queued"]
    go.touch()
    first, second = gate.until_over(2)
    assert (first["state"], second["state"]) == ("succeeded", "succeeded")
    assert runs.read_text() == "1\n2\n"


@pytest.mark.parametrize("comes", [True, False])
def test_who_runs_it_cannot_be_read(make_gate: MakeGate, comes: bool) -> None:
    """Its worker comes and says it; or it is dead, and the job runs again when nothing of it is left."""
    gate = make_gate("workers: 1\n")
    runs, go = gate.scratch / "runs", gate.scratch / "go"
    command = json.dumps(f"echo $TASKGATE_ATTEMPT >>{runs}; until [ -e {go} ]; do sleep 0.05; done")
    gate.drop("a.yaml", f"name: a\ncommand: {command}\n")
    until(runs.exists, "it runs")
    worker = gate.status()["workers"][0]["pid"]
    gate.kill()
    if not comes:
        os.kill(worker, signal.SIGKILL)
    edit(gate, "UPDATE attempts SET worker = '{\"pid\"'")
    gate.start()
    assert "who runs it cannot be read" in gate.log()
    text = "still runs on worker" if comes else "attempt 2): started"
    until(lambda: text in gate.log(), "it runs on, or again", 2 * SECONDS)
    go.touch()
    (job,) = gate.until_over(1)
    attempts = 1 if comes else 2
    assert (job["state"], job["attempt"]) == ("succeeded", attempts)
    assert runs.read_text() == "1\n2\n"[: 2 * attempts]


def test_damage_is_told_and_nothing_more_is_taken_in(make_gate: MakeGate, tmp_path: Path) -> None:
    """A page that holds only jobs that are over: who asks for them is told, and what is there runs."""
    path = tmp_path / "jobs.sqlite"
    store = SqliteStore(path)
    store.add(
        [
            Addition(
                claimed("c"),
                0,
                [Spec("true", name=f"is-over-{n}", env={"A": "b" * 500}) for n in range(100)],
                "a",
                "daemon",
                1,
            )
        ]
    )
    for job in range(1, 101):
        store.start(job, 1, here("{}"))
        store.finish(Outcome(job, 1, Result.SUCCEEDED), Verdict(Verb.SUCCEED))
    store.add([Addition(claimed("d"), 0, [Spec("true", name="last", delay=1.0)], "b", "daemon", 1)])
    store.close()
    data = bytearray(path.read_bytes())
    at = data.index(b'"name":"is-over-40"') // PAGE * PAGE
    assert b"last" not in data[at : at + PAGE]
    data[at : at + PAGE] = bytes(PAGE)
    path.write_bytes(data)
    gate = make_gate("workers: 1\n", start=False)
    put(gate, path)
    gate.start()
    for method, parameters in (("List", {}), ("Show", {"id": 41})):
        with pytest.raises(CallError, match="is damaged"):
            gate.call(method, **parameters)
    until(lambda: "is damaged" in " ".join(gate.status()["problems"]), "status names it")
    assert not gate.status()["ready"]
    until(lambda: gate.log().count("nothing more is taken in") == 1, "the journal has it, once")
    gate.drop("a.yaml", "command: 'true'\n")
    until(lambda: "cannot be worked on" in gate.log(), "intake says that it does not take it")
    until(lambda: gate.status()["counts"]["succeeded"] == 101, "what was there has run")
    assert gate.stop() == 0
    found = check_store(gate)
    assert found.returncode == os.EX_DATAERR
    assert "jobs behind" in found.stdout
    assert follow(found.stdout) == 0
    found = check_store(gate)
    if "counts can be made anew" in found.stdout:  # of the jobs that are lost
        assert follow(found.stdout) == 0
        found = check_store(gate)
    assert "is fine: " in found.stdout, found
    gate.start()
    assert gate.status()["ready"]


def test_the_check_works_beside_a_running_daemon(gate: GateEnv) -> None:
    gate.drop("a.yaml", "- command: 'true'\n- {command: 'true', delay: 1h}\n")
    gate.until_over(1)
    found = check_store(gate)
    assert (found.returncode, found.stderr) == (os.EX_OK, "")
    assert "is fine: 2 jobs" in found.stdout
    assert gate.status()["ready"]
    gate.signal(signal.SIGTERM)
    assert gate.wait() == 0
    before = sorted(os.listdir(gate.layout.state))
    assert check_store(gate).returncode == os.EX_OK, "and without one"
    assert sorted(os.listdir(gate.layout.state)) == before


def test_why_says_of_a_job_that_what_it_waits_for_is_lost(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    gate.drop("a.yaml", "{command: 'true', after: nothing}\n")
    until(gate.jobs, "it is taken in")
    assert gate.stop() == 0
    edit(gate, "DELETE FROM conditions")
    assert "job 1: it waits for another one, and nothing says for which\n" in check_store(gate).stdout
    gate.start()
    (reason,) = gate.call("Why", id=1)["reasons"]
    assert reason["kind"] == "after" and "does not say any more after which" in reason["text"]
    gate.ctl("cancel", "1")
    gate.ctl("retry", "1")
    assert gate.until_over(1)[0]["state"] == "succeeded"


def test_which_tokens_jobs_take_is_noted_anew(make_gate: MakeGate) -> None:
    """What is derived from the jobs is made from them."""
    gate = make_gate("workers: 1\ntokens: {yarn: 2}\n")
    gate.ctl("pause")
    gate.drop("a.yaml", "- {command: 'true', tokens: {yarn: 2}}\n" * 2)
    until(lambda: len(gate.jobs()) == 2, "they are taken in")
    gate.ctl("tokens", "yarn", "1")
    before = gate.status()["never"]
    assert before[0]["jobs"] == 2 and gate.stop() == 0
    edit(gate, "UPDATE demands SET job = 9 WHERE job = 1")
    found = check_store(gate)
    assert found.returncode == os.EX_DATAERR
    for job in (1, 9):
        assert f"job {job}: which tokens it takes is not noted as it is\n" in found.stdout
    assert follow(found.stdout) == 0
    assert check_store(gate).returncode == os.EX_OK
    gate.start()
    assert gate.status()["never"] == before


def test_there_is_nothing_to_check(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n", start=False)
    found = check_store(gate)
    assert found.returncode == os.EX_IOERR
    assert "No such file" in found.stdout


def test_of_all_that_is_damaged_the_first_is_told(tmp_path: Path) -> None:
    """Once, whoever asks: a list and a look at one job may each find another place."""

    def found(what: str) -> Callable[[Questions], None]:
        def question(store: Questions) -> None:
            raise Damaged(f"{what} is damaged")

        return question

    gate, told = Gate(tmp_path / "db"), list[str]()
    spell = Spell(lambda: troubles.damage(gate.store, gate.reader), told.append)
    for what in ("a page", "a table", "a page"):
        gate.read(found(what))
        spell.look()
        assert gate.ask(found(what)) is not None
        spell.look()
    assert told == ["a page is damaged"]
    gate.close()
