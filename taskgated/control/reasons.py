"""Why a job does not start now, in words: a sentence for people on each reason, and what to do about each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from taskgated.core.after import When, is_id
from taskgated.core.kinds import Kind
from taskgated.core.machine import Figure, Tight
from taskgated.core.probe import Says
from taskgated.core.reasons import (
    AboutToStart,
    AllBusy,
    AllPaused,
    ArrayFull,
    BreakerOpen,
    CanaryFirst,
    ConditionLost,
    Draining,
    Held,
    HeldBack,
    JustStarted,
    LoadToCome,
    MachineTight,
    MachineUnread,
    NotDropped,
    NotDue,
    NothingRecorded,
    NotItsTurn,
    NotOver,
    NotThere,
    NoWorker,
    OutsideWindows,
    Paused,
    ProbeSays,
    ProbeUnasked,
    ProbeUsedUp,
    QueueFull,
    RateUsedUp,
    Reason,
    RetriesUsedUp,
    UserFull,
    UserFullInQueue,
)
from taskgated.core.shortages import (
    BehindItsLine,
    KeyPromised,
    KeyTaken,
    Locked,
    LockPromised,
    Shortage,
    TokensPromised,
    TokensShort,
)
from taskgated.core.state import State
from taskgated.host.clock import MICROSECONDS, local, rfc3339
from taskgated.language import units
from taskgated.protocol.replies import ShownReason
from taskgated.store.byhand import COUNTED
from taskgated.text import counted


def worded(reason: Reason) -> str:
    if isinstance(reason, Shortage):
        return _shortage(reason)
    match reason:
        case Held():
            return "it is held until it is released"
        case NotDue(left):
            return f"it is due in {left / MICROSECONDS:.1f} s"
        case QueueFull(queue, running, limit):
            return f"queue {queue} runs {running} of at most {limit}"
        case UserFull(owner, running, limit):
            return f"{owner} runs {running} of at most {limit}, over all queues"
        case UserFullInQueue(owner, queue, running, limit):
            return f"{owner} runs {running} of at most {limit} in queue {queue}"
        case ArrayFull(array, at_most):
            return f"at most {counted(at_most, 'job')} of array {array} may run at once, and others came first"
        case NotOver() | NotDropped() | ConditionLost():
            return _condition(reason)
        case Paused(queue):
            return f"queue {queue} is paused"
        case AllPaused():
            return "all queues are paused"
        case RateUsedUp(queue, starts, per, left):
            text = f"queue {queue} may start {counted(starts, 'job')} per {units.format_duration(per)}"
            return f"{text}; the next may in {left / MICROSECONDS:.1f} s"
        case RetriesUsedUp(queue, share, next_):
            return (
                f"it has failed before, and {share:.0%} of the starts of queue {queue} may be such;"
                f" the next of them may in {next_:.1f} s at the latest"
            )
        case BreakerOpen(queue, failures, left):
            text = f"queue {queue} is closed, as its jobs failed ({failures} in a row close it)"
            return f"{text}; one is tried in {left / MICROSECONDS:.1f} s"
        case CanaryFirst(queue, job):
            return f"the jobs of queue {queue} failed; job {job} is tried first"
        case ProbeUnasked(probe, stuck):
            if stuck:
                return f"probe {probe} cannot be asked: what is left of it cannot be killed: process {stuck}"
            return f"probe {probe} has not answered yet"
        case ProbeSays(probe, answer, words, age):
            said = _PROBES[answer] + f": {words}" * bool(words)
            return f"probe {probe} {said} ({age} s ago)"
        case ProbeUsedUp(probe, allowed, words, age):
            why = f": {words}" * bool(words)
            if not allowed:
                return f"probe {probe} lets none start{why} ({age} s ago)"
            return f"probe {probe} let {counted(allowed, 'more job')} start, which has been done{why} ({age} s ago)"
        case OutsideWindows(queue, opens):
            then = "and none of them opens any more" if opens is None else f"which opens on {local(opens)}"
            return f"it is outside the windows of queue {queue}, {then}"
        case MachineUnread():
            return "how busy the machine is has not been looked at lately"
        case MachineTight(queue, figures):
            return f"the machine has no room for queue {queue}: {'; '.join(map(_tight, figures))}"
        case LoadToCome(queue, load, coming, bound):
            text = f"the load is {load:.2f}, and what runs since lately will bring {coming:.1f} more"
            return f"{text}; queue {queue} starts below {bound:g}"
        case JustStarted(queue, allowed):
            has = "has" if allowed == 1 else "have"
            text = f"{counted(allowed, 'job')} of queue {queue} {has} just started"
            return f"{text}: how the machine bears that is looked at before the next"
        case NotThere(words, None):
            return "what it requires has not been looked for yet"
        case NotThere(words, age):
            return f"what it requires is not there{f': {words}' if words else ''} ({age} s ago)"
        case AllBusy(running, limit):
            run = "runs" if running == 1 else "run"
            return f"{counted(running, 'job')} of at most {limit} {run}, over all queues"
        case NoWorker(running, workers):
            return f"no worker is there for it: {running} of {workers} run jobs, another has to come first"
        case Draining():
            return "the daemon is stopping"
        case NothingRecorded(trouble):
            return trouble
        case NotItsTurn(queue, None):
            return f"users share queue {queue} fairly: those who have used less of it may come first"
        case NotItsTurn(queue, before):
            if not before:
                return f"it is the next of queue {queue}: it starts now, unless better jobs of other queues do"
            come = "comes" if before == 1 else "come"
            more = "more than " * (before >= COUNTED)
            return f"{more}{counted(before, 'job')} of queue {queue} {come} first"
        case HeldBack(queue, job):
            return f"job {job} of queue {queue} has to start first, as the queue is strict"
        case AboutToStart():
            return "its turn has come, and its start is being recorded"


def _condition(reason: NotOver | NotDropped | ConditionLost) -> str:
    match reason:
        case NotOver(job, name, when, state, array):
            what = f"{'array' if array else 'job'} {job}" + f" ({name})" * bool(name)
            return f"{what} {_stands(state, array)}, and this one runs after that has {_ENDED[when]}"
        case NotDropped(name, _, patience):
            within = units.format_duration(float(patience // MICROSECONDS))
            until = f"it is cancelled if none comes within {within}"
            meant = f" (in quotes it is a name; the job with that id is {name} without them)" * is_id(name)
            return f"it runs after job {name}, and there is none of that name{meant}; {until}"
        case ConditionLost():
            return (
                "it runs after another job, and the database does not say any more after which:"
                " taskgatectl cancel ends it, and retry has it run"
            )


def _tight(tight: Tight) -> str:
    match tight.figure:
        case Figure.LOAD:
            return f"the load is {tight.value:.2f}, and has to be below {tight.until:g}"
        case Figure.MEMORY:
            value, until = (units.format_size_about(int(number)) for number in (tight.value, tight.until))
            return f"{value} of memory are available, and {until} have to be"
        case figure:
            text = f"for {figure.resource} some task waited {tight.value:g} % of the last 10 s"
            return f"{text}, and that has to be less than {tight.until:g} %"


def _shortage(reason: Shortage) -> str:
    match reason:
        case TokensShort(token, needed, _, total) if needed > total:
            return (
                f"it takes {needed} of the tokens {token}, and there are {total} in all now: it cannot start as it is"
            )
        case TokensShort(token, needed, free, total):
            text = f"it takes {needed} of the tokens {token}, and {free} of {total} are free"
            have = "has" if reason.holders == 1 else "have"
            return f"{text}; {_jobs(reason.holders, reason.held_by)} {have} the others" if reason.holders else text
        case Locked(lock, shared, holders, held_by):
            have = "has it for itself" if shared else "has it" if holders == 1 else "have it"
            return f"it {'shares' if shared else 'locks'} {lock}, and {_jobs(holders, held_by)} {have}"
        case KeyTaken(key, held_by):
            return f"{_jobs(1, held_by)}, with its key {key}, runs"
        case TokensPromised(token, before):
            return f"the tokens {token} that are free are for job {before}, which comes first and needs more of them"
        case LockPromised(lock, before):
            return f"job {before}, which comes first, waits for {lock}"
        case KeyPromised(key, before):
            return f"job {before} has the same key {key}, and comes first"
        case BehindItsLine():
            return "others that need the same come first, as many as could run at once"


def _jobs(number: int, some: Sequence[int]) -> str:
    """So many, and which some of them are."""
    if not some:
        return counted(number, "other job")
    named, rest = ", ".join(map(str, some)), number - len(some)
    if rest > 0:
        return f"jobs {named} and {rest} more"
    return f"job {named}" if len(some) == 1 else f"jobs {' and '.join(named.rsplit(', ', 1))}"


_ENDED = {When.SUCCEEDED: "succeeded", When.FAILED: "failed", When.OVER: "ended"}


def _stands(state: State | None, array: bool) -> str:
    if state is None:
        return "is not all taken in"
    verb = "has" if state in (State.SUCCEEDED, State.FAILED) else "was" if state is State.CANCELLED else "is"
    return f"{verb} {state}" if not array or state.final else f"is not over (one of its jobs is {state})"


def shown(reason: Reason) -> ShownReason:
    return {"kind": reason.kind, "text": worded(reason)}


def closed(queue: str | None, reason: Reason) -> ShownReason:
    """Of a queue of which nothing may start; the sentence has its name."""
    match reason:
        case OutsideWindows(_, opens):
            then = "none of them opens any more" if opens is None else f"the next opens on {local(opens)}"
            return {"kind": reason.kind, "text": f"queue {queue}: none of its windows is open, and {then}"}
        case ProbeUnasked() | ProbeSays() | ProbeUsedUp():
            return {"kind": reason.kind, "text": f"queue {queue}: {worded(reason)}"}
        case _:
            return shown(reason)


def with_numbers(reason: Reason) -> dict[str, object]:
    """The same with what the reason holds; durations in seconds, times as RFC 3339."""
    values = asdict(reason)
    for name in ("left", "patience"):
        if values.get(name) is not None:
            values[name] /= MICROSECONDS
    if "opens" in values:
        values["opens"] = rfc3339(values["opens"])
    return {**shown(reason), **values}


_PROBES = {
    Says.OPEN: "says open, and has to say so again",
    Says.CLOSED: "says closed",
    Says.ERROR: "failed",
}

ADVICE: dict[Kind, tuple[str, str]] = {
    Kind.HELD: (
        "It is held.",
        "taskgatectl release lets it go.",
    ),
    Kind.TIME: (
        "Its time has not come: not_before, delay, or the pause before a further attempt.",
        "Wait; left says how long. taskgatectl retry ends the pause.",
    ),
    Kind.QUEUE_LIMIT: (
        "As many jobs of its queue (limit), or of its array (at_most), run as may.",
        "Wait for one of them to end, or raise the limit.",
    ),
    Kind.AFTER: (
        "It runs after another job (after), which has not ended as it should.",
        "Wait for that one; where there is none of that name, drop it. taskgatectl why says which.",
    ),
    Kind.LIMIT: (
        "As many jobs run as may over all queues.",
        "Wait for one of them to end, or raise limit, or workers.",
    ),
    Kind.USER_LIMIT: (
        "As many jobs of its user run as one may, over all queues or in its queue (user_limit).",
        "Wait for one of them to end, or raise the limit.",
    ),
    Kind.TOKEN: (
        "It takes more tokens than are free, or those that are free are for a job that comes first.",
        "Wait for others to give theirs back, take fewer, or raise the total; status says where it is set by hand.",
    ),
    Kind.LOCK: (
        "It locks a name that another job has locked, or that one which comes first waits for.",
        "Wait for the jobs that have it: held_by has the first of them.",
    ),
    Kind.KEY: (
        "Another job with its key runs, or comes first.",
        "Wait for that job; with on_conflict: skip or replace, jobs of one key do not pile up.",
    ),
    Kind.MACHINE: (
        "The host has no room for it: it is too busy for its queue (machine), or the disk of the gate takes no record"
        " of a start.",
        "Wait for it to have less to do, or change the bound; see what status says of the disk.",
    ),
    Kind.RATE: (
        "As many jobs of its queue have started as may within a time (rate), or as many of those that have failed "
        "before (retry_budget).",
        "Wait; left says how long. Or raise it.",
    ),
    Kind.BREAKER: (
        "Jobs of its queue failed one after the other, and closed it (breaker).",
        "See why they failed; once one that is tried succeeds, the others go on. taskgatectl resume opens it now.",
    ),
    Kind.PAUSED: (
        "Its queue is paused by hand, or all queues are.",
        "taskgatectl resume QUEUE, or without a name for all; status says who has paused it, and since when.",
    ),
    Kind.PROBE: (
        "The probe of its queue says closed, has failed, or has not answered yet; or as many started as it allowed.",
        "Wait; status says what it said last. It is asked again by itself.",
    ),
    Kind.WINDOW: (
        "Its queue is closed at this time of day, or on this day.",
        "Wait; opens says when it may start. Or change the windows of its queue.",
    ),
    Kind.REQUIRES: (
        "What its requires looks for was not there at the last look.",
        "Wait; it is looked again by itself. words has what the command said.",
    ),
    Kind.WORKERS: (
        "Another job may run, and no worker process is there for it.",
        "Workers come by themselves; where they cannot, status says why.",
    ),
    Kind.ORDER: (
        "Others go first: those of a higher priority, and older ones; in a strict queue, also one that cannot start.",
        "Wait, or give it a higher priority.",
    ),
    Kind.STOPPING: (
        "The daemon is stopping, and starts nothing more.",
        "Start it again; the job is kept.",
    ),
}
"""What a reason of each kind that there is means, and what people can do about it; for the manual page."""
