"""Each key of the configuration is the gate's, or the host's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from taskgated.language.schema import config_schema, job_schema
from tests import REPOSITORY

HOST = {
    "workers",
    "stop_timeout",
    "on_stop",
    "max_file_size",
    "max_list_size",
    "rescan_interval",
    "settle_time",
    "ignore",
    "umask",
    "output",
    "retention.output",
}
GATE = {
    "limit",
    "user_limit",
    "ready_queue",
    "max_backlog",
    "user_backlog",
    "ageing",
    "foreign_directives",
    "shell",
    "after_timeout",
    "retention.age",
    "retention.count",
    "access",
    "users",
    "tokens",
    "queues",
    "probes",
}


def marks(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All that there are, by the keys that have them."""
    match schema:
        case dict():
            for name, inner in schema.get("properties", {}).items():
                if "x-scope" in inner:
                    yield f"{path}{name}", inner["x-scope"]
                yield from marks(inner, f"{path}{name}.")
            for word, inner in schema.items():
                if word != "properties":
                    yield from marks(inner, f"{path}*.")
        case list():
            for inner in schema:
                yield from marks(inner, path)


def test_every_key_is_of_one_of_them() -> None:
    """By itself, or with the key that it is in, never by both; these are the sets."""
    found = list(marks(config_schema()))
    assert sorted(name for name, _ in found) == sorted(GATE | HOST)
    assert {name for name, mark in found if mark == "host"} == HOST
    assert {name for name, mark in found if mark == "gate"} == GATE
    for name, key in config_schema()["properties"].items():
        inside = [f"{name}.{inner}" for inner in key.get("properties", {})]
        assert name in GATE | HOST or (inside and set(inside) <= GATE | HOST), name


def test_keys_of_jobs_are_of_neither() -> None:
    assert not list(marks(job_schema()))


def test_the_reference_says_which_are_the_hosts() -> None:
    text = (REPOSITORY / "etc" / "taskgated.yaml").read_text()
    said = re.search(r"Of the host are (.*?); all others", text.replace("\n# ", " "))
    assert said and set(re.split(r", | and ", said[1])) == HOST
