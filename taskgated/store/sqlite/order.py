"""The order that the jobs of a store are in, as the store has it written down."""

from __future__ import annotations

import json
from typing import NamedTuple

from taskgated.store.sqlite.rows import json_of
from taskgated.store.sqlite.statements import Row
from taskgated.store.turns import AGEING


class Order(NamedTuple):
    """By which worth of a point of priority (seconds) turns are given; ``whole``: to all jobs that have one."""

    ageing: float
    whole: bool

    @classmethod
    def of(cls, row: Row | None) -> Order:
        """As it was kept. If that cannot be read: another than any, so that all are gone through."""
        if row is None:
            return cls(AGEING, whole=True)
        try:
            kept = json_of(row[0])
        except (TypeError, ValueError, RecursionError):
            kept = None
        match kept:
            case {"ageing": int() | float() as ageing, "whole": bool(whole)} if ageing >= 0:
                return cls(float(ageing), whole)
        return cls(AGEING, whole=False)

    @property
    def fact(self) -> str:
        return json.dumps(self._asdict())
