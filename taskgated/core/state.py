"""The states of a job. They stand alone, so that a program that only names them need not load all that a job is."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where a job is in its life; the words that ``list --json`` prints."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
