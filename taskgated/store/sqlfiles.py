"""The SQL of the SQLite store, which lives in files: named statements, and numbered migrations."""

from __future__ import annotations

import re
from importlib import resources


def statements() -> dict[str, str]:
    text = resources.files(__package__).joinpath("sql/queries.sql").read_text("utf-8")
    pieces = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def migrations() -> list[tuple[int, str]]:
    found = []
    for entry in resources.files(__package__).joinpath("sql").iterdir():
        if match := re.fullmatch(r"(\d{3})-.*\.sql", entry.name):
            found.append((int(match[1]), entry.read_text("utf-8")))
    return sorted(found)
