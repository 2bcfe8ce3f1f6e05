"""Opening the SQLite database: durable, with the newest schema, or with an error that says whether it may pass.

``synchronous=FULL`` with WAL makes a commit durable against power loss (https://sqlite.org/pragma.html#pragma_synchronous).
The schema is in ``sql/NNN-*.sql``, each file one migration.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from taskgated.errors import DiskTrouble, StoreError
from taskgated.store.sqlfiles import migrations


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Raises ``DiskTrouble`` or another ``StoreError``."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10)
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    try:
        _set_up(db, path, read_only)
    except sqlite3.Error as error:
        db.close()
        raise cannot_open(path, error) from error
    except StoreError:
        db.close()
        raise
    return db


def _set_up(db: sqlite3.Connection, path: Path, read_only: bool) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # Checkpoints read back what was written: rare and large is cheaper than frequent and small.
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute("PRAGMA cache_size = -8192")  # KiB: the memory that a backlog may cost
    if read_only:
        db.execute("PRAGMA query_only = ON")
    else:
        # What an earlier daemon could not sync may be in the log all the same, as the kernel remembers it, and would
        # be a hole in it after a power cut, with all that comes behind it lost (fsync(2), "errors"). So nothing comes
        # behind it: the log goes into the database, which is synced, and begins anew.
        db.execute("PRAGMA wal_checkpoint = TRUNCATE").fetchall()
        _migrate(db, path)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise StoreError(
            f"the database {path} has schema {version}, this program knows up to {newest}: "
            "it was written by a newer taskgated; install that version again, or move the database away"
        )
    for number, script in known:
        if number <= version:
            continue
        db.execute("BEGIN EXCLUSIVE")
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                db.execute(statement)
                statement = ""
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")


def cannot_open(path: Path, error: sqlite3.Error) -> StoreError:
    """A full or failing disk may recover, a read-only one be mounted anew; all else is for somebody to mend."""
    text = f"cannot open the database {path}: {error}"
    primary = (
        getattr(error, "sqlite_errorcode", 0) & 0xFF
    )  # the rest of it says more (https://sqlite.org/rescode.html)
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskTrouble(text)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and _read_only(path.parent):
        return DiskTrouble(f"{text}: its file system is read-only")
    return StoreError(text)


def _read_only(directory: Path) -> bool:
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False
