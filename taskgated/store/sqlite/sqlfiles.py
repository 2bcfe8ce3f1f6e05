"""The SQL of the SQLite store, which lives in files: named statements, and numbered migrations."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from taskgated.store.sqlite.rows import COLUMNS

STATEMENTS = ("queries.sql", "after.sql")


@cache
def statements() -> dict[str, str]:
    """Those of ``STATEMENTS`` by name, with the columns of ``rows`` put in."""
    directory = resources.files(__package__).joinpath("sql")
    text = "\n".join(directory.joinpath(name).read_text("utf-8").partition("\n\n")[2] for name in STATEMENTS)
    pieces = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    for columns, names in COLUMNS.items():
        pieces[1::2] = [body.replace(f"{{{columns}}}", ", ".join(names)) for body in pieces[1::2]]
    return {name: body.strip() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


@cache
def migrations() -> list[tuple[int, str]]:
    found = []
    for entry in resources.files(__package__).joinpath("sql").iterdir():
        if match := re.fullmatch(r"(\d{3})-.*\.sql", entry.name):
            found.append((int(match[1]), entry.read_text("utf-8")))
    return sorted(found)
