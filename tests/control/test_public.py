"""What others are told of what a job waits for: nothing that the job itself has written."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from taskgated.control.reasons import with_numbers
from taskgated.control.views import HIDDEN, public
from taskgated.core.reasons import REASONS, ProbeSays, ProbeUsedUp, Reason
from tests.core.test_situation import sample

PUBLIC = {"queue", "owner", "token", "probe", "name", "stuck", "trouble"}
"""Texts in reasons that are of the configuration, of the host, or the names of jobs."""
OF_THE_GATE = (ProbeSays, ProbeUsedUp)
"""Reasons whose ``words`` are those of a probe of the configuration."""


@pytest.mark.parametrize("cls", REASONS)
def test_of_each_reason_only_what_is_no_secret(cls: type[Reason]) -> None:
    texts = [field.name for field in fields(cls) if field.type == "str"]
    secret = {name for name in texts if name not in PUBLIC and not (name == "words" and cls in OF_THE_GATE)}
    reason = replace(sample(cls), **{name: f"secret {name}" for name in texts})
    told = with_numbers(public(reason))
    assert {name for name in texts if told[name] == HIDDEN} == secret
    assert not any(f"secret {name}" in str(told) for name in secret)
    assert all(f"secret {name}" in str(told) for name in set(texts) - secret)
