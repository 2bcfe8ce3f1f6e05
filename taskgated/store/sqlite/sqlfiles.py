"""The SQL of the SQLite store, which lives in files: named statements, and numbered migrations."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from taskgated.store.sqlite.rows import COLUMNS

STATEMENTS = ("queries.sql", "after.sql")


@cache
def statements() -> dict[str, str]:
    """Those of ``STATEMENTS`` by name, with what they share and the columns of ``rows`` put in."""
    directory = resources.files(__package__).joinpath("sql")
    text = "\n".join(directory.joinpath(name).read_text("utf-8").partition("\n\n")[2] for name in STATEMENTS)
    pieces = re.split(r"^-- (name|shared): (\w+)\n", text, flags=re.MULTILINE)[1:]
    found = [(kind, name, body.strip()) for kind, name, body in zip(*(pieces[n::3] for n in range(3)), strict=True)]
    put_in = {columns: ", ".join(names) for columns, names in COLUMNS.items()}
    put_in |= {name: body for kind, name, body in found if kind == "shared"}
    return {
        name: re.sub(r"\{(\w+)\}", lambda part: put_in[part[1]], body) for kind, name, body in found if kind == "name"
    }


@cache
def migrations() -> list[tuple[int, str]]:
    found = []
    for entry in resources.files(__package__).joinpath("sql").iterdir():
        if match := re.fullmatch(r"(\d{3})-.*\.sql", entry.name):
            found.append((int(match[1]), entry.read_text("utf-8")))
    return sorted(found)
