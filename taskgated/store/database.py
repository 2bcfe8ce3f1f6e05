"""Opening the SQLite database: durable, with the newest schema, or with an error that says whether it may pass.

``synchronous=FULL`` with WAL makes a commit durable against power loss (https://sqlite.org/pragma.html#pragma_synchronous).
The schema is in ``sql/NNN-*.sql``, each file one migration.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

from taskgated.errors import Damaged, DiskTrouble, StoreError
from taskgated.store.sqlfiles import migrations

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is of a statement; ours are right for the schema, so then that is not what it was."""
as_text = methodcaller("decode", "utf-8", "surrogateescape")
"""A text may be damaged so that it is no UTF-8 any more. That is for whoever reads that row to say; by itself the
module would refuse the whole question."""

OPERATIONS = 1_000_000
"""Of the engine, between two words that a migration is at work: some ten milliseconds, more with a slow disk."""

HELP = "`taskgated --check-store` says what is wrong and what to do"


def connect(path: Path, *, read_only: bool, at_work: Callable[[], None] = lambda: None) -> sqlite3.Connection:
    """Raises ``DiskTrouble`` or another ``StoreError``. ``at_work`` is called again and again while a database of an
    earlier version becomes one of this: with a million jobs, on a slow disk, that takes minutes."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10)
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    try:
        _set_up(db, path, read_only, at_work)
    except sqlite3.Error as error:
        db.close()
        raise cannot_open(path, error) from error
    except StoreError:
        db.close()
        raise
    return db


def _set_up(db: sqlite3.Connection, path: Path, read_only: bool, at_work: Callable[[], None]) -> None:
    db.text_factory = as_text
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
        db.set_progress_handler(at_work, OPERATIONS)
        _migrate(db, path)
        db.set_progress_handler(None, 0)


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
    if damage := damage_of(path, error):
        return damage
    text = f"cannot open the database {path}: {error}"
    primary = _primary(error)
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskTrouble(text)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and _read_only(path.parent):
        return DiskTrouble(f"{text}: its file system is read-only")
    return StoreError(text)


def damage_of(path: Path, error: Exception) -> Damaged | None:
    """What an error says of the database itself; None if it says nothing against it."""
    if isinstance(error, Damaged):
        return error
    if isinstance(error, sqlite3.Error) and _primary(error) in _DAMAGE:
        return Damaged(f"the database {path} is damaged: {error}; {HELP}")
    return None


def names_of(path: Path, key: str, row: Sequence[Any] | None) -> Sequence[str]:
    """The names that are kept under a key. Raises ``Damaged``: what cannot be read does not pass for none."""
    try:
        return [] if row is None else [str(name) for name in json.loads(row[0])]
    except (TypeError, ValueError) as error:
        raise Damaged(f"the database {path} is damaged: {key} in meta: {error}; {HELP}") from error


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """For who asks the store at start, when nobody else is there to understand what its engine says."""
    try:
        yield
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error


def _primary(error: sqlite3.Error) -> int:
    """The kind of an error; the rest of its code says more (https://sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _read_only(directory: Path) -> bool:
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """What is asked within is of one moment."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
