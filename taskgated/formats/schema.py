"""The JSON Schemas of job files and configuration, for editors; made from the declarations that check."""

from __future__ import annotations

import json
from typing import Any

from taskgated.formats.declare import schema_of
from taskgated.formats.keys import JOB

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def job_schema() -> dict[str, Any]:
    job = schema_of(JOB)
    job["oneOf"] = [{"required": ["command"]}, {"required": ["script"]}]
    job["not"] = {"required": ["not_before", "delay"]}
    return {
        "$schema": _DIALECT,
        "title": "taskgated job file",
        "anyOf": [
            {"$ref": "#/$defs/job"},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/job"}},
        ],
        "$defs": {"job": job},
    }


def config_schema() -> dict[str, Any]:
    from taskgated.config import KEYS

    return {"$schema": _DIALECT, "title": "taskgated configuration", **schema_of(KEYS)}


def dump(schema: dict[str, Any]) -> str:
    """As it is shipped."""
    return json.dumps(schema, indent=2) + "\n"
