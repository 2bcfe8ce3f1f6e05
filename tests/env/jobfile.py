"""What the tests of job files share: a configuration, and reading with it."""

from __future__ import annotations

import json

import pytest

from taskgated.core.job import Spec
from taskgated.errors import Refused
from taskgated.language.config import from_values
from taskgated.language.jobfile import read_file

RETRY = {"attempts": 3, "delay": 60.0}
CONFIG = from_values(
    {
        "tokens": {"db": 3},
        "queues": {
            "etl": {"defaults": {"priority": 60, "timeout": 7200.0, "retry": RETRY, "env": {"A": "1", "B": "2"}}},
            "late": {"defaults": {"delay": 60.0}},
            "scarce": {"tokens": {"db": 2}, "defaults": {"key": "k"}},
            "thumbs": {"handler": {"command": ("/opt/thumb.sh", "-i", "in={file}")}},
            "lines": {"handler": {"command": ("consume", "x={line}", "{line}")}, "defaults": {"priority": 7}},
        },
    }
)


def read(data: str | bytes, name: str = "x.yaml", queue: str = "default") -> list[Spec]:
    return read_file(name, data.encode() if isinstance(data, str) else data, queue, CONFIG)


def refused(data: str | bytes, name: str = "x.yaml", queue: str = "default") -> list[str]:
    """Each problem without its picture."""
    with pytest.raises(Refused) as caught:
        read(data, name, queue)
    return [str(problem).split("\n")[0] for problem in caught.value.problems]


def round_trips(spec: Spec) -> bool:
    return Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


FULL = {
    "name": "n", "command": ["a", "b c", ""], "env": {"A": "x"}, "cwd": "/tmp", "priority": 7, "timeout": "1h 30min",
    "kill_after": "5s", "linger": "2s", "warn": {"signal": "USR2", "before": "90s", "to": "group"},
    "retry": {"attempts": 3, "delay": "1min", "factor": 3, "max_delay": "2h", "jitter": 0},
    "success_exit_codes": [0, 3], "delay": 5, "expires": "1d", "interrupted": "fail", "output": {"max_size": "4K"},
    "tokens": {"db": 2}, "locks": {"exclusive": ["a:b"], "shared": ["/c"]}, "key": "k", "on_conflict": "once_more",
}  # fmt: skip
