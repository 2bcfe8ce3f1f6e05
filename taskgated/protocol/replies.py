"""What the daemon replies at its control socket, for both ends: ``io.taskgate.Gate`` in Python's types.

People and other programs have it as ``control/io.taskgate.Gate.varlink``, where the fields are explained; these types
say the same, field by field. A reply is a dictionary, as JSON has it, so ``--json`` prints what a later daemon adds.
``NotRequired`` is what a daemon of an earlier version leaves out; this version always says it.
"""

# The annotations are looked at when a class is made (PEP 655), so they may not be put off: no ``annotations`` of
# ``__future__`` here.

from collections.abc import Mapping
from typing import Generic, NotRequired, TypedDict, TypeGuard, TypeVar

PAGE = 500
"""Jobs that one answer of ``List`` has at most, and that one call of ``Wait`` waits for at most."""

# -- errors --------------------------------------------------------------------------------------

NO_SUCH_JOB = "NoSuchJob"
NO_SUCH_ARRAY = "NoSuchArray"
NO_SUCH_QUEUE = "NoSuchQueue"
NOT_POSSIBLE = "NotPossible"
"""The error of a verb that does not go with the state of the job."""
UNAVAILABLE = "Unavailable"
"""The error of a question that cannot be answered now, and may well be later."""
BAD_CONFIGURATION = "BadConfiguration"
"""The error of a configuration that is not usable; its message has a line for each problem."""

# -- what replies are made of --------------------------------------------------------------------


class ShownCondition(TypedDict):
    """``Condition`` of the interface."""

    job: int | None
    name: str
    when: str
    state: str | None
    array: bool
    left: float | None


class ShownJob(TypedDict):
    """``Job`` of the interface."""

    id: int
    name: str
    queue: str
    state: str
    priority: int
    attempt: int
    failures: int
    exit_code: int | None
    signal: int | None
    result: str | None
    reason: str
    source: str
    source_bytes: NotRequired[str | None]
    owner: int
    user: NotRequired[str | None]
    submitted: str
    started: str | None
    finished: str | None
    due: str | None
    array: NotRequired[int | None]
    after: NotRequired[list[ShownCondition] | None]


class ShownAttempt(TypedDict):
    """``Attempt`` of the interface."""

    number: int
    started: str
    finished: str | None
    result: str | None
    exit_code: int | None
    signal: int | None
    user: float
    system: float
    max_rss: int
    output: int
    omitted: int
    message: str
    log: str


class ShownReason(TypedDict):
    """``Reason`` of the interface."""

    kind: str
    text: str


class ShownWorker(TypedDict):
    """``Worker`` of the interface."""

    pid: int
    state: str
    job: int | None


class ShownQueue(TypedDict):
    """``Queue`` of the interface."""

    name: str
    limit: int | None
    queued: int
    held: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    configured: NotRequired[bool]
    blocked: NotRequired[dict[str, int]]


class ShownClosed(TypedDict):
    """``Closed`` of the interface."""

    queue: str | None
    kind: str
    text: str


class ShownTokens(TypedDict):
    """``Tokens`` of the interface."""

    name: str
    total: int
    free: int


class ShownNeverJob(TypedDict):
    """``NeverJob`` of the interface."""

    id: int
    text: str


class ShownNever(TypedDict):
    """``Never`` of the interface."""

    kind: str
    of: str | None
    jobs: int
    more: bool
    text: str
    some: list[ShownNeverJob]


class ShownOverride(TypedDict):
    """``Override`` of the interface."""

    kind: str
    of: str | None
    value: int | None
    at: str
    by: int
    user: NotRequired[str | None]
    text: str


class ShownProbe(TypedDict):
    """``Probe`` of the interface."""

    name: str
    state: str
    answer: str | None
    words: str
    asked: str | None
    allowance: int | None
    queues: list[str]


class ShownFiles(TypedDict):
    """``Files`` of the interface."""

    queue: str
    waiting: int
    ending: str
    oldest: str | None
    hint: str
    left_alone: int


# -- the reply of each method --------------------------------------------------------------------


class StatusReply(TypedDict):
    ready: bool
    text: str
    version: str
    pid: int
    counts: dict[str, int]
    workers: list[ShownWorker]
    queues: list[ShownQueue]
    more_queues: NotRequired[int | None]
    ready_queue: list[int]
    oldest: str | None
    problems: list[str]
    notes: NotRequired[list[str] | None]
    files: NotRequired[list[ShownFiles] | None]
    overrides: NotRequired[list[ShownOverride] | None]
    closed: NotRequired[list[ShownClosed] | None]
    probes: NotRequired[list[ShownProbe] | None]
    never: NotRequired[list[ShownNever] | None]
    tokens: NotRequired[list[ShownTokens] | None]


class ListReply(TypedDict):
    jobs: list[ShownJob]
    next: int | None
    coming: NotRequired[int | None]
    unknown: NotRequired[list[str] | None]


class ShowReply(TypedDict):
    job: ShownJob
    attempts: list[ShownAttempt]
    earlier: NotRequired[int | None]
    spec: dict[str, object] | None
    unreadable: NotRequired[str | None]
    output_removed: NotRequired[str | None]
    kept: NotRequired[str | None]
    waits_for: list[ShownReason]


class WhyReply(TypedDict):
    id: int
    state: str
    reasons: list[dict[str, object]]
    position: int | None
    estimate: float | None
    note: str


class LogsReply(TypedDict):
    attempt: int
    data: str
    next: int
    over: bool
    last: NotRequired[int]
    state: NotRequired[str]
    output_removed: NotRequired[str | None]
    stdout: NotRequired[str | None]
    stderr: NotRequired[str | None]


class WaitReply(TypedDict):
    jobs: list[ShownJob]


class JobReply(TypedDict):
    """Of each method that changes one job: that one, as it is then."""

    job: ShownJob


class CancelArrayReply(TypedDict):
    cancelled: int
    ending: int
    coming: int


class PauseReply(TypedDict):
    paused: list[str]
    all: bool


class ResumeReply(TypedDict):
    paused: list[str]
    all: bool
    opened: list[str]


class LimitReply(TypedDict):
    limit: int | None
    configured: int | None
    auto: int | None
    by_hand: int | None
    notes: list[str]


class TokensReply(TypedDict):
    total: int
    configured: int


class ReloadReply(TypedDict):
    notes: NotRequired[list[str] | None]


# -- methods -------------------------------------------------------------------------------------


class _Reply(TypedDict):
    """Any of these."""


R = TypeVar("R", bound=_Reply)


class Operation(Generic[R]):
    """A method of the interface: its name, and the type of what is replied to it."""

    def __init__(self, name: str, reply: type[R]) -> None:
        self.name = name
        self.reply = reply
        self._always: frozenset[str] = vars(reply)["__required_keys__"]  # (mypy knows no such attribute of a type[R])

    def is_reply(self, parameters: Mapping[str, object]) -> TypeGuard[R]:
        """Whether a daemon of any version may reply so: the fields are there that all of them have. What is in these
        is not looked at, as a listing has a million jobs; the daemon says what its types say."""
        return self._always <= parameters.keys()


STATUS = Operation("Status", StatusReply)
LIST = Operation("List", ListReply)
SHOW = Operation("Show", ShowReply)
WHY = Operation("Why", WhyReply)
LOGS = Operation("Logs", LogsReply)
WAIT = Operation("Wait", WaitReply)
CANCEL = Operation("Cancel", JobReply)
CANCEL_ARRAY = Operation("CancelArray", CancelArrayReply)
PAUSE = Operation("Pause", PauseReply)
RESUME = Operation("Resume", ResumeReply)
LIMIT = Operation("Limit", LimitReply)
TOKENS = Operation("Tokens", TokensReply)
HOLD = Operation("Hold", JobReply)
RELEASE = Operation("Release", JobReply)
RETRY = Operation("Retry", JobReply)
MOVE = Operation("Move", JobReply)
PRIORITIZE = Operation("Prioritize", JobReply)
RELOAD = Operation("Reload", ReloadReply)
