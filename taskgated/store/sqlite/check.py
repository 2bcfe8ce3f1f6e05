"""``taskgated --check-store``: is the database what was written, and what is to be done if it is not?

It opens the database for reading only, beside a daemon or without one, and reads every row by the code by which the
daemon does. What it prints is bounded, whatever is wrong.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from taskgated.core.state import State
from taskgated.errors import UnreadableRow
from taskgated.store.sqlite import database
from taskgated.store.sqlite.rows import attempt_of, job_of, json_of, record_of
from taskgated.store.sqlite.sqlfiles import migrations, statements
from taskgated.text import printable

SHOWN = 50
"""Lines of one kind that are printed."""
SLICE = 1000
"""Rows that are read at a time, so that a long check is in no writer's way."""

_ROWS = """\
To do: nothing for the gate's sake. When the turn of such a job comes it fails, with that reason. If a later version
has written it, install that version again; else drop the job's file again, if it is still wanted.
"""
_BY_HAND = """\
To do: see "by hand" in taskgatectl status. What cannot be read holds as the least that it can be: a pause, the lowest
limit, no tokens. Set it again, or take it back: taskgatectl resume, or --reset of limit or tokens. What a policy of a
queue remembers begins anew.
"""
_DERIVED = """\
To do: indexes, the last id and counts can be made anew from the jobs (sqlite3 is in the package of that name):
    systemctl stop taskgated
    cp -a {path} {path}.damaged
    sqlite3 {path} {statements}
    taskgated --check-store
    systemctl start taskgated
"""
_PAGES = """\
To do: look at the disk first (journalctl -k). Then put the database back from a backup, or save what can be read
(sqlite3 is in the package of that name; it says what it cannot read):
    systemctl stop taskgated
    mv {path} {path}.damaged
    if [ -e {path}-wal ]; then mv {path}-wal {path}.damaged-wal; rm -f {path}-shm; fi
    sqlite3 {path}.damaged .dump | sed 's/^ROLLBACK;.*/COMMIT;/' | sqlite3 {path}
    sqlite3 {path} 'PRAGMA user_version = {version}' 'PRAGMA journal_mode = WAL'
    chown --reference={path}.damaged {path}
    taskgated --check-store
    systemctl start taskgated
Files in the spool wait meanwhile; jobs that run go on, and their outcomes are kept for the next daemon.
"""
_RECOUNT = (
    '"REINDEX; DELETE FROM counts; INSERT INTO counts '
    "SELECT queue, state, owner, count(*) FROM jobs GROUP BY queue, state, owner; "
    "DELETE FROM demands; INSERT INTO demands SELECT j.key, j.value, jobs.id "
    "FROM jobs, json_each(iif(json_valid(spec), spec, '{}'), '$.tokens') j "
    "WHERE state = 'queued' AND line IS NOT NULL AND j.type = 'integer'; "
    "UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(id), 0) FROM jobs) WHERE typeof(seq) != 'integer'\""
)


def check(path: Path, say: Callable[[str], None]) -> int:
    """Returns the exit status: 0; 65 (EX_DATAERR) when something is wrong; 74 (EX_IOERR) when it cannot be said."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            say(f"{path} is no regular file: move it away")
            return os.EX_DATAERR
        with path.open("rb"):
            pass
    except PermissionError as error:
        say(f"the database {path} cannot be opened: {error.strerror} (root can, and the user as whom taskgated runs)")
        return os.EX_IOERR
    except OSError as error:
        say(f"the database {path} cannot be opened: {error.strerror}")
        return os.EX_IOERR
    try:
        db = _open(path)
        try:
            return _Check(path, db, say).run()
        finally:
            db.close()
    except sqlite3.Error as error:
        if database.damage_of(path, error):
            say(f"the database {path} is damaged: {error}")
            say(_advice(_PAGES, path))
            return os.EX_DATAERR
        say(f"the database {path} cannot be read: {error}")
        return os.EX_IOERR


def _open(path: Path) -> sqlite3.Connection:
    """For reading only. What is still in the log beside it belongs to it (https://sqlite.org/wal.html). Without a log
    nobody has it open: then ours, which stays empty, is to be gone afterwards, and only a connection that could write
    sees to that."""
    mode = "ro" if path.with_name(f"{path.name}-wal").exists() else "rw"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=10)
    db.text_factory = database.as_text
    db.execute("PRAGMA query_only = ON")
    return db


def _advice(text: str, path: Path) -> str:
    return text.format(path=path, version=migrations()[-1][0], statements=_RECOUNT).rstrip()


class _Check:
    def __init__(self, path: Path, db: sqlite3.Connection, say: Callable[[str], None]) -> None:
        self._path = path
        self._db = db
        self._say = say
        self._sql = statements()
        self._pages = self._rows = self._derived = self._by_hand = 0  # what is wrong, of each kind

    def run(self) -> int:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        newest = migrations()[-1][0]
        if version != newest:
            age = "a newer" if version > newest else "an older"
            self._say(f"the database {self._path} has schema {version}, of {age} version; this one checks {newest}")
            return os.EX_IOERR
        self._integrity()
        jobs = self._jobs()
        self._attempts()
        self._relations()
        self._facts()
        found = (
            (self._pages, _PAGES),
            (self._derived, _DERIVED),
            (self._rows, _ROWS),
            (self._by_hand, _BY_HAND),
        )
        for number, advice in found:
            if number:
                self._say(_advice(advice, self._path))
                return os.EX_DATAERR
        self._say(f"the database {self._path} is fine: {jobs} jobs")
        return os.EX_OK

    # -- what is looked at -----------------------------------------------------------------------

    def _integrity(self) -> None:
        """What SQLite says of its pages and indexes."""
        for (text,) in self._guarded(f"PRAGMA integrity_check({SHOWN})"):
            self._integrity_lines(str(text).splitlines())

    def _integrity_lines(self, lines: list[str]) -> None:
        for line in lines:
            if line == "ok":
                continue
            # An index, or the counts, is wrong, and the rows themselves are whole.
            if "index" in line and ("missing from" in line or "wrong # of entries" in line or "non-unique" in line):
                self._bad_derived(line)
            elif "CHECK constraint failed" in line or "NULL value in" in line:
                self._bad_row(line)
            else:
                self._bad_page(line)

    def _jobs(self) -> int:
        """Every job, as the gate reads it and as people see it."""
        number = 0
        for row in self._by_id("check_jobs"):
            number += 1
            try:
                job_of(row[:-1])
            except UnreadableRow as error:
                self._bad_row(str(error))
                continue
            found = self._db.execute(self._sql["record"], {"id": row[0]}).fetchone()
            if found is None:
                self._bad_page(f"job {row[0]} is not found by its id")
                continue
            record = record_of(found)
            if record.reason.startswith("its row in the database"):
                self._bad_row(f"job {row[0]}: {record.reason}")
        return number

    def _attempts(self) -> None:
        after: tuple[object, object] = (-1, -1)
        while rows := list(self._guarded(self._sql["check_attempts"], job=after[0], number=after[1], limit=SLICE)):
            for job, *row in rows:
                if type(job) is not int or type(row[0]) is not int:
                    self._bad_row(f"job {job!r}: an attempt of it has the number {row[0]!r}")
                    return
                attempt = attempt_of(row)
                if attempt.message.startswith("cannot be read: "):
                    self._bad_row(f"job {job}: attempt {attempt.number} {attempt.message}")
            after = (rows[-1][0], rows[-1][1])

    def _relations(self) -> None:
        """What must agree with each other; in one transaction, so that a daemon at work changes nothing meanwhile."""
        self._db.execute("BEGIN")
        for queue, state, counted, there in self._guarded(self._sql["check_counts"]):
            self._bad_derived(f"queue {queue}: {counted} jobs are counted as {state}, there are {there}")
        for (job,) in self._guarded(self._sql["check_demands"]):
            self._bad_derived(f"job {job}: which tokens it takes is not noted as it is")
        for job, state in self._guarded(self._sql["check_running"]):
            under_way = "no attempt is under way" if state == State.RUNNING else "an attempt is under way"
            self._bad_row(f"job {job}: it is {state}, and {under_way}")
        for (job,) in self._guarded(self._sql["check_conditions"]):
            self._bad_row(f"job {job}: it waits for another one, and nothing says for which")
        self._db.execute("COMMIT")

    def _facts(self) -> None:
        """What the database says of itself, and of this gate."""
        for key, value in self._guarded(self._sql["check_facts"]):
            try:
                json_of(value)
            except (TypeError, ValueError, RecursionError):
                self._bad_page(f"{key!r} in the table meta cannot be read")
        for what, name, value in self._guarded(self._sql["check_settings"]):
            try:
                known = json_of(value)
            except (TypeError, ValueError, RecursionError):
                known = None
            if not isinstance(known, dict):
                self._by_hand += 1
                self._tell(self._by_hand, f"{what} {name!r} cannot be read")
        for (last,) in self._guarded(self._sql["last_id"]):
            if type(last) is not int:
                self._bad_derived(f"the last id in sqlite_sequence is {last!r}")

    # -- how -------------------------------------------------------------------------------------

    def _by_id(self, name: str) -> Iterator[Sequence[object]]:
        """Rows in the order of their ids; pages that cannot be read are stepped over, and told of."""
        after, step = 0, 1
        gap: int | None = None  # what cannot be read begins behind this id
        while True:
            try:
                limit = SLICE if gap is None else 1
                rows = self._db.execute(self._sql[name], {"after": after, "limit": limit}).fetchall()
            except sqlite3.Error as error:
                if not database.damage_of(self._path, error):
                    raise
                gap = after if gap is None else gap
                after, step = after + step, 2 * step
                if after > 2**62:
                    self._bad_page(f"jobs behind {gap} cannot be read: {error}")
                    return
                continue
            if gap is not None:
                end = f" and before {rows[0][0]}" if rows else ""
                self._bad_page(f"jobs behind {gap}{end}, if there are any, cannot be read")
                gap, step = None, 1
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def _guarded(self, sql: str, **values: object) -> Iterator[Sequence[object]]:
        """The rows of a statement as far as they can be read."""
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            if not database.damage_of(self._path, error):
                raise
            self._bad_page(str(error))

    def _bad_page(self, text: str) -> None:
        self._pages += 1
        self._tell(self._pages, text)

    def _bad_row(self, text: str) -> None:
        self._rows += 1
        self._tell(self._rows, text)

    def _bad_derived(self, text: str) -> None:
        self._derived += 1
        self._tell(self._derived, text)

    def _tell(self, number: int, text: str) -> None:
        if number <= SHOWN:
            self._say(printable(text))
        elif number == SHOWN + 1:
            self._say("... and more of this kind")
