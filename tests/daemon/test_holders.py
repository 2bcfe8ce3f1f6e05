"""Who has what a job waits for, and how much of it there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskgated.control.reasons import worded
from taskgated.core.shortages import KeyTaken, Locked, TokensShort
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]

HOLD = "sleep 600"


def fill(gate: GateEnv, jobs: str, running: int) -> None:
    """These jobs are taken in, and so many of them run."""
    gate.drop("a.yaml", jobs)
    until(lambda: gate.status()["counts"]["running"] == running, "they run")


def why(gate: GateEnv, job: int, kind: str) -> dict[str, object]:
    (reason,) = (one for one in gate.call("Why", id=job)["reasons"] if one["kind"] == kind)
    return dict(reason)


def test_a_reason_names_the_jobs_that_have_what_is_waited_for(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 6\ntokens: {yarn: 5}\n")
    fill(
        gate,
        f"[{{command: {HOLD}, tokens: {{yarn: 1}}}}, {{command: {HOLD}, tokens: {{yarn: 1}}}},"
        f" {{command: {HOLD}, tokens: {{yarn: 1}}}}, {{command: {HOLD}, tokens: {{yarn: 1}}}},"
        f" {{command: {HOLD}, key: k, locks: {{shared: [l]}}}}]",
        5,
    )
    gate.drop("b.yaml", "{name: t, command: 'true', tokens: {yarn: 2}}\n")
    until(lambda: len(gate.jobs()) == 6)
    gate.drop("c.yaml", "{name: l, command: 'true', key: k, locks: {exclusive: [l]}}\n")
    until(lambda: len(gate.jobs()) == 7)
    of = {job["name"]: job["id"] for job in gate.jobs()}
    token = why(gate, of["t"], "token")
    assert (token["holders"], token["held_by"]) == (4, [1, 2, 3])
    text = "it takes 2 of the tokens yarn, and 1 of 5 are free; jobs 1, 2, 3 and 1 more have the others"
    assert token["text"] == text
    lock, key = why(gate, of["l"], "lock"), why(gate, of["l"], "key")
    assert (lock["held_by"], key["held_by"]) == ([5], [5])
    assert lock["text"] == "it locks l, and job 5 has it"
    assert key["text"] == "job 5, with its key k, runs"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Locked("l", shared=True, holders=1, held_by=(7,)), "it shares l, and job 7 has it for itself"),
        (Locked("l", shared=False, holders=2, held_by=(7, 9)), "it locks l, and jobs 7 and 9 have it"),
        (Locked("l", shared=False, holders=3, held_by=(7, 9, 11)), "it locks l, and jobs 7, 9 and 11 have it"),
        (
            Locked("l", shared=False, holders=4, held_by=(7, 9, 11)),
            "it locks l, and jobs 7, 9, 11 and 1 more have it",
        ),
        (TokensShort("t", 2, 1, 2, 1, (7,)), "it takes 2 of the tokens t, and 1 of 2 are free; job 7 has the others"),
        (TokensShort("t", 2, 1, 2), "it takes 2 of the tokens t, and 1 of 2 are free"),
        (KeyTaken("k", (7,)), "job 7, with its key k, runs"),
    ],
)
def test_the_words_of_it(reason: Locked | TokensShort | KeyTaken, text: str) -> None:
    assert worded(reason) == text


def test_status_has_the_tokens_that_there_are_and_that_are_free(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 2\ntokens: {yarn: 5, db: 1}\n")
    fill(gate, f"[{{command: {HOLD}, tokens: {{yarn: 3}}}}]", 1)
    db = {"name": "db", "total": 1, "free": 1}
    assert gate.status()["tokens"] == [db, {"name": "yarn", "total": 5, "free": 2}]
    gate.ctl("tokens", "yarn", "2")
    assert gate.status()["tokens"] == [db, {"name": "yarn", "total": 2, "free": 0}], "more are in use than there are"
    lines = [line.split() for line in gate.ctl("status").stdout.decode().splitlines()]
    assert lines[lines.index(["TOKENS", "TOTAL", "FREE"]) :][:3] == [
        ["TOKENS", "TOTAL", "FREE"],
        ["db", "1", "1"],
        ["yarn", "2", "0"],
    ]


def test_show_has_the_terms_on_which_a_job_runs(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 2\ntokens: {yarn: 5, db: 1}\n")
    gate.drop("a.yaml", "name: extract\ncommand: sleep 600\n")
    until(gate.jobs)
    gate.drop(
        "b.yaml",
        "{command: 'true', tokens: {yarn: 3, db: 1}, locks: {exclusive: [a, b], shared: [c]}, key: k,"
        " on_conflict: skip, after: [extract, {job: 1, when: over}], timeout: 10min, deadline: 2h,"
        " requires: {command: [test, -e, /a b], every: 1min}, retry: {attempts: 3, delay: 5s, on: [75, timeout]}}",
    )
    gate.drop("c.yaml", "command: 'true'\ndelay: 1h\n")
    until(lambda: len(gate.jobs()) == 3)
    full, plain = sorted(
        (job["id"] for job in gate.jobs() if job["name"] != "extract"), key=lambda job: terms_of(gate, job) == []
    )
    assert terms_of(gate, full) == [
        ("deadline", "2h after it was submitted"),
        ("tokens", "yarn 3, db 1"),
        ("locks", "a, b"),
        ("locks", "c (shared)"),
        ("key", "k (on_conflict: skip)"),
        ("after", "extract, 1 (over)"),
        ("requires", "test -e '/a b' (every 1min, timeout 10s)"),
        ("timeout", "10min for each attempt"),
        ("retry", "3 attempts; delay 5s; factor 2; max_delay 1h; on 75, timeout"),
    ]
    assert terms_of(gate, plain) == []


def terms_of(gate: GateEnv, job: int) -> list[tuple[str, str]]:
    """What show says between when it is due and what it runs."""
    lines = [line.strip().partition("  ") for line in gate.ctl("show", str(job)).stdout.decode().splitlines()]
    known = ["deadline", "tokens", "locks", "key", "after", "requires", "timeout", "retry"]
    return [(name, text) for name, _, text in lines if name in known]
