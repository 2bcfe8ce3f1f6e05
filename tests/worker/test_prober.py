"""Looks of probes, by a real worker server: what a command finds and says, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskgated.core.job import Spec
from taskgated.protocol.looking import KILL_AFTER, key_of, key_of_job
from taskgated.worker import cookie
from tests.env.until import until
from tests.env.worker import DAEMON, HOPPERS, Env, alive, proof, python, written_pid

STUBBORN = "trap '' TERM; echo $$ > pid.tmp; mv pid.tmp pid; while :; do sleep 1000; done"


@pytest.fixture(params=[True, False], ids=["cgroups", "no cgroups"])
def env(request: pytest.FixtureRequest) -> Iterator[Env]:
    with tempfile.TemporaryDirectory() as root:
        yield from proof(Path(root), cgroups=request.param)


@pytest.fixture
def plain() -> Iterator[Env]:
    with tempfile.TemporaryDirectory() as root:
        yield from proof(Path(root), cgroups=False)


def begin(env: Env, command: str | tuple[str, ...], id: int = 1, timeout: float = 20.0, probe: str = "p") -> None:
    """Have a look begun."""
    spec = Spec(command=command, cwd=str(env.layout.state), timeout=timeout, kill_after=KILL_AFTER, linger=0.0)
    job, number = key_of(probe)
    run = {"job": job, "attempt": number, "spec": spec.to_json(), "log": ""}
    env.server.say(look={"id": id, "probe": probe, "run": run})


def seen(env: Env, id: int = 1) -> tuple[int | None, str, str]:
    """What one brought that was begun: exit code, first line, words."""
    assert env.server.expect("looking")["id"] == id
    return ended(env, id)


def ended(env: Env, id: int = 1) -> tuple[int | None, str, str]:
    body: dict[str, Any] = env.server.expect("seen")
    assert body["id"] == id
    return body["exit_code"], body["line"], body["words"]


def look(env: Env, command: str | tuple[str, ...], **options: Any) -> tuple[int | None, str, str]:
    begin(env, command, **options)
    return seen(env)


def test_exit_code_first_line_and_words(plain: Env) -> None:
    assert look(plain, ("true",)) == (0, "", "")
    assert look(plain, "echo 3; echo three are free; echo debug >&2; echo done >&2") == (
        0,
        "3",
        "three are free; done",
    )
    assert look(plain, "echo 12 pending; exit 1") == (1, "12 pending", "12 pending")
    assert look(plain, "echo no route to host >&2; exit 7") == (7, "", "exit code 7; no route to host")
    assert look(plain, "kill -9 $$") == (None, "", "it was killed by signal 9")
    assert look(plain, ("no-such-probe",)) == (None, "", "cannot run 'no-such-probe': command not found")


def test_words_are_one_line_that_can_be_shown(plain: Env) -> None:
    _, line, words = look(plain, r"printf 'a\033[2Jb\377\n'; printf '%05000d' 7 >&2")
    assert line.startswith("a") and words.isprintable() and len(words) < 1000


def test_its_environment_is_that_of_a_job_without_a_job(plain: Env) -> None:
    assert look(plain, "env -0 > found; mv found env")[0] == 0
    found = dict(line.split("=", 1) for line in (plain.layout.state / "env").read_text().split("\0") if line)
    assert found.pop("HOME") and found.pop("USER") == found.pop("LOGNAME")
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):
        found.pop(name, None)  # of the shell
    job, number = key_of("p")
    assert found == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TASKGATE_PROBE": "p",
        "TASKGATE_COOKIE": cookie.of(plain.settings.instance, job, number).decode(),
    }


def test_a_look_of_a_job_finds_what_the_job_would_find(plain: Env) -> None:
    spec = Spec(
        command="echo $TASKGATE_JOB_ID $TASKGATE_QUEUE $GREETING", name="n", queue="q", env={"GREETING": "hi"}
    )
    job, number = key_of_job(42)
    run = {"job": job, "attempt": number, "spec": spec.to_json(), "log": ""}
    plain.server.say(look={"id": 1, "probe": None, "run": run})
    assert seen(plain) == (0, "42 q hi", "42 q hi")


def test_one_that_takes_too_long_is_ended_also_if_it_is_deaf_or_stopped(env: Env) -> None:
    for command in ("sleep 1000", STUBBORN, "kill -STOP $$", "exec 1>&- 2>&-; sleep 1000", "echo 5; sleep 1000"):
        code, _, words = look(env, command, timeout=0.2)
        assert code is None and words.startswith("it took longer than 200ms"), command


def test_a_timeout_is_no_answer_whatever_exit_status_follows(plain: Env) -> None:
    assert look(plain, "trap 'exit 0' TERM; sleep 1000 & wait", timeout=0.2)[0] is None


def test_what_forks_away_is_gone_when_it_has_been_seen(env: Env) -> None:
    file = env.layout.state / "daemon"
    code, _, words = look(env, python(DAEMON, str(file)))
    assert code == 0 and "1 process that it left behind was ended" in words
    assert not alive(written_pid(file))


def test_what_multiplies_without_end_is_gone_too(env: Env) -> None:
    assert look(env, python(HOPPERS), timeout=0.3)[0] in (0, None)


def test_a_flood_of_output_is_read_and_dropped(plain: Env) -> None:
    code, line, words = look(plain, "yes; echo never", timeout=0.5)
    assert (code, line) == (None, "y") and words == "it took longer than 500ms; y"
    code, line, _ = look(plain, "echo 4; head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2")
    assert (code, line) == (0, "4")


def test_looks_go_on_beside_each_other(plain: Env) -> None:
    begin(plain, "until [ -e go ]; do sleep 0.01; done; echo first", 1)
    assert plain.server.expect("looking")["id"] == 1
    begin(plain, "touch go; echo second", 2, probe="other")
    assert plain.server.expect("looking")["id"] == 2
    found = {body["id"]: body["line"] for body in (plain.server.expect("seen"), plain.server.expect("seen"))}
    assert found == {1: "first", 2: "second"}


def test_one_that_is_to_end_says_what_it_has_seen(plain: Env) -> None:
    begin(plain, STUBBORN)
    plain.server.expect("looking")
    pid = written_pid(plain.layout.state / "pid")
    plain.server.say(**{"end look": {"id": 1}})
    assert ended(plain)[:2] == (None, "") and not alive(pid)
    plain.server.say(**{"end look": {"id": 1}})  # it is over, and nothing happens
    assert look(plain, "echo 1") == (0, "1", "")


def test_a_prober_that_dies_is_told_of_and_what_it_leaves_is_buried(env: Env) -> None:
    begin(env, STUBBORN)
    prober = env.server.expect("looking")
    pid = written_pid(env.layout.state / "pid")
    os.kill(prober["pid"], signal.SIGKILL)
    assert env.server.expect("unseen") == {"id": 1, "status": signal.SIGKILL}
    job, number = key_of("p")
    env.server.say(bury={**prober, "job": job, "attempt": number})
    assert env.server.expect("buried")["killed"] >= 1
    assert not alive(pid)
    assert prober["cgroup"] is None or not os.path.exists(prober["cgroup"])


def test_none_outlives_its_server_however_that_ends(env: Env) -> None:
    for end in (env.stop_server, env.kill_server):
        begin(env, STUBBORN)
        prober = env.server.expect("looking")
        pid = written_pid(env.layout.state / "pid")
        worker = env.worker()  # it has, of the server, no more than it needs
        end()
        until(lambda: not alive(prober["pid"]) and not alive(pid), "the end of the prober")  # noqa: B023
        worker.drop()
        env.start_server()
        (env.layout.state / "pid").unlink()


def test_a_worker_is_buried_while_a_look_goes_on(env: Env) -> None:
    """What a dead worker leaves is among the children of the server; a prober is as well, and is none of that."""
    begin(env, "until [ -e go ]; do sleep 0.01; done; echo seen")
    env.server.expect("looking")
    worker = env.worker()
    os.kill(worker.id.pid, signal.SIGKILL)
    env.server.expect("exited")
    env.bury(worker, None, None)
    (env.layout.state / "go").touch()
    assert ended(env) == (0, "seen", "seen")


def test_what_is_no_look_ends_the_server_and_no_look_begins(plain: Env) -> None:
    plain.server.say(look={"id": 1, "probe": 7, "run": {}})
    assert until(plain.server.closed, "the end of the server")
