"""Random mixes of all gates, and crashes at any step: what holds of every job that waits, by an oracle that knows
nothing of the gate's own books (``tests/env/oracle.py``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from taskgated.core.after import Condition, When
from taskgated.core.job import Element, Job, Locks, OnConflict, Requires, Result, Retry, Spec
from taskgated.core.kinds import Kind
from taskgated.core.owner import Owner
from taskgated.core.reasons import NotItsTurn
from taskgated.core.state import State
from taskgated.daemon.overrides import TOKENS
from taskgated.protocol.looking import Look
from taskgated.store.answer import Answer
from tests.env.oracle import Oracle, brief, needs
from tests.env.simulation import Simulation

MIXES = os.environ.get("TASKGATED_MIXES", "")
"""So many, others each time; unless that is said, some few that are always the same."""
QUEUES = ["default", "etl", "own"]
ROOT = Owner("root", 0)
USERS = ["4000001", "4000002"]
"""Numbers that are nobody's name."""

PER_QUEUE: dict[str, list[str]] = {
    "limit": ["1", "2", "{auto: {min: 1, max: 3, overload: {exit_codes: [75]}}}"],
    "user_limit": ["1"],
    "order": ["share: fair", "strict: true"],
    "rate": ["{starts: 2, per: 1min}"],
    "windows": ['[{opens: "*-*-* *:00:00 UTC", closes: "*-*-* *:30:00 UTC"}]'],
    "machine": ["{load: 3}"],
    "probe": ["yarn"],
    "breaker": ["{failures: 2, within: 10min, pause: 1min}"],
    "retry_budget": ["0.3"],
    "tokens": ["{yarn: 1}"],
}
PAIRS = [(key, value) for key, values in PER_QUEUE.items() for value in values]
QUEUE = st.just({}) | st.lists(st.sampled_from(PAIRS), max_size=2).map(dict)
"""Few gates for each queue: with many of them one is always shut."""
WHOLE = st.fixed_dictionaries(
    {"workers": st.integers(2, 4), "ready_queue": st.integers(1, 4)},
    optional={
        "limit": st.just(2),
        "user_limit": st.integers(1, 3),
        "ageing": st.sampled_from(["0", "1min"]),
        "users": st.sampled_from([f"{{'{USERS[0]}': {{limit: 1}}}}", f"{{'{USERS[0]}': {{weight: 3}}}}"]),
    },
)


def text_of(whole: dict[str, Any], queues: list[dict[str, str]]) -> str:
    lines = [f"{key}: {value}" for key, value in whole.items()]
    lines += ["tokens: {yarn: 3, db: 1}", "probes: {yarn: {command: [/probe], every: 30s}}", "queues:"]
    for name, keys in zip(QUEUES, queues, strict=True):
        said = [value if key == "order" else f"{key}: {value}" for key, value in keys.items()]
        lines.append(f"  {name}: {{{', '.join(said)}}}")
    return "\n".join(lines) + "\n"


CONFIG = st.builds(text_of, WHOLE, st.tuples(QUEUE, QUEUE, QUEUE).map(list))


LOCKS = [((), ()), (("a",), ()), (("b",), ("a",)), ((), ("a",)), (("a", "b"), ())]
SOME = [{"yarn": 1}, {"yarn": 3}, {"db": 1}, {"yarn": 2, "db": 1}]
NAME = st.sampled_from(["x", "y", "z"])
NEEDS = [
    *({"tokens": tokens} for tokens in SOME),
    *({"locks": Locks(*names)} for names in LOCKS),
    {"key": "k"},
    {"tokens": {"yarn": 2}, "locks": Locks(("a",))},
]
RARE = [
    *({"on_conflict": how, "key": "k"} for how in OnConflict),
    *({"retry": Retry(attempts=number, delay=20.0, jitter=0.0)} for number in (2, 3)),
    {"delay": 30.0},
    {"requires": Requires("look", every=60.0)},
    *({"after": (Condition(name, when),)} for name in "xyz" for when in When),
]
WISH = st.builds(
    lambda name, queue, priority, needs, rare: {"name": name, "queue": queue, "priority": priority, **needs, **rare},
    NAME,
    st.sampled_from(QUEUES),
    st.sampled_from([0, 50, 50, 100]),
    st.sampled_from(NEEDS),
    st.just({}) | st.just({}) | st.sampled_from(RARE),
)
"""What a job has that is not usual."""


def awaits(job: Job) -> str:
    """By name, as of ``needs``, what a job waits for; "" if it waits for nothing that has a name."""
    kind, _, rest = (job.waits or "").partition(":")
    return "" if not rest else f"{kind} {rest.replace(':', ' ') if kind == 'key' else rest}"


class AnyMix(RuleBasedStateMachine):
    """Anything may happen at any step; whenever nothing is under way, all that waits is looked at."""

    @initialize(config=CONFIG, workers=st.integers(2, 4))
    def begin(self, config: str, workers: int) -> None:
        self.paused: set[str | None] = set()
        self.names = count(1)
        self.waited: tuple[int, set[int]] | None = None  # the first of all, and what it waited for
        self.known: dict[int, str] = {}  # what waited when all was at rest, and for what it lacked alone
        self.sim = Simulation(config, self.starts)
        for _ in range(workers):
            self.sim.worker(f"w{next(self.names)}")
        self.rest()

    def starts(self, job: Job) -> None:
        """Nobody passes by one that comes first and waits for what it takes, nor breaks a limit. One that has come to
        wait for something else meanwhile need not be the senior."""
        oracle = Oracle(self.sim, self.paused)
        for name, amount in needs(job).items():
            taken = sum(needs(one).get(name, 0) for one in oracle.running)
            assert taken <= oracle.total(name, job), f"{brief(job)} takes {amount} of {name}, and {taken} are taken"
            for id_, awaited in self.known.items():
                first = oracle.jobs[id_]
                if awaited == name == awaits(first) and first.rank < job.rank and oracle.eligible(first):
                    text = f"{brief(job)} passes by {brief(first)} for {name}"
                    assert set(oracle.limits(first)) - {Kind.LIMIT}, text
        self.known.pop(job.id, None)
        for first in oracle.queued if job.queue in oracle.policy.strict else ():
            passed = first.queue == job.queue and first.parked and first.rank < job.rank and oracle.eligible(first)
            assert not passed, f"{brief(job)} passes by {brief(first)}, and their queue is strict"

    def rest(self) -> None:
        sim = self.sim
        sim.settle()
        oracle = Oracle(sim, self.paused)
        self.known = {}
        for job in oracle.queued:
            if awaited := awaits(job):
                only = {*oracle.keeps(job)} <= {Kind.TOKEN, Kind.LOCK, Kind.KEY, Kind.LIMIT}
                if only and oracle.could(job) and not set(sim.gate.doors.reasons(job.queue)):
                    self.known[job.id] = awaited
        self.wait(oracle)
        if not sim.idle:
            return
        for job in oracle.queued:
            reasons = sim.why(job.id)
            sim.settle()
            told = [one for one in reasons if not isinstance(one, NotItsTurn)]
            assert told, f"nothing keeps {brief(job)}, and a worker is idle: {reasons}"
            false = [text for one in reasons if (text := oracle.false(job, one))]
            assert not false, f"not true: {false}"
            untold = oracle.keeps(job) - {one.kind for one in told}
            assert not untold, f"{untold} keep {brief(job)} as well, and {told} are told"

    # -- what comes ----------------------------------------------------------------------------------

    @rule(these=st.lists(WISH, min_size=2, max_size=6), owner=st.sampled_from(USERS))
    def add(self, these: list[dict[str, Any]], owner: str) -> None:
        self.sim.add([Spec(command="true", after_timeout=600.0, **wish) for wish in these], owner)

    @rule(wish=WISH, size=st.integers(2, 4), at_most=st.integers(1, 2), owner=st.sampled_from(USERS))
    def add_array(self, wish: dict[str, Any], size: int, at_most: int, owner: str) -> None:
        elements = [Element(place, place, size, at_most) for place in range(size)]
        self.sim.add(
            [Spec(command="true", after_timeout=600.0, array=element, **wish) for element in elements], owner
        )

    @precondition(lambda self: len(self.sim.world.workers) < 5)
    @rule()
    def worker(self) -> None:
        self.sim.worker(f"w{next(self.names)}")

    @rule(steps=st.integers(1, 6))
    def some_steps(self, steps: int) -> None:
        for _ in range(steps):
            self.sim.step()

    @rule()
    def all_steps(self) -> None:
        self.rest()

    @rule(seconds=st.sampled_from([1, 7, 25, 61, 1000]))
    def sleep(self, seconds: int) -> None:
        self.known = {}
        self.sim.sleep(seconds)

    @rule()
    def crash(self) -> None:
        self.known, self.waited = {}, None
        self.sim.crash()

    # -- workers -------------------------------------------------------------------------------------

    @precondition(lambda self: self.sim.busy)
    @rule(data=st.data(), how=st.sampled_from([(Result.SUCCEEDED, 0), (Result.FAILED, 1), (Result.FAILED, 75)]))
    def finish(self, data: st.DataObject, how: tuple[Result, int]) -> None:
        self.sim.finish(data.draw(st.sampled_from(self.sim.busy)), *how)

    @rule(turns=st.integers(1, 8), which=st.integers(0, 3))
    def work_off(self, turns: int, which: int) -> None:
        """Jobs end, one at a time."""
        for _ in range(turns):
            self.rest()
            if self.sim.busy:
                self.sim.finish(self.sim.busy[which % len(self.sim.busy)], Result.SUCCEEDED)

    @precondition(lambda self: self.sim.world.workers)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.known = {}
        self.sim.die(data.draw(st.sampled_from(sorted(self.sim.world.workers))))

    # -- doors ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.sim.supervisor.looks)
    @rule(data=st.data(), how=st.sampled_from([(0, ""), (0, "1"), (0, "2"), (1, ""), (9, "")]))
    def answer(self, data: st.DataObject, how: tuple[int, str]) -> None:
        self.known = {}
        looks: list[Look] = self.sim.supervisor.looks
        self.sim.answer(looks[data.draw(st.integers(0, len(looks) - 1))], *how)

    @rule(load=st.sampled_from([0.0, 1.5, 9.0]))
    def load(self, load: float) -> None:
        self.known = {}
        self.sim.settle()
        self.sim.world.load = load
        self.sim.sleep(6)

    @rule(queue=st.sampled_from([None, *QUEUES]))
    def pause_or_resume(self, queue: str | None) -> None:
        self.known = {}
        pauses, names = self.sim.doorway.pauses, [] if queue is None else [queue]
        (pauses.resume if queue in self.paused else pauses.pause)(names, ROOT, lambda answer: None)
        self.sim.settle()
        self.paused ^= {queue}

    @rule(config=CONFIG)
    def reload(self, config: str) -> None:
        self.known = {}
        self.sim.settle()
        if not self.sim.busy:  # or limits may come to be below what runs
            self.sim.reload(config)
            self.rest()

    # -- by hand -------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        verb=st.sampled_from(["hold", "release", "move", "prioritize", "retry", "cancel"]),
        queue=st.sampled_from(QUEUES),
        priority=st.integers(0, 100),
    )
    def by_hand(self, data: st.DataObject, verb: str, queue: str, priority: int) -> None:
        self.known = {}
        records = [one.record for one in self.sim.jobs()]
        if not records:
            return
        record, hand = data.draw(st.sampled_from(records)), self.sim.by_hand

        def done(answer: Answer[None]) -> None:
            """It may be refused."""

        match verb:
            case "move":
                hand.move(record, queue, ROOT, done, anyhow=True)
            case "prioritize":
                hand.prioritize(record, priority, ROOT, done)
            case "cancel":
                self.sim.conductor.cancel(record.id, cast(Any, done))
            case _:
                getattr(hand, verb)(record, ROOT, done)
        self.sim.turn()

    @rule(tokens=st.integers(1, 3) | st.none())
    def set_tokens(self, tokens: int | None) -> None:
        self.known = {}
        self.sim.settle()
        if not self.sim.busy:
            self.sim.limits.set(TOKENS, "yarn", tokens, ROOT, lambda answer: None)
            self.rest()

    # -- the end -------------------------------------------------------------------------------------

    def wait(self, oracle: Oracle) -> None:
        """The first of all that wait is kept by what others have: by what runs, and then once more by that at most.

        It waits for one thing that it lacks, which is promised to it, and others go on with what else it lacks; when
        that one is there another may be gone, and then all is promised to it. Nothing of that is known over a crash,
        or while its lane is closed."""
        first = min((job for job in oracle.queued if oracle.eligible(job)), key=lambda job: job.rank, default=None)
        kinds = set() if first is None else oracle.keeps(first)
        shut = first is None or set(self.sim.gate.doors.reasons(first.queue))
        if first is None or shut or kinds & {Kind.QUEUE_LIMIT, Kind.USER_LIMIT}:
            self.waited = None
            return
        if self.waited is None or self.waited[0] != first.id:
            self.waited = first.id, set()
        self.waited[1].update(job.id for job in oracle.running if awaits(first) in needs(job))
        assert len(self.waited[1]) <= 2 * oracle.policy.at_once, f"{brief(first)} has waited for {self.waited[1]}"

    def drain(self) -> None:
        """Whatever happened: where nothing is kept shut, all comes to its end."""
        sim = self.sim
        self.known, self.waited = {}, None
        for queue in self.paused:
            sim.doorway.pauses.resume([] if queue is None else [queue], ROOT, lambda answer: None)
        sim.limits.set(TOKENS, "yarn", None, ROOT, lambda answer: None)
        sim.settle()
        self.paused, sim.world.load = set(), 0.0
        sim.sleep(6)  # until the machine has been looked at
        for one in sim.jobs():
            if one.record.state is State.HELD:
                sim.by_hand.release(one.record, ROOT, lambda answer: None)
        while len(sim.world.workers) < 4:
            sim.worker(f"w{next(self.names)}")
        for turn in range(150 + 3 * sum(1 for _ in sim.jobs())):
            self.rest()
            for look in list(sim.supervisor.looks):
                sim.answer(look, 0)
            if sim.busy:
                sim.finish(sim.busy[turn % len(sim.busy)], Result.SUCCEEDED)
            elif not any(True for _ in sim.waiting_jobs()):
                return
            elif not sim.supervisor.looks:
                self.known, self.waited = {}, None
                sim.sleep((7, 61, 901)[turn % 3])
        kept = [(brief(job), sim.why(job.id)) for job in sim.waiting_jobs()]
        raise AssertionError(f"they never end: {kept}; looks: {sim.supervisor.looks}")

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            try:
                if sys.exc_info()[0] is None:
                    self.drain()
            finally:
                self.sim.close()


AnyMix.TestCase.settings = settings(
    max_examples=int(MIXES or "20"),
    derandomize=not MIXES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # to make one smaller takes longer than to read it
)
TestAnyMix = AnyMix.TestCase


# -- what was found so -------------------------------------------------------------------------------


@pytest.fixture
def simulation() -> Iterator[Callable[[str], Simulation]]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(closing(Simulation(config)))


def job(**values: Any) -> Spec:
    return Spec(command="true", **values)


def test_who_needed_more_tokens_than_there_were_starts_when_there_are_more(
    simulation: Callable[[str], Simulation],
) -> None:
    sim = simulation("workers: 1\ntokens: {yarn: 3}\n")
    sim.limits.set(TOKENS, "yarn", 1, ROOT, lambda answer: None)
    sim.settle()
    sim.worker("w")
    sim.add([job(tokens={"yarn": 2})], USERS[0])
    sim.settle()
    sim.crash()
    sim.settle()
    assert not sim.busy
    sim.limits.set(TOKENS, "yarn", None, ROOT, lambda answer: None)
    sim.settle()
    assert sim.busy


@pytest.mark.parametrize("door", ["machine: {load: 3}", "probe: p"])
def test_who_comes_back_to_a_shut_door_knocks(simulation: Callable[[str], Simulation], door: str) -> None:
    """Nobody looks behind it while its jobs wait for something else."""
    probes = "probes: {p: {command: [/probe], every: 10s}}"
    sim = simulation(f"workers: 2\ntokens: {{db: 1}}\n{probes}\nqueues: {{m: {{{door}}}}}\n")
    for name in "ab":
        sim.worker(name)
    sim.add([job(tokens={"db": 1})], USERS[0])
    sim.settle()
    sim.add([job(queue="m", tokens={"db": 1})], USERS[0])
    sim.settle()
    for look in list(sim.supervisor.looks):
        sim.answer(look, 0)
    sim.sleep(60)
    (busy,) = sim.busy
    sim.finish(busy, Result.SUCCEEDED)
    sim.sleep(1)
    for look in list(sim.supervisor.looks):
        sim.answer(look, 0)
    sim.settle()
    assert sim.busy
