"""Opening the SQLite database: durable, with the newest schema, or with an error that says whether it may pass.

``synchronous=FULL`` with WAL makes a commit durable against power loss
(https://sqlite.org/pragma.html#pragma_synchronous). The schema is in ``sql/NNN-*.sql``, each file one migration.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path

from taskgated.errors import Damaged, DiskTrouble, Impossible, StoreError
from taskgated.store.sqlite.rows import json_of
from taskgated.store.sqlite.sqlfiles import migrations

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is of a statement; ours are right for the schema, so then that is not what it was."""
as_text = methodcaller("decode", "utf-8", "surrogateescape")
"""A text may be damaged so that it is no UTF-8 any more. That is for the reader of that row to say; by itself the
module would refuse the whole question."""

OPERATIONS = 1_000_000
"""Of SQLite's, between two words that a migration is at work: some ten milliseconds, more with a slow disk."""

CACHE, CACHE_OF_VIEW = 8192, 2048
"""KiB: the memory that a backlog may cost."""

HELP = "`taskgated --check-store` says what is wrong and what to do"


def view(path: Path) -> sqlite3.Connection:
    """For reading alone; the database is there, and up to date. Raises ``DiskTrouble`` or another ``StoreError``."""
    return _connect(path, lambda db: _set_up(db, path, None))


def open_up(path: Path, at_work: Callable[[], None] = lambda: None) -> sqlite3.Connection:
    """To be written by this connection alone. Raises ``DiskTrouble`` or another ``StoreError``. ``at_work`` is called
    again and again while a database of an earlier version becomes one of this: with a million jobs, on a slow disk,
    that takes minutes."""
    return _connect(path, lambda db: _set_up(db, path, at_work))


def _connect(path: Path, set_up: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10)
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    try:
        set_up(db)
    except sqlite3.Error as error:
        db.close()
        raise cannot_open(path, error) from error
    except StoreError:
        db.close()
        raise
    return db


def _set_up(db: sqlite3.Connection, path: Path, at_work: Callable[[], None] | None) -> None:
    """``at_work``: None for a view."""
    db.text_factory = as_text
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # Checkpoints read back what was written: rare and large is cheaper than frequent and small.
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute(f"PRAGMA cache_size = -{CACHE if at_work is not None else CACHE_OF_VIEW}")
    if at_work is None:
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
    """A full or failing disk may recover, a read-only one be mounted anew; all else a person has to mend."""
    if damage := damage_of(path, error):
        return damage
    text = f"cannot open the database {path}: {error}"
    primary = _primary(error)
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskTrouble(text)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and _read_only(path.parent):
        return DiskTrouble(f"{text}: its file system is read-only")
    return StoreError(text)


CAUGHT = (sqlite3.Error, OverflowError, UnicodeError)
"""What ``sqlite3`` raises, for a statement, a row, or a value that it cannot even hand over."""
_HOPELESS = (
    sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError,
    UnicodeError,
)  # fmt: skip
"""What it says of a statement or a value; all else it says of the database, or of its disk, and that may pass."""


def translated(path: Path, error: Exception) -> StoreError:
    """What SQLite said while the store is at work, as the contract has it."""
    if isinstance(error, _HOPELESS):
        return Impossible(f"the store cannot do that: {error}")
    return damage_of(path, error) or DiskTrouble(str(error))


def damage_of(path: Path, error: Exception) -> Damaged | None:
    """What an error of ``sqlite3`` says of the database itself; None if it says nothing against it."""
    if isinstance(error, sqlite3.Error) and _primary(error) in _DAMAGE:
        return Damaged(f"the database {path} is damaged: {error}; {HELP}")
    return None


def names_of(path: Path, key: str, row: Sequence[object] | None) -> Sequence[str]:
    """The names that are kept under a key. Raises ``Damaged``: what cannot be read does not pass for none."""
    try:
        names = [] if row is None else json_of(row[0])
        if not isinstance(names, list):
            raise TypeError("it is no list")
        return [str(name) for name in names]
    except (TypeError, ValueError) as error:
        raise Damaged(f"the database {path} is damaged: {key} in meta: {error}; {HELP}") from error


def last_id_of(path: Path, row: Sequence[object] | None) -> int:
    """The highest id that was given (https://sqlite.org/autoinc.html); 0 if none was. Raises ``Damaged``: by a guess
    an id could be given twice."""
    last = 0 if row is None else row[0]
    if type(last) is not int:
        raise Damaged(f"the database {path} is damaged: the last id in sqlite_sequence is {last!r}; {HELP}")
    return last


@contextmanager
def as_when_opened(path: Path) -> Iterator[None]:
    """For questions at the start: what keeps them from an answer is said as when the database cannot be opened."""
    try:
        yield
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            raise cannot_open(path, error.__cause__) from error
        raise


def _primary(error: sqlite3.Error) -> int:
    """The kind of an error; the rest of its code says more (https://sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _read_only(directory: Path) -> bool:
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False
