"""Running the named statements of ``sql/queries.sql``. What goes wrong is said in our errors, also while rows are
fetched: no error of ``sqlite3`` leaves this package."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskgated.store.sqlite.database import CAUGHT, translated
from taskgated.store.sqlite.sqlfiles import statements

Row = tuple[Any, ...]
"""What SQLite has in the columns of a row: of any type, whatever the schema says."""


class Statements:
    """The statements on one connection. Each is named, and takes its values by name."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._sql = statements()

    def run(self, name: str, /, **values: object) -> int:
        """Returns how many rows it has changed."""
        try:
            return self._db.execute(self._sql[name], values).rowcount
        except CAUGHT as error:
            raise translated(self._path, error) from error

    def insert(self, name: str, /, **values: object) -> int:
        """Returns the id of the new row."""
        try:
            id_ = self._db.execute(self._sql[name], values).lastrowid
        except CAUGHT as error:
            raise translated(self._path, error) from error
        assert id_ is not None
        return id_

    def one(self, name: str, /, **values: object) -> Row | None:
        """The first row, if there is one."""
        try:
            row: Row | None = self._db.execute(self._sql[name], values).fetchone()
            return row
        except CAUGHT as error:
            raise translated(self._path, error) from error

    def only(self, name: str, /, **values: object) -> Row:
        """The row of a statement that always has one."""
        row = self.one(name, **values)
        assert row is not None
        return row

    def rows(self, name: str, /, **values: object) -> list[Row]:
        """All rows; a statement that changes something has changed all of it when this returns."""
        try:
            return self._db.execute(self._sql[name], values).fetchall()
        except CAUGHT as error:
            raise translated(self._path, error) from error

    def each(self, name: str, /, **values: object) -> Iterator[Row]:
        """The rows, one at a time, for where they may be many."""
        try:
            yield from self._db.execute(self._sql[name], values)
        except CAUGHT as error:
            raise translated(self._path, error) from error

    def execute(self, sql: str) -> None:
        """A statement about transactions."""
        try:
            self._db.execute(sql)
        except CAUGHT as error:
            raise translated(self._path, error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is asked within is of one moment."""
        if self._db.in_transaction:
            yield
            return
        self.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
