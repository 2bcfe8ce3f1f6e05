"""What kinds of reasons keep a job from starting."""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """What is in the way: words for programs, which stay as they are. A reason has one; several reasons may have the
    same."""

    HELD = "held"
    TIME = "time"
    QUEUE_LIMIT = "queue_limit"
    LIMIT = "limit"
    USER_LIMIT = "user_limit"
    TOKEN = "token"
    LOCK = "lock"
    KEY = "key"
    AFTER = "after"
    REQUIRES = "requires"
    WINDOW = "window"
    MACHINE = "machine"
    PROBE = "probe"
    RATE = "rate"
    BREAKER = "breaker"
    PAUSED = "paused"
    WORKERS = "workers"
    ORDER = "order"
    STOPPING = "stopping"
