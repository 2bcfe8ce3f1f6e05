"""The JSON Schemas of job files and configuration, for editors; made from the declarations that check."""

from __future__ import annotations

import json

from taskgated.language.configkeys import KEYS
from taskgated.language.declare import Schema, schema_of
from taskgated.language.keys import EXCLUSIVE, JOB

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def job_schema() -> Schema:
    job = schema_of(JOB)
    job["oneOf"] = [{"required": ["command"]}, {"required": ["script"]}]
    job["not"] = {"required": sorted(EXCLUSIVE, reverse=True)}
    return {
        "$schema": _DIALECT,
        "title": "taskgated job file",
        "anyOf": [
            {"$ref": "#/$defs/job"},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/job"}},
        ],
        "$defs": {"job": job},
    }


def config_schema() -> Schema:
    return {"$schema": _DIALECT, "title": "taskgated configuration", **schema_of(KEYS)}


def dump(schema: Schema) -> str:
    """As it is shipped."""
    return json.dumps(schema, indent=2) + "\n"
