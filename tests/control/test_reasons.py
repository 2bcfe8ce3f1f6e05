"""What a job waits for, as people and programs are told: these words and sentences are part of the interface."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from taskgated.control.reasons import ADVICE, shown, with_numbers
from taskgated.core import reasons, shortages
from taskgated.core.after import When
from taskgated.core.kinds import Kind
from taskgated.core.machine import Figure, Tight
from taskgated.core.probe import Says
from taskgated.core.reasons import (
    REASONS,
    AboutToStart,
    AllBusy,
    AllPaused,
    ArrayFull,
    BreakerOpen,
    CanaryFirst,
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
    known_end,
)
from taskgated.core.state import State

TIGHT = (
    Tight(Figure.LOAD, 9.125, 8.0, 7.2),
    Tight(Figure.MEMORY, 3.25 * 2**30, 4 * 2**30, 4.4 * 2**30),
    Tight(Figure.IO_PRESSURE, 41.5, 40.0, 36.0),
)
SAMPLES: dict[object, object] = {
    bool: True,
    tuple[int, ...]: (4, 5),
    int: 3,
    int | None: 3,
    str: "etl",
    float: 60.0,
    Says: Says.CLOSED,
    tuple[Tight, ...]: TIGHT,
    When: When.OVER,
    State | None: State.RUNNING,
}


def sample(cls: type[Any]) -> Any:
    """One of a class of reasons, whatever its fields are."""
    hints = get_type_hints(cls)
    return cls(**{field.name: SAMPLES[hints[field.name]] for field in fields(cls)})


@pytest.mark.parametrize(
    ("reason", "kind", "text"),
    [
        (Held(), "held", "it is held until it is released"),
        (NotDue(2_345_678), "time", "it is due in 2.3 s"),
        (QueueFull("etl", 3, 2), "queue_limit", "queue etl runs 3 of at most 2"),
        (ArrayFull(7, 1), "queue_limit", "at most 1 job of array 7 may run at once, and others came first"),
        *(
            (reason, "after", text)
            for reason, text in (
                (
                    NotOver(3, "a", When.SUCCEEDED, State.RUNNING, False),
                    "job 3 (a) is running, and this one runs after that has succeeded",
                ),
                (
                    NotOver(3, "a", When.OVER, State.QUEUED, False),
                    "job 3 (a) is queued, and this one runs after that has ended",
                ),
                (
                    NotOver(3, "", When.FAILED, State.FAILED, False),
                    "job 3 has failed, and this one runs after that has failed",
                ),
                (
                    NotOver(3, "a", When.OVER, State.CANCELLED, False),
                    "job 3 (a) was cancelled, and this one runs after that has ended",
                ),
                (
                    NotOver(3, "a", When.SUCCEEDED, State.RUNNING, True),
                    "array 3 (a) is not over (one of its jobs is running), "
                    "and this one runs after that has succeeded",
                ),
                (
                    NotOver(3, "a", When.SUCCEEDED, None, True),
                    "array 3 (a) is not all taken in, and this one runs after that has succeeded",
                ),
                (
                    NotDropped("a", When.SUCCEEDED, 90_000_000),
                    "it runs after job a, and there is none of that name; "
                    "it is cancelled if none comes within 1min 30s",
                ),
                (
                    NotDropped("119", When.OVER, 1_000_000),
                    "it runs after job 119, and there is none of that name (in quotes it is a name; the job with "
                    "that id is 119 without them); it is cancelled if none comes within 1s",
                ),
            )
        ),
        (Paused("etl"), "paused", "queue etl is paused"),
        (AllPaused(), "paused", "all queues are paused"),
        (
            RateUsedUp("etl", 1, 90.0, 12_340_000),
            "rate",
            "queue etl may start 1 job per 1min 30s; the next may in 12.3 s",
        ),
        (
            RetriesUsedUp("etl", 0.2, 12.34),
            "rate",
            "it has failed before, and 20% of the starts of queue etl may be such; the next of them may in 12.3 s at"
            " the latest",
        ),
        (
            BreakerOpen("etl", 5, 61_000_000),
            "breaker",
            "queue etl is closed, as its jobs failed (5 in a row close it); one is tried in 61.0 s",
        ),
        (CanaryFirst("etl", 7), "breaker", "the jobs of queue etl failed; job 7 is tried first"),
        (NotThere(), "requires", "what it requires has not been looked for yet"),
        (NotThere("no such file", 3), "requires", "what it requires is not there: no such file (3 s ago)"),
        (NotThere("", 3), "requires", "what it requires is not there (3 s ago)"),
        (ProbeUnasked("p", ""), "probe", "probe p has not answered yet"),
        (
            ProbeUnasked("p", "7 (it waits)"),
            "probe",
            "probe p cannot be asked: what is left of it cannot be killed: process 7 (it waits)",
        ),
        (ProbeSays("p", Says.CLOSED, "", 0), "probe", "probe p says closed (0 s ago)"),
        (ProbeSays("p", Says.ERROR, "exit code 7", 3), "probe", "probe p failed: exit code 7 (3 s ago)"),
        (ProbeSays("p", Says.OPEN, "ok", 3), "probe", "probe p says open, and has to say so again: ok (3 s ago)"),
        (ProbeUsedUp("p", 1, "", 3), "probe", "probe p let 1 more job start, which has been done (3 s ago)"),
        (ProbeUsedUp("p", 0, "full", 3), "probe", "probe p lets none start: full (3 s ago)"),
        (
            OutsideWindows("etl", None, None),
            "window",
            "it is outside the windows of queue etl, and none of them opens any more",
        ),
        (MachineUnread("etl"), "machine", "how busy the machine is has not been looked at lately"),
        (
            MachineTight("etl", TIGHT),
            "machine",
            "the machine has no room for queue etl: the load is 9.12, and has to be below 7.2; 3.2G of memory are "
            "available, and 4.4G have to be; for a disk some task waited 41.5 % of the last 10 s, and that has to be "
            "less than 36 %",
        ),
        (
            LoadToCome("etl", 2.5, 6.25, 8.0),
            "machine",
            "the load is 2.50, and what runs since lately will bring 6.2 more; queue etl starts below 8",
        ),
        (
            JustStarted("etl", 1),
            "machine",
            "1 job of queue etl has just started: how the machine bears that is looked at before the next",
        ),
        (AllBusy(5, 4), "limit", "5 jobs of at most 4 run, over all queues"),
        (AllBusy(1, 1), "limit", "1 job of at most 1 runs, over all queues"),
        (NoWorker(1, 4), "workers", "no worker is there for it: 1 of 4 run jobs, another has to come first"),
        (Draining(), "stopping", "the daemon is stopping"),
        (NothingRecorded("the disk is full"), "machine", "the disk is full"),
        (NotItsTurn("etl", 1), "order", "1 job of queue etl comes first"),
        (
            NotItsTurn("etl", None),
            "order",
            "users share queue etl fairly: those who have used less of it may come first",
        ),
        (NotItsTurn("etl", 9), "order", "9 jobs of queue etl come first"),
        (NotItsTurn("etl", 10_000), "order", "more than 10000 jobs of queue etl come first"),
        (
            NotItsTurn("etl", 0),
            "order",
            "it is the next of queue etl: it starts now, unless better jobs of other queues do",
        ),
        (HeldBack("etl", 7), "order", "job 7 of queue etl has to start first, as the queue is strict"),
        (UserFull("root", 3, 2), "user_limit", "root runs 3 of at most 2, over all queues"),
        (UserFullInQueue("root", "etl", 1, 1), "user_limit", "root runs 1 of at most 1 in queue etl"),
        (AboutToStart(), "order", "its turn has come, and its start is being recorded"),
    ],
)
def test_words(reason: Reason, kind: str, text: str) -> None:
    assert shown(reason) == {"kind": kind, "text": text}


@pytest.mark.parametrize("cls", REASONS)
def test_every_reason_has_a_kind_and_words(cls: type[Reason]) -> None:
    told = with_numbers(reason := sample(cls))
    assert told["kind"] in list(Kind)
    assert told["text"] and told["text"] == shown(reason)["text"]
    assert told.keys() == {"kind", "text", *(field.name for field in fields(cls))}


def test_every_class_with_a_kind_is_a_reason() -> None:
    named = [*vars(reasons).values(), *vars(shortages).values()]
    there = {cls for cls in named if isinstance(cls, type) and hasattr(cls, "kind")}
    assert there == set(REASONS)


def test_every_kind_that_there_is_has_advice_and_no_other() -> None:
    assert ADVICE.keys() == {cls.kind for cls in REASONS}
    for means, do in ADVICE.values():
        assert means.endswith(".") and do.endswith(".")


def test_the_kinds_are_what_they_were() -> None:
    """Programs know them."""
    words = "held time queue_limit limit user_limit token lock key after requires window machine probe rate breaker"
    assert [str(kind) for kind in Kind] == [*words.split(), "paused", "workers", "order", "stopping"]


def test_numbers_are_told_and_times_in_seconds() -> None:
    assert with_numbers(QueueFull("etl", 3, 2)) == {
        "kind": "queue_limit", "text": "queue etl runs 3 of at most 2", "queue": "etl", "running": 3, "limit": 2,
    }  # fmt: skip
    assert with_numbers(NotDue(2_500_000))["left"] == 2.5
    outside = with_numbers(OutsideWindows("etl", 1_798_840_800_000_000, 1_500_000))
    assert (outside["opens"], outside["left"]) == ("2027-01-01T22:00:00.000000Z", 1.5)
    never = with_numbers(OutsideWindows("etl", None, None))
    assert never["opens"] is never["left"] is None


def test_when_a_window_opens_is_told_in_the_time_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        text = shown(OutsideWindows("etl", 1_798_840_800_000_000, 1_500_000))["text"]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text == "it is outside the windows of queue etl, which opens on Fri 2027-01-01 23:00:00 CET"


@pytest.mark.parametrize(
    ("found", "end"),
    [
        ([], 0),
        ([NotDue(5)], 5),
        ([NotDue(5), NotDue(7), NotDue(6)], 7),
        ([NotDue(5), Held()], None),
        ([QueueFull("etl", 1, 1)], None),
        ([NotDue(5), OutsideWindows("etl", 9, 7)], 7),
        ([OutsideWindows("etl", None, None)], None),
    ],
)
def test_an_end_is_known_if_that_of_each_is(found: list[Reason], end: int | None) -> None:
    assert known_end(found) == end
