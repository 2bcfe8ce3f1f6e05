"""A spec as it is kept, and sent to workers."""

from __future__ import annotations

from taskgated.core.job import Output, Retry, Spec
from tests.store.jobs import spec


def test_only_what_differs_is_written() -> None:
    """A worker of an earlier version does not know what came later, and need not where nobody uses it."""
    some = spec(output=Output(max_size=5), retry=Retry(attempts=3))
    assert some.to_json() == {"command": "true", "output": {"max_size": 5}, "retry": {"attempts": 3}}
    assert Spec.from_json(some.to_json()) == some
