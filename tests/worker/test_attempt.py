"""One worker against a daemon in miniature: what a job finds, how it ends, and that nothing is left of it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from taskgated.attempts.outcomes import Outcomes
from taskgated.attempts.output import pieces
from taskgated.core.job import Dialect, Output, Receiver, Result, Signal, Spec, Warn
from taskgated.errors import Trouble
from taskgated.host import users
from taskgated.worker import cookie
from taskgated.worker.foreign import VARIABLES, Fact
from taskgated.worker.start import clean_env
from tests.env.until import until
from tests.env.worker import DAEMON, HOPPERS, Env, WorkerPeer, alive, proof, python, written_pid

WAIT = "until [ -e go ]; do sleep 0.01; done"
PID = "echo $$ > pid.tmp; mv pid.tmp pid"
# Says goodbye when it is told to end; makes the file that is named when it is ready for that.
POLITE = """
import os, signal, sys
def end(*_):
    os.write(1, b"goodbye\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").close()
while True:
    signal.pause()
"""
STUBBORN = f"trap '' TERM; {PID}; while :; do sleep 1000; done"


# -- what a job finds


def test_a_file_that_an_earlier_attempt_took_away(plain: Env, worker: WorkerPeer) -> None:
    file = plain.layout.state / "data"
    file.touch()
    spec = Spec(command=("rm", str(file)), file=str(file))
    assert worker.run(spec).result is Result.SUCCEEDED
    outcome = worker.run(spec)
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 126)
    assert outcome.message == "cannot start: its file is gone, an earlier attempt has removed or moved it"


def test_a_quiet_success_leaves_no_file(plain: Env, worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command=("true",)))
    assert (outcome.result, outcome.exit_code, outcome.signal) == (Result.SUCCEEDED, 0, None)
    assert (outcome.output, outcome.omitted, outcome.message) == (0, 0, "")
    assert outcome.started is not None and outcome.finished is not None
    assert abs(outcome.finished - time.time_ns() // 1000) < 60_000_000
    assert outcome.started <= outcome.finished
    assert list(plain.layout.log.iterdir()) == []


def test_the_environment_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "SECRET_OF_THE_DAEMON", "TASKGATE_COOKIE"):
        monkeypatch.setenv(name, "1")
    for env in proof(tmp_path):
        spec = Spec(
            command=("/usr/bin/env", "-0"),
            name="na\nme \udcff",
            queue="etl",
            env={"GREETING": "a=b \udcfe", "LANG": "de_DE.UTF-8", "TASKGATE_JOB_ID": "not mine"},
        )
        env.worker().run(spec, 7, 3, source="/spool/etl/a\udcff.yaml")
        found = dict(line.split(b"=", 1) for line in env.output(7, 3).split(b"\0") if line)
        assert found.pop(b"HOME") and found.pop(b"USER") == found.pop(b"LOGNAME")
        assert found == {
            b"PATH": b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            b"SHELL": b"/bin/sh",
            b"LANG": b"de_DE.UTF-8",
            b"GREETING": b"a=b \xfe",
            b"TASKGATE_JOB_ID": b"7",
            b"TASKGATE_JOB_NAME": b"na\nme \xff",
            b"TASKGATE_QUEUE": b"etl",
            b"TASKGATE_ATTEMPT": b"3",
            b"TASKGATE_SOURCE": b"/spool/etl/a\xff.yaml",
            b"TASKGATE_SUBMIT_DIR": b"/spool/etl",
            b"TASKGATE_SUBMIT_HOST": os.fsencode(os.uname().nodename),
            b"TASKGATE_COOKIE": cookie.of(env.settings.instance, 7, 3),
        }


def test_what_an_earlier_daemon_does_not_say_is_not_told(plain: Env, worker: WorkerPeer) -> None:
    worker.run(Spec(command="env | grep -c -e SOURCE -e SUBMIT_DIR -e ARRAY_ID; true"))
    assert plain.output() == b"0\n"


def test_who_drops_for_others_says_where_and_nobody_says_what_is_the_gates(plain: Env, worker: WorkerPeer) -> None:
    env = {f"TASKGATE_{name}": "mine" for name in ("SUBMIT_DIR", "SUBMIT_HOST", "SOURCE", "ARRAY_ID")}
    names = " ".join(f"${name}" for name in env)
    worker.run(Spec(command=f"echo {names}", env=env), source="/spool/a.yaml", array=7)
    assert plain.output() == b"mine mine /spool/a.yaml 7\n"


@pytest.mark.parametrize("dialect", Dialect)
def test_a_script_for_another_system_finds_its_variables(plain: Env, dialect: Dialect) -> None:
    """Each that is declared, and no other; what the job says itself stands before them."""
    own = {"SLURM_NNODES": "own", "PBS_ENVIRONMENT": "own", "NSLOTS": "own"}
    worker = plain.worker()

    def found(job: int, asked: Dialect | None) -> dict[str, str]:
        spec = Spec(command=("/usr/bin/env", "-0"), name="n", cwd="/tmp", env=own, dialect=asked)
        worker.run(spec, job, 3, source="/spool/n.sh")
        return dict(line.split("=", 1) for line in plain.output(job, 3).decode().split("\0") if line)

    without, told = found(7, None), found(8, dialect)
    of_arrays = {name for name, fact in VARIABLES[dialect].items() if fact in (Fact.INDEX, Fact.COUNT, Fact.ARRAY)}
    assert told.keys() - without.keys() == VARIABLES[dialect].keys() - own.keys() - of_arrays
    assert told.items() >= own.items()
    facts = {
        Fact.ID: "8",
        Fact.ID_OF_ALL: "8",
        Fact.NAME: "n",
        Fact.CWD: "/tmp",
        Fact.AGAIN: "2",
        Fact.AGAIN_OR_NOT: "1",
        Fact.UNDEFINED: "undefined",
    }
    for name, fact in VARIABLES[dialect].items():
        if isinstance(fact, Fact) and fact in facts:
            assert told[name] == facts[fact]


def test_a_user_database_that_is_away_makes_nobody_homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked once for all the jobs of a worker server must not be wrong for as long as that lives."""

    def away(uid: int) -> users.User | None:
        raise Trouble("the user database does not answer")

    monkeypatch.setattr(users, "user", away)
    monkeypatch.setenv("HOME", "/var/lib/taskgate/home")
    monkeypatch.setenv("USER", "taskgate")
    env = clean_env()
    assert (env[b"HOME"], env[b"USER"], env[b"LOGNAME"]) == (b"/var/lib/taskgate/home", b"taskgate", b"taskgate")
    monkeypatch.setattr(users, "user", lambda uid: None)
    assert clean_env()[b"HOME"] == b"/", "whom nobody knows has no home, whatever the daemon's own is"


def test_arguments_are_exact(plain: Env, worker: WorkerPeer) -> None:
    worker.run(Spec(command=("printf", "<%s>", "a b", "", "*", "$HOME", "\n", "\udcff\udc80", "ü")))
    assert plain.output() == b"<a b><><*><$HOME><\n><\xff\x80><\xc3\xbc>"


def test_text_is_for_the_shell_that_is_said(plain: Env, worker: WorkerPeer) -> None:
    shell = ("bash", "-euo", "pipefail", "-c")
    outcome = worker.run(Spec(command="echo ${BASH_VERSION:+bash}; false | true; echo not here", shell=shell))
    assert (plain.output(), outcome.exit_code) == (b"bash\n", 1)
    outcome = worker.run(Spec(command="true", shell=("no-such-shell", "-c")), 2)
    assert (outcome.exit_code, outcome.message) == (127, "cannot run 'no-such-shell': command not found")


def test_a_big_argument_gets_through(plain: Env, worker: WorkerPeer) -> None:
    worker.run(Spec(command=("printf", "%s", "x" * 100_000)))
    assert plain.output() == b"x" * 100_000


def test_a_string_is_for_the_shell(plain: Env, worker: WorkerPeer) -> None:
    worker.run(Spec(command='echo "$0" $((1 + 2)) | cat'))
    assert plain.output() == b"/bin/sh 3\n"


def test_cwd_umask_stdin_and_descriptors(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    (tmp_path / "dir \udcff").mkdir()
    worker.run(Spec(command="pwd; umask; cat; ls /proc/$$/fd", cwd=f"{tmp_path}/dir \udcff"))
    assert plain.output() == os.fsencode(tmp_path) + b"/dir \xff\n0022\n0\n1\n2\n"


def test_own_session_and_default_signals(tmp_path: Path) -> None:
    ignored = (signal.SIGHUP, signal.SIGALRM)  # as under nohup(1)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        for env in proof(tmp_path):
            code = "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))"
            env.worker().run(Spec(command=("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")), 1)
            env.workers[0].run(Spec(command=python(code)), 2)
            assert env.output(1) == b"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
            assert env.output(2) == b"True\n"
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_stdout_and_stderr_stay_in_order(plain: Env, worker: WorkerPeer) -> None:
    worker.run(Spec(command="for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"))
    expected = b"".join(b"out %d\nerr %d\n" % (i, i) for i in range(1, 6))
    assert plain.output() == expected
    assert stat.S_IMODE(plain.log().stat().st_mode) == 0o640
    assert stat.S_IMODE(plain.log().parent.stat().st_mode) == 0o750


def test_a_script_runs_from_a_private_copy(plain: Env, worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(script="#!/bin/sh -e\necho \udcff; stat -c '%a %n' \"$0\"\nexit 3\n"), 5, 2)
    path = plain.layout.scripts / "5.2"
    assert plain.output(5, 2) == b"\xff\n700 " + bytes(path) + b"\n"
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 3)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        (Spec(command=("no-such-thing",)), 127, ["no-such-thing", "command not found"]),
        (Spec(command=("/no/such/thing",)), 127, ["/no/such/thing", "command not found"]),
        (Spec(command=("/etc/passwd",)), 126, ["/etc/passwd", "Permission denied"]),
        (Spec(command=("true",), cwd="/no/such/dir"), 126, ["/no/such/dir", "no such directory"]),
        (Spec(command=("true",), cwd="/etc/passwd"), 126, ["/etc/passwd", "no such directory"]),
        (Spec(script="#!/no/such/interpreter\n"), 127, ["interpreter", "#!/no/such/interpreter"]),
        (Spec(script="echo no interpreter line\n"), 126, ["script", "Exec format error", "#!/bin/sh"]),
        (Spec(command=("true", "x" * 200_000)), 126, ["true", "Argument list too long"]),
        (Spec(command=("true", "a\0b")), 126, ["null byte"]),
    ],
)
def test_what_cannot_be_started(worker: WorkerPeer, spec: Spec, code: int, words: list[str]) -> None:
    outcome = worker.run(spec)
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, code)
    for word in words:
        assert word in outcome.message
    assert worker.run(Spec(command=("true",)), 2).result is Result.SUCCEEDED  # and the worker works on


def test_a_program_without_an_interpreter_line(worker: WorkerPeer, tmp_path: Path) -> None:
    """A shell would run it by itself, and the kernel does not; so its author is told what to write."""
    path = tmp_path / "x"
    path.write_text("echo hello\n")
    path.chmod(0o755)
    outcome = worker.run(Spec(command=(str(path),)))
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 126)
    for word in ("Exec format error", "a script names in its first line", "#!/bin/sh", "command: [/bin/sh, FILE]"):
        assert word in outcome.message
    assert worker.run(Spec(command=("/bin/sh", str(path))), 2).result is Result.SUCCEEDED


def test_a_spec_of_another_version(plain: Env, worker: WorkerPeer) -> None:
    worker.say(run={"job": 1, "attempt": 1, "spec": {"command": "true", "warp": 9}, "log": str(plain.log())})
    outcome = worker.outcome()
    assert outcome.result is Result.FAILED
    assert "warp" in outcome.message


# -- how it ends


def test_exit_codes_and_signals_are_told_apart(worker: WorkerPeer) -> None:
    assert worker.run(Spec(command="exit 9")).exit_code == 9
    outcome = worker.run(Spec(command="kill -9 $$"))
    assert (outcome.result, outcome.exit_code, outcome.signal) == (Result.FAILED, None, 9)
    outcome = worker.run(Spec(command="exit 137"))
    assert (outcome.exit_code, outcome.signal) == (137, None)


def test_other_exit_codes_may_mean_success(worker: WorkerPeer) -> None:
    spec = Spec(command="exit 75", success_exit_codes=(0, 75))
    assert worker.run(spec).result is Result.SUCCEEDED


def test_what_it_used(worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command=python("x = bytearray(80_000_000)\nfor i in range(2_000_000): pass")))
    assert outcome.user + outcome.system > 0.02
    assert 80_000_000 < outcome.max_rss < 200_000_000


def test_timeout_with_sigterm(worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command="sleep 1000", timeout=0.1))
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, signal.SIGTERM)


def test_timeout_of_what_ignores_sigterm(env: Env, tmp_path: Path) -> None:
    begun = time.monotonic()
    spec = Spec(command=STUBBORN, timeout=0.3, kill_after=0.2, cwd=str(tmp_path))
    outcome = env.worker().run(spec)
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, signal.SIGKILL)
    assert time.monotonic() - begun >= 0.5


def test_timeout_of_what_is_stopped(worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command="kill -STOP $$", timeout=0.1, kill_after=1000))
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, signal.SIGTERM)


def test_timeout_of_what_forks_without_end(env: Env, tmp_path: Path) -> None:
    # Each process is gone at once and lives on in its child, a few in parallel: nobody can list them all.
    outcome = env.worker().run(Spec(command=python(HOPPERS), timeout=0.3, kill_after=0))
    assert outcome.result in (Result.TIMED_OUT, Result.SUCCEEDED)  # its first process may be done before


def test_stop(worker: WorkerPeer, tmp_path: Path) -> None:
    worker.start(Spec(command=f"{PID}; exec sleep 1000", cwd=str(tmp_path)))
    written_pid(tmp_path / "pid")
    worker.say(stop={"job": 1, "attempt": 1, "grace": None})
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.KILLED, signal.SIGTERM)


def test_stop_again_with_less_patience(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    worker.start(Spec(command=STUBBORN, kill_after=1000, cwd=str(tmp_path)))
    written_pid(tmp_path / "pid")
    worker.say(stop={"job": 1, "attempt": 1, "grace": None})
    worker.say(stop={"job": 1, "attempt": 1, "grace": 0})
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.KILLED, signal.SIGKILL)


def test_stop_for_another_attempt_is_ignored(worker: WorkerPeer, tmp_path: Path) -> None:
    worker.say(stop={"job": 1, "attempt": 2, "grace": 0})  # idle
    worker.start(Spec(command=WAIT, cwd=str(tmp_path)), 1, 2)
    worker.say(stop={"job": 1, "attempt": 1, "grace": 0})
    worker.say(stop={"job": 2, "attempt": 2, "grace": 0})
    (tmp_path / "go").touch()
    assert worker.outcome(1, 2).result is Result.SUCCEEDED


def test_the_child_of_a_stopped_shell_may_clean_up(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    child = "trap 'sleep 0.3; echo cleaned up; exit' TERM; touch ready; while :; do sleep 0.01; done"
    worker.start(Spec(command=f'sh -c "{child}" & exec sleep 1000', cwd=str(tmp_path)))
    until((tmp_path / "ready").exists, "the child")
    worker.say(stop={"job": 1, "attempt": 1, "grace": 10})
    assert worker.outcome().result is Result.KILLED
    assert plain.output().endswith(b"cleaned up\n")  # the shell itself may say "Terminated" before


# -- a signal ahead of the end


# Says what it hears on its way; what it starts in its group says so, too.
HEARS = """
import os, signal, sys, time
mine = sys.argv[1]
def heard(number, frame):
    os.write(1, f"{mine} {signal.Signals(number).name}\\n".encode())
    if number == signal.SIGTERM:
        os._exit(0)
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, heard)
if mine == "main":
    if os.fork() == 0:
        mine = "child"
    else:
        time.sleep(0.1)
        open("ready", "w").close()
while True:
    signal.pause()
"""


def test_a_signal_ahead_of_the_timeout(env: Env, tmp_path: Path) -> None:
    """Once, to the main process alone."""
    spec = Spec(command=python(HEARS, "main"), cwd=str(tmp_path), timeout=2.0, warn=Warn(Signal.USR2, 0.5))
    outcome = env.worker().run(spec)
    heard = env.output().decode().split("\n")
    assert heard[0] == "main SIGUSR2" and sorted(heard[1:3]) == ["child SIGTERM", "main SIGTERM"]
    assert outcome.result is Result.TIMED_OUT


def test_a_signal_to_the_whole_group(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    warn = Warn(Signal.USR1, 0.5, Receiver.GROUP)
    worker.run(Spec(command=python(HEARS, "main"), cwd=str(tmp_path), timeout=2.0, warn=warn))
    heard = plain.output().decode().split("\n")
    assert sorted(heard[:2]) == ["child SIGUSR1", "main SIGUSR1"] and len(heard) == 5


def test_a_job_that_heeds_the_signal_ends_as_it_likes(plain: Env, worker: WorkerPeer) -> None:
    """The example of the manual: a shell handles a trap when the child that it waits for has ended, so this one
    waits with wait."""
    script = "#!/bin/bash\ntrap 'echo saved; kill %1; exit 0' USR1\nsleep 1000 &\nwait\n"
    outcome = worker.run(Spec(script=script, timeout=60.0, warn=Warn(Signal.USR1, 59.0)))
    assert (outcome.result, plain.output()) == (Result.SUCCEEDED, b"saved\n")


def test_a_shell_that_waits_in_the_foreground_hears_late(plain: Env, worker: WorkerPeer) -> None:
    script = "#!/bin/bash\ntrap 'echo heard' USR1\nsleep 1.5\necho after\n"
    outcome = worker.run(Spec(script=script, timeout=60.0, warn=Warn(Signal.USR1, 59.5)))
    assert (outcome.result, plain.output()) == (Result.SUCCEEDED, b"heard\nafter\n")


def test_a_daemon_that_stops_has_the_signal_sent_once(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    """Also when that daemon is gone, and the next one says so again."""
    worker.say(warn={"job": 1, "attempt": 1})  # idle: nothing
    worker.start(Spec(command=python(HEARS, "main"), cwd=str(tmp_path), timeout=1000.0, warn=Warn(before=1.0)))
    until((tmp_path / "ready").exists, "the job")
    worker.say(warn={"job": 1, "attempt": 2})
    worker.say(warn={"job": 1, "attempt": 1})
    until(lambda: plain.output() == b"main SIGUSR1\n", "the signal")
    worker.drop()
    worker = plain.accept()
    worker.say(warn={"job": 1, "attempt": 1})
    worker.say(stop={"job": 1, "attempt": 1, "grace": None})
    worker.say(warn={"job": 1, "attempt": 1})
    assert worker.outcome().result is Result.KILLED
    assert plain.output().count(b"USR1") == 1


def test_no_signal_after_the_end_has_come(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    """A worker that was stopped over both is late for the one, and does the other."""
    spec = Spec(command=python(HEARS, "main"), cwd=str(tmp_path), timeout=3.0, warn=Warn(before=1.0))
    worker.start(spec)
    until((tmp_path / "ready").exists, "the job")
    os.kill(worker.id.pid, signal.SIGSTOP)
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > 3.5, "the timeout to pass")
    os.kill(worker.id.pid, signal.SIGCONT)
    assert worker.outcome().result is Result.TIMED_OUT
    assert b"USR1" not in plain.output() and b"main SIGTERM" in plain.output()


# -- nothing is left


def test_background_processes_are_killed(env: Env, tmp_path: Path) -> None:
    outcome = env.worker().run(Spec(command="sleep 1000 & echo $! > pid", cwd=str(tmp_path), linger=0.5))
    assert not alive(written_pid(tmp_path / "pid"))
    assert outcome.result is Result.SUCCEEDED
    assert outcome.message == "1 process that it left behind was ended after 500ms"


def test_a_filter_that_is_left_behind_finishes_its_lines(env: Env) -> None:
    """As ``exec > >(filter)`` of bash(1) has it: the shell does not wait for the filter."""
    slow = 'while read line; do sleep 0.3; echo "seen $line"; done'
    script = f"#!/bin/bash\nexec > >({slow})\nfor i in 1 2 3 4 5; do echo $i; done\n"
    begun = time.monotonic()
    outcome = env.worker().run(Spec(script=script))
    assert env.output() == b"".join(b"seen %d\n" % i for i in range(1, 6))
    assert time.monotonic() - begun >= 1.5
    assert (outcome.result, outcome.message) == (Result.SUCCEEDED, "")


def test_what_is_left_behind_hears_sigterm_first(env: Env, tmp_path: Path) -> None:
    """In a session of its own as well, or stopped; and all are counted."""
    (tmp_path / "polite").write_text(POLITE)
    start = " ".join(
        f"{how} python3 -S polite {name} &" for how, name in (("", "a"), ("setsid", "b"), ("setsid", "c"))
    )
    command = f"{start} until [ -e a ] && [ -e b ] && [ -e c ]; do sleep 0.01; done; kill -STOP $!; exit 3"
    spec = Spec(command=command, cwd=str(tmp_path), linger=0.1, kill_after=1000)
    outcome = env.worker().run(spec)
    assert env.output() == b"goodbye\n" * 3
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 3)
    assert outcome.message == "3 processes that it left behind were ended after 100ms"


def test_what_is_left_behind_and_ignores_sigterm_is_killed(env: Env, tmp_path: Path) -> None:
    begun = time.monotonic()
    left = f"(trap '' TERM; touch ready; exec sleep 1000) & {PID}; until [ -e ready ]; do sleep 0.01; done"
    spec = Spec(command=left, cwd=str(tmp_path), linger=0.3, kill_after=0.4)
    outcome = env.worker().run(spec)
    assert time.monotonic() - begun >= 0.7
    assert outcome.result is Result.SUCCEEDED
    assert outcome.message == "1 process that it left behind was ended after 300ms"


def test_the_timeout_holds_for_what_is_left_behind(worker: WorkerPeer) -> None:
    begun = time.monotonic()
    outcome = worker.run(Spec(command="sleep 1000 & exit 0", timeout=0.5, linger=1000))
    assert time.monotonic() - begun < 100
    assert outcome.result is Result.SUCCEEDED, "its main process had ended in time"
    assert outcome.message.startswith("1 process that it left behind was ended after ")


def test_a_stop_ends_what_is_left_behind(env: Env, tmp_path: Path) -> None:
    (tmp_path / "polite").write_text(POLITE)
    left = f"{PID}; python3 -S polite ready & until [ -e ready ]; do sleep 0.01; done"
    worker = env.worker()
    worker.start(Spec(command=left, cwd=str(tmp_path), linger=1000))
    main = Path(f"/proc/{written_pid(tmp_path / 'pid')}")
    until(lambda: not main.exists(), "the main process to be collected")
    worker.say(stop={"job": 1, "attempt": 1, "grace": 1000})
    outcome = worker.outcome()
    assert outcome.result is Result.SUCCEEDED, "what ended by itself was not killed"
    assert env.output() == b"goodbye\n"


def test_a_daemon_is_killed(env: Env, tmp_path: Path) -> None:
    outcome = env.worker().run(Spec(command=python(DAEMON, str(tmp_path / "pid")), linger=0.1, kill_after=0.1))
    assert outcome.exit_code == 0
    assert not alive(written_pid(tmp_path / "pid"))


def test_a_daemon_is_killed_when_its_job_times_out(env: Env, tmp_path: Path) -> None:
    spec = Spec(command=python(DAEMON + "while True: pass", str(tmp_path / "pid")), timeout=2, kill_after=0.1)
    assert env.worker().run(spec).result is Result.TIMED_OUT
    assert not alive(written_pid(tmp_path / "pid"))


def test_what_ends_by_itself_may_finish_its_lines(plain: Env, worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command="(sleep 0.1; echo last) & echo first"))
    assert plain.output() == b"first\nlast\n"
    assert outcome.message == ""


def test_what_cannot_be_killed_is_waited_for_without_a_rush() -> None:
    """A process of another user, as su(1) and sudo(8) make them, where no control group is: it is the attempt's until
    it has really gone, the worker sleeps meanwhile, and the outcome says it."""
    if os.getuid() != 0:
        pytest.skip("needs root, to have a process of another user")
    with tempfile.TemporaryDirectory() as name:  # pytest's own are for one user alone
        directory = Path(name)
        directory.chmod(0o755)
        foreign = directory / "foreign"
        shutil.copy("/usr/bin/python3", foreign)
        foreign.chmod(0o4755)
        if os.statvfs(foreign).f_flag & os.ST_NOSUID:
            pytest.skip("needs a place where set-user-ID programs work")
        for env in proof(directory / "gate", nobody=True):
            _outlive(env.worker(), foreign)


def _outlive(worker: WorkerPeer, foreign: Path) -> None:
    code = "import os, time; os.setuid(0); time.sleep(1000)"
    worker.start(Spec(command=(str(foreign), "-S", "-c", code), timeout=1.0, kill_after=0.1))
    children = Path(f"/proc/{worker.id.pid}/task/{worker.id.pid}/children")
    pid = int(until(lambda: children.read_text().strip(), "the job"))
    try:
        until(lambda: "Uid:\t0\t0" in Path(f"/proc/{pid}/status").read_text(), "it to become root")
        until(lambda: _slices(worker.id.pid) > 1 and _rests(worker.id.pid), "the worker to rest")
        before, begun = _slices(worker.id.pid), time.monotonic()
        assert not worker.poll(), "the attempt is not over"
        until(lambda: time.monotonic() - begun > 4, "four seconds to pass")
        assert alive(pid) and not worker.poll()
        # (One that asks every 20 ms goes to sleep 50 times a second.)
        assert (_slices(worker.id.pid) - before) / (time.monotonic() - begun) < 5
    finally:
        os.kill(pid, signal.SIGKILL)
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, signal.SIGKILL)
    assert outcome.message.startswith("it could not be killed, and ended ")
    assert outcome.message.endswith(f" after its SIGKILL: process {pid} (it is another user's)")


def _slices(pid: int) -> int:
    """How often a process has gone to sleep (proc_pid_status(5))."""
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("voluntary")]
    return int(line.split()[1])


def _rests(pid: int) -> bool:
    """Whether it sleeps for a second on end."""
    before, begun = _slices(pid), time.monotonic()
    until(lambda: time.monotonic() - begun > 1, "a second to pass")
    return _slices(pid) == before


def test_orphans_do_not_pile_up_as_zombies(worker: WorkerPeer, tmp_path: Path) -> None:
    loop = "for i in $(seq 50); do (true &) ; done; touch done; " + WAIT
    worker.start(Spec(command=loop, cwd=str(tmp_path)))
    until((tmp_path / "done").exists, "the orphans")
    children = Path(f"/proc/{worker.id.pid}/task/{worker.id.pid}/children")
    until(lambda: len(children.read_text().split()) == 1, "the orphans to be collected")
    (tmp_path / "go").touch()
    assert worker.outcome().result is Result.SUCCEEDED


def test_a_stranger_who_holds_the_pipe_keeps_nobody(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    spec = Spec(command=f"{PID}; {WAIT}", cwd=str(tmp_path))
    worker.start(spec)
    pid = written_pid(tmp_path / "pid")
    with (
        open(f"/proc/{pid}/fd/1", "wb") as pipe,
        subprocess.Popen(["cat", "/dev/zero"], stdout=pipe) as stranger,
    ):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)  # more than one read takes
        until(plain.log().exists, "the flood")
        (tmp_path / "go").touch()
        assert worker.outcome().result is Result.SUCCEEDED
        assert stranger.wait(10) == -signal.SIGPIPE  # not before the worker has closed its end


def test_a_gigabyte_of_output_is_bounded(plain: Env, worker: WorkerPeer) -> None:
    size = 8_000_000
    spec = Spec(command="head -c 1000000000 /dev/zero; printf END", output=Output(size))
    worker.start(spec)
    most = 0
    while not worker.seen:
        worker.poll()
        most = max(most, sum(piece.size for piece in pieces(str(plain.log()))))
    outcome = worker.outcome()
    assert (outcome.output, outcome.result) == (1_000_000_003, Result.SUCCEEDED)
    kept = plain.output()
    assert kept.endswith(b"\0END")
    # One that is dropped while we look may be counted along with its successor.
    assert most <= size + size // 8 + 100
    assert outcome.output - outcome.omitted <= size
    assert b"[taskgated: %d bytes left out here]" % outcome.omitted in kept
    assert list(plain.log().parent.iterdir()) == [plain.log()]
    status = Path(f"/proc/{worker.id.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 40_000  # KiB


def test_output_that_cannot_be_written_harms_nothing(plain: Env, worker: WorkerPeer) -> None:
    plain.layout.log.rmdir()
    plain.layout.log.touch()  # a file where the directory should be
    outcome = worker.run(Spec(command="echo lost"))
    assert (outcome.result, outcome.output, outcome.omitted) == (Result.SUCCEEDED, 5, 5)
    assert "output was cut" in outcome.message


# -- the life of a worker


def test_an_idle_worker_leaves_with_the_daemon(plain: Env, worker: WorkerPeer) -> None:
    worker.drop()
    assert plain.server.expect("exited") == {**worker.id.to_json(), "status": 0}
    assert worker.group is None or not Path(worker.group).exists()


def test_quit(plain: Env, worker: WorkerPeer, tmp_path: Path) -> None:
    worker.start(Spec(command=WAIT, cwd=str(tmp_path)))
    worker.say(quit={})
    (tmp_path / "go").touch()
    worker.outcome(ack=False)
    assert worker.id.alive()  # it has not been told that the outcome is safe
    worker.ack()
    assert plain.server.expect("exited")["status"] == 0


def test_a_sign_of_life(worker: WorkerPeer, tmp_path: Path) -> None:
    """Of an idle worker, and of a busy one; and it says that it may be asked."""
    assert worker.hello["answers"] is True
    worker.say(ping=1)
    assert worker.expect("pong") == 1
    worker.start(Spec(command=WAIT, cwd=str(tmp_path)))
    worker.say(ping={})
    assert worker.expect("pong") == {}
    (tmp_path / "go").touch()
    assert worker.outcome().result is Result.SUCCEEDED


def test_signals_for_the_whole_service_are_not_for_workers(worker: WorkerPeer) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(worker.id.pid, number)
    os.kill(worker.env.process.pid, signal.SIGTERM)
    assert worker.run(Spec(command=("true",))).result is Result.SUCCEEDED
    worker.env.server.say(ping=1)
    assert worker.env.server.expect("pong") == 1


def test_the_next_attempt_need_not_wait_for_the_acknowledgement(worker: WorkerPeer) -> None:
    for job in (1, 2, 3):
        worker.start(Spec(command=("true",)), job)
        worker.outcome(job, ack=False)
    worker.say(quit={})
    worker.ack(2)
    worker.ack(1)
    assert worker.id.alive()
    worker.ack(3)
    until(worker.closed, "the worker to leave")


def test_a_job_survives_the_daemon_and_its_outcome_is_kept(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    worker.start(Spec(command=f"{WAIT}; echo done; exit 4", cwd=str(tmp_path)), 6, 2)
    worker.drop()
    env.listener.close()
    env.kill_server()
    (tmp_path / "go").touch()
    file = env.layout.outcomes / "6.2.json"
    until(file.exists, "the outcome file")
    assert json.loads(file.read_bytes())["exit_code"] == 4
    kept = Outcomes(env.layout.outcomes).read(6, 2)

    env.listen()
    back = env.accept()
    assert back.id == worker.id
    assert back.hello["running"] == {"job": 6, "attempt": 2}
    assert back.outcome(6, 2, ack=False) == kept
    assert file.exists()
    back.ack(6, 2)
    until(lambda: not file.exists(), "the outcome file to be removed")
    env.start_server()
    assert back.run(Spec(command=("true",)), 7).result is Result.SUCCEEDED
    assert env.output(6, 2) == b"done\n"


def test_a_running_job_is_told_to_the_next_daemon(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    worker.start(Spec(command=WAIT, cwd=str(tmp_path)), 6, 2)
    worker.drop()
    back = env.accept()
    assert back.hello["running"] == {"job": 6, "attempt": 2}
    (tmp_path / "go").touch()
    assert back.outcome(6, 2).result is Result.SUCCEEDED
    assert not (env.layout.outcomes / "6.2.json").exists()


def test_an_outcome_without_acknowledgement_is_kept(plain: Env, worker: WorkerPeer) -> None:
    worker.start(Spec(command="exit 1"))
    worker.outcome(ack=False)
    worker.drop()
    back = plain.accept()
    assert back.outcome(ack=False).exit_code == 1
    assert (plain.layout.outcomes / "1.1.json").exists()
    back.ack()
    back.say(quit={})
    assert plain.server.expect("exited")["status"] == 0
    assert list(plain.layout.outcomes.iterdir()) == []


def test_a_worker_does_not_wait_for_a_daemon_for_ever(tmp_path: Path) -> None:
    for env in proof(tmp_path, linger=0.2):
        worker = env.worker()
        worker.start(Spec(command="sleep 0.2; exit 5"))
        worker.drop()
        env.listener.close()
        assert env.server.expect("exited") == {**worker.id.to_json(), "status": 0}
        kept = Outcomes(env.layout.outcomes).read(1, 1)
        assert kept is not None
        assert kept.exit_code == 5


def test_an_outcome_that_cannot_be_saved_is_told_of_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """However often it is tried; and again when it could be."""
    said = ""

    def told(words: str) -> int:
        nonlocal said
        said += capfd.readouterr().err
        return said.count(words)

    for env in proof(tmp_path):
        env.layout.outcomes.touch()  # no directory can be made there
        worker = env.worker()
        worker.start(Spec(command="exit 5"))
        worker.drop()
        for _ in range(5):
            env.accept().drop()
        until(lambda: told("cannot keep the outcome of 1.1"), "it is told")
        env.layout.outcomes.unlink()
        while not told("the outcome is kept now"):
            env.accept().drop()
        assert told("cannot keep") == 1
        assert env.accept().outcome().exit_code == 5


def test_an_outcome_that_cannot_be_saved_keeps_the_worker(tmp_path: Path) -> None:
    for env in proof(tmp_path, linger=0.0):
        env.layout.outcomes.touch()  # no directory can be made there
        worker = env.worker()
        worker.start(Spec(command="exit 5"))
        worker.drop()
        env.listener.close()
        env.listen()
        back = env.accept()
        assert back.outcome().exit_code == 5


@pytest.mark.parametrize(
    "garbage",
    [
        b"no json\0",
        b'{"run": {"job": 2, "attempt": 1, "spec": {}, "log": "/x"}}\0',
        b'{"ack":{"job":[],"attempt":1}}\0',
    ],
)
def test_a_daemon_that_makes_no_sense_is_left(plain: Env, worker: WorkerPeer, tmp_path: Path, garbage: bytes) -> None:
    worker.start(Spec(command=WAIT, cwd=str(tmp_path)))
    worker.channel.sock.send(garbage)
    back = plain.accept()
    assert back.hello["running"] == {"job": 1, "attempt": 1}
    (tmp_path / "go").touch()
    assert back.outcome().result is Result.SUCCEEDED
